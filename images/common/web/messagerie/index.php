<?php
// The mailbox of the site: what it believes it sent. Shown to the candidate and to the examiners.

declare(strict_types=1);

const BOX = '/var/lib/e5b/mail';
date_default_timezone_set('Europe/Paris');
header("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'");
header('Cache-Control: no-store');

$names = array_reverse(array_map('basename', glob(BOX . '/*.eml') ?: []));
$asked = $_GET['message'] ?? null;
$message = in_array($asked, $names, true) ? message(file_get_contents(BOX . "/$asked")) : null;

function h(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

/** @return array{array<string, string>, string} decoded headers (names in lower case), raw body */
function headers_and_body(string $raw): array
{
    $raw = str_replace("\r\n", "\n", $raw);
    [$head, $body] = array_pad(explode("\n\n", $raw, 2), 2, '');
    $headers = [];
    foreach (explode("\n", preg_replace('~\n[ \t]+~', ' ', $head)) as $line) {
        [$name, $value] = array_pad(explode(':', $line, 2), 2, '');
        $headers[strtolower(trim($name))] ??= trim(mb_decode_mimeheader(trim($value)));
    }
    return [$headers, $body];
}

/** @return array{headers: array<string, string>, text: ?string, html: ?string, attached: list<string>} */
function message(string $raw): array
{
    [$headers, $body] = headers_and_body($raw);
    $found = ['headers' => $headers, 'text' => null, 'html' => null, 'attached' => []];
    collect($headers, $body, $found);
    return $found;
}

function collect(array $headers, string $body, array &$found, int $depth = 0): void
{
    $type = $headers['content-type'] ?? 'text/plain';
    if (preg_match('~^multipart/.*?boundary="?([^";]+)"?~is', $type, $boundary) && $depth < 5) {
        foreach (array_slice(explode('--' . $boundary[1], $body), 1) as $part) {
            if (!str_starts_with($part, '--')) {
                collect(...[...headers_and_body(ltrim($part, "\n")), &$found, $depth + 1]);
            }
        }
        return;
    }
    if (preg_match('~(?:file)?name="?([^";]+)~i', ($headers['content-disposition'] ?? '') . ';' . $type, $file)) {
        $found['attached'][] = $file[1];
        return;
    }
    $body = match (strtolower($headers['content-transfer-encoding'] ?? '')) {
        'base64' => base64_decode($body),
        'quoted-printable' => quoted_printable_decode($body),
        default => $body,
    };
    $charset = preg_match('~charset="?([\w-]+)~i', $type, $match) ? $match[1] : 'UTF-8';
    $body = @mb_convert_encoding($body, 'UTF-8', $charset) ?: $body;
    $kind = stripos($type, 'text/html') === 0 ? 'html' : 'text';
    $found[$kind] ??= trim($body);
}

function when(string $name): string
{
    $date = DateTimeImmutable::createFromFormat('Ymd-His', substr($name, 0, 15));
    return $date ? $date->format('d/m/Y à H:i:s') : '';
}

function with_links(string $text): string
{
    return preg_replace_callback(
        '~https?://[^\s<>"]+~',
        static fn (array $found): string => '<a href="' . $found[0] . '">' . $found[0] . '</a>',
        h($text)
    );
}
?>
<!DOCTYPE html>
<html lang="fr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Messagerie du site</title>
<style>
:root { color-scheme: light; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: #222; background: #f4f5f2; }
header { background: #34495e; color: #fff; padding: 1rem 1.5rem; }
header h1 { margin: 0; font-size: 1.3rem; }
header p { margin: .2rem 0 0; opacity: .85; font-size: .95rem; }
main { max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
a { color: #1d5c8f; }
ul.list { list-style: none; margin: 0; padding: 0; background: #fff; border: 1px solid #d8dad5; border-radius: 6px; }
ul.list li + li { border-top: 1px solid #e6e8e3; }
ul.list a { display: grid; grid-template-columns: 1fr auto; gap: .1rem 1rem; padding: .7rem 1rem; text-decoration: none; color: inherit; }
ul.list a:hover, ul.list a:focus { background: #eef3f7; }
.subject { font-weight: 600; }
.quiet { color: #5b615a; font-size: .92rem; }
article { background: #fff; border: 1px solid #d8dad5; border-radius: 6px; padding: 1rem 1.25rem; }
article h2 { margin: 0 0 .6rem; font-size: 1.2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 1rem; }
dt { color: #5b615a; } dd { margin: 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; margin: 0; }
iframe { width: 100%; height: 32rem; border: 1px solid #e6e8e3; border-radius: 4px; background: #fff; }
.empty { background: #fff; border: 1px dashed #c3c7bf; border-radius: 6px; padding: 2rem; text-align: center; }
</style>
</head>
<body>
<header>
<h1>Messagerie du site</h1>
<p>Les courriels envoyés par le site arrivent ici. Aucun n’est transmis à l’extérieur.</p>
</header>
<main>
<?php if ($message !== null): ?>
<p><a href="./">← Tous les messages</a></p>
<article>
<h2><?= h(($message['headers']['subject'] ?? '') ?: '(sans objet)') ?></h2>
<dl>
<?php foreach (['from' => 'De', 'to' => 'À', 'cc' => 'Copie', 'bcc' => 'Copie cachée', 'reply-to' => 'Répondre à'] as $name => $label): ?>
<?php if (($message['headers'][$name] ?? '') !== ''): ?>
<dt><?= $label ?></dt><dd><?= h($message['headers'][$name]) ?></dd>
<?php endif ?>
<?php endforeach ?>
<dt>Date</dt><dd><?= h(when($asked)) ?></dd>
<?php if ($message['attached']): ?>
<dt>Pièces jointes</dt><dd><?= h(implode(', ', $message['attached'])) ?></dd>
<?php endif ?>
</dl>
<?php if ($message['html'] !== null): ?>
<iframe sandbox="allow-popups allow-top-navigation-by-user-activation" title="Contenu du message" srcdoc="<?= h('<base target="_top">' . $message['html']) ?>"></iframe>
<?php else: ?>
<pre><?= with_links($message['text'] ?? '') ?></pre>
<?php endif ?>
</article>
<?php elseif ($names === []): ?>
<p class="empty">Aucun message pour l’instant.<br><span class="quiet">Actualisez la page après un envoi.</span></p>
<?php else: ?>
<p class="quiet"><?= count($names) ?> message<?= count($names) > 1 ? 's' : '' ?>, du plus récent au plus ancien.</p>
<ul class="list">
<?php foreach ($names as $name): [$headers] = headers_and_body(file_get_contents(BOX . "/$name")); ?>
<li><a href="?message=<?= h(rawurlencode($name)) ?>">
<span class="subject"><?= h(($headers['subject'] ?? '') ?: '(sans objet)') ?></span><span class="quiet"><?= h(when($name)) ?></span>
<span class="quiet">À : <?= h($headers['to'] ?? '') ?></span>
</a></li>
<?php endforeach ?>
</ul>
<?php endif ?>
</main>
</body>
</html>

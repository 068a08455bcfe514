<?php
// The distribution's French translation is older than its WordPress and serves PHP alone: part of the administration
// would be in English, and its scripts would turn "Publier" back into "Publish". What is missing of the screens that a
// candidate sees is in messages-fr.json and scripts-fr.json: text (after its context and \x04, if any) => translation,
// or [English plural, singular, plural]. Each script gets the translations of the texts it holds. The catalogues are
// also written as PHP, which the opcode cache keeps for all processes together.

const SITE = '/var/www/site/';
const LANGUAGES = SITE . 'wp-content/languages/';
define('ABSPATH', SITE);
define('WPINC', 'wp-includes');
foreach (['pomo/mo.php', 'l10n/class-wp-translation-file.php', 'l10n/class-wp-translation-file-mo.php', 'l10n/class-wp-translation-file-php.php'] as $file) {
    require SITE . "wp-includes/$file";
}

$french = json_decode(file_get_contents(__DIR__ . '/scripts-fr.json'), true, 8, JSON_THROW_ON_ERROR);
$missing = json_decode(file_get_contents(__DIR__ . '/messages-fr.json'), true, 8, JSON_THROW_ON_ERROR);
foreach (glob(LANGUAGES . '*.mo') as $path) {
    $catalogue = new MO();
    $catalogue->import_from_file($path);
    if (basename($path) === 'fr_FR.mo') {
        foreach ($missing as $key => $translation) {
            [$context, $text] = str_contains($key, "\4") ? explode("\4", $key, 2) : [null, $key];
            $plural = is_array($translation) ? array_shift($translation) : null;
            $catalogue->add_entry(new Translation_Entry([
                'singular' => $text, 'context' => $context, 'plural' => $plural, 'translations' => (array) $translation,
            ]));
        }
        $catalogue->export_to_file($path);
    }
    foreach ($catalogue->entries as $entry) {
        $key = ($entry->context ? "$entry->context\4" : '') . $entry->singular;
        $french[$key] = array_map('strval', $entry->translations);
    }
    file_put_contents(substr($path, 0, -3) . '.l10n.php', WP_Translation_File::transform($path, 'php'));
}

$call = '~\b(_nx|_n|_x|__)\(\s*(' . ($string = '\'(?:[^\'\\\\]|\\\\.)*\'|"(?:[^"\\\\]|\\\\.)*"') . ')'
    . '(?:\s*,\s*(' . $string . '))?~s';
foreach (['wp-admin/js', 'wp-includes/js', 'wp-includes/js/dist'] as $directory) {
    foreach (glob(SITE . "$directory/*.js") as $path) {
        if (str_ends_with($path, '.min.js')) {
            continue;
        }
        preg_match_all($call, file_get_contents($path), $calls, PREG_SET_ORDER);
        $texts = [];
        foreach ($calls as $found) {
            $text = stripcslashes(substr($found[2], 1, -1));
            $keys = [$text];
            if ($found[1] === '_x' && isset($found[3])) {
                $keys[] = stripcslashes(substr($found[3], 1, -1)) . "\4" . $text;
            }
            foreach ($keys as $key) {
                if (isset($french[$key])) {
                    $texts[$key] = (array) $french[$key];
                }
            }
        }
        if ($texts === []) {
            continue;
        }
        $texts = ['' => ['domain' => 'messages', 'lang' => 'fr', 'plural-forms' => 'nplurals=2; plural=n > 1;']] + $texts;
        file_put_contents(
            LANGUAGES . 'fr_FR-' . md5(substr($path, strlen(SITE))) . '.json',
            json_encode(
                ['domain' => 'messages', 'locale_data' => ['messages' => $texts]],
                JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR
            )
        );
    }
}

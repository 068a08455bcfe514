<?php
// Requests the pages that a visitor and the candidate open, so that the opcode cache has compiled them.

declare(strict_types=1);

const SITE = 'http://localhost';
$site = json_decode(file_get_contents('/opt/e5b/site/site.json'), true);
$cookies = tempnam('/tmp', 'cookies');
$client = curl_init();
curl_setopt_array($client, [
    CURLOPT_RETURNTRANSFER => true, CURLOPT_FOLLOWLOCATION => true,
    CURLOPT_COOKIEFILE => $cookies, CURLOPT_COOKIEJAR => $cookies, CURLOPT_TIMEOUT => 60,
]);

function request(CurlHandle $client, string $path, ?array $form = null, int $expected = 200): string
{
    curl_setopt_array($client, [CURLOPT_URL => SITE . $path] + ($form === null
        ? [CURLOPT_HTTPGET => true]
        : [CURLOPT_POST => true, CURLOPT_POSTFIELDS => http_build_query($form)]));
    $body = (string) curl_exec($client);
    $status = curl_getinfo($client, CURLINFO_RESPONSE_CODE);
    if ($status !== $expected) {
        throw new RuntimeException("$path answers $status instead of $expected");
    }
    return $body;
}

// Twice: the second time with what the first has put in the caches.
foreach ([1, 2] as $round) {
    foreach (['/', '/actualites/', '/contact/', '/la-boutique/', '/rubrique/recettes/', '/?s=tisane', '/feed/', '/wp-json/', '/messagerie/'] as $path) {
        request($client, $path);
    }
    $home = request($client, '/actualites/');
    preg_match('~<h2[^>]*><a href="' . SITE . '(/[^"]+)~', $home, $post);
    request($client, $post[1]);
    request($client, '/nulle-part/', null, 404);
}

request($client, '/wp-login.php');
request($client, '/wp-login.php?action=lostpassword');
$board = request($client, '/wp-login.php', ['log' => $site['login'], 'pwd' => $site['password'], 'testcookie' => 1, 'redirect_to' => SITE . '/wp-admin/']);
if (!str_contains($board, 'wpadminbar')) {
    throw new RuntimeException('the candidate cannot log in');
}
foreach (['edit.php', 'edit.php?post_type=page', 'post-new.php', 'post-new.php?post_type=page', 'post.php?action=edit&post=' . first_post($client),
    'upload.php', 'upload.php?mode=list', 'media-new.php', 'edit-tags.php?taxonomy=category', 'edit-tags.php?taxonomy=post_tag', 'edit-comments.php',
    'nav-menus.php', 'widgets.php', 'customize.php', 'profile.php', 'edit.php?post_type=e5b_message', 'admin.php?page=e5b-contact', 'index.php'] as $path) {
    request($client, "/wp-admin/$path");
}
request($client, '/wp-admin/admin-ajax.php', ['action' => 'query-attachments', 'post_id' => 0]);
request($client, '/wp-admin/admin-ajax.php', ['action' => 'heartbeat', '_nonce' => 'none'], 200);

function first_post(CurlHandle $client): string
{
    preg_match('~post=(\d+)&amp;action=edit~', request($client, '/wp-admin/edit.php'), $found);
    return $found[1];
}

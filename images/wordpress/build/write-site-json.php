<?php
// What `describe` prints.
require '/var/www/site/wp-includes/version.php';
file_put_contents('/opt/e5b/site/site.json', json_encode([
    'site' => 'wordpress',
    'version' => $wp_version,
    'language' => 'fr',
    'admin' => '/wp-login.php',
    'sign_in' => '/wp-login.php',
    'login' => 'candidat',
    'password' => 'Tisane-2026',
    'mailbox' => '/messagerie/',
], JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES) . "\n");

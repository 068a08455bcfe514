<?php
// The keys of the cookies: root's, like the rest of the code, and random, because everyone can read this script.
$salts = "<?php\n";
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    foreach (['KEY', 'SALT'] as $kind) {
        $salts .= "define('{$name}_$kind', '" . bin2hex(random_bytes(32)) . "');\n";
    }
}
file_put_contents('/var/www/site/wp-salts.php', $salts);

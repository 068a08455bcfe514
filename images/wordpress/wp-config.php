<?php
// The address is the environment's, not the database's: start and set-url write it.
define('WP_HOME', rtrim((string) @file_get_contents('/run/e5b/url')) ?: 'http://localhost');
define('WP_SITEURL', WP_HOME);
if (str_starts_with(WP_HOME, 'https://')) {
    $_SERVER['HTTPS'] = 'on';
}

// No password: the server asks the system who is at the other end of its socket.
define('DB_NAME', 'wordpress');
define('DB_USER', 'www-data');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', 'utf8mb4_unicode_ci');
$table_prefix = 'wp_';

require __DIR__ . '/wp-salts.php';

// Nothing comes from outside and nothing changes by itself.
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_AUTO_UPDATE_CORE', false);
define('DISALLOW_FILE_EDIT', true);
define('DISALLOW_FILE_MODS', true);
define('FS_METHOD', 'direct');
define('WP_DEFAULT_THEME', 'maison');
define('WP_POST_REVISIONS', 10);
define('WP_DEBUG', false);

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';

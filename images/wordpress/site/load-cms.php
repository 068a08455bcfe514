<?php
// php load-cms.php SCRIPT: runs it with WordPress loaded, its administration's functions included, as the
// site's administrator.

require '/var/www/site/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';
wp_set_current_user(1);

if (!is_file($argv[1] ?? '')) {
    fwrite(STDERR, "load-cms: wants one PHP script\n");
    exit(1);
}
require $argv[1];

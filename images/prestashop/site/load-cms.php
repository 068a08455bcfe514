<?php
// php load-cms.php SCRIPT: runs it inside the shop, as its administrator.

define('_PS_ADMIN_DIR_', '/var/www/site/gestion');
require '/var/www/site/config/config.inc.php';
require_once '/var/www/site/app/AppKernel.php';
$kernel = new AppKernel('prod', false);
$kernel->boot();
Context::getContext()->employee = new Employee(1);
require $argv[1];

<?php
/*
 * The account of the candidate: a profile with what a shop's assistant does all day, and nothing of what runs
 * the shop (modules, employees, advanced parameters, database, updates).
 *
 *   php candidate.php SITE ADMIN_FOLDER
 */

[, $site, $adminFolder] = $argv;

define('_PS_ADMIN_DIR_', "$site/$adminFolder");
require "$site/config/config.inc.php";
require_once "$site/app/AppKernel.php";

(new AppKernel('prod', false))->boot();
Context::getContext()->employee = new Employee(1);
$lang = (int) Configuration::get('PS_LANG_DEFAULT');
$access = new Access();

$profile = new Profile();
$profile->name = [$lang => 'Candidat'];
$profile->add();

// A menu entry shows when the profile may read it: these hold the entries below, and are no page themselves.
$headings = ['SELL', 'IMPROVE', 'CONFIGURE', 'AdminParentThemes', 'ShopParameters', 'AdminParentMeta'];
$pages = [
    'AdminDashboard',
    'AdminParentOrders', 'AdminOrders', 'AdminInvoices', 'AdminSlip', 'AdminDeliverySlip', 'AdminCarts',
    'AdminCatalog', 'AdminProducts', 'AdminCategories', 'AdminTracking', 'AdminParentAttributesGroups',
    'AdminAttributesGroups', 'AdminFeatures', 'AdminParentManufacturers', 'AdminManufacturers', 'AdminSuppliers',
    'AdminAttachments', 'AdminParentCartRules', 'AdminCartRules', 'AdminSpecificPriceRule', 'AdminStockManagement',
    'AdminParentCustomer', 'AdminCustomers', 'AdminAddresses',
    'AdminParentCustomerThreads', 'AdminCustomerThreads', 'AdminOrderMessage', 'AdminReturn',
    'AdminStats', 'AdminCmsContent', 'AdminImages', 'AdminLinkWidget', 'AdminMeta',
];
foreach ([[$headings, 'view'], [$pages, 'all']] as [$tabs, $right]) {
    foreach ($tabs as $tab) {
        $id = (int) Tab::getIdFromClassName($tab);
        if (!$id || $access->updateLgcAccess((int) $profile->id, $id, $right, true, false) !== 'ok') {
            throw new RuntimeException("this release has no page $tab");
        }
    }
}

// The blocks of the home page are configured in modules' pages: AdminModulesController lets these through.
$blocks = [
    'ps_imageslider' => 'Accueil : diaporama',
    'ps_banner' => 'Accueil : bannière',
    'ps_customtext' => 'Accueil : texte',
    'ps_featuredproducts' => 'Accueil : produits phares',
    'ps_mainmenu' => 'Menu principal',
    'ps_socialfollow' => 'Réseaux sociaux',
    'blockreassurance' => 'Réassurance',
    'productcomments' => 'Avis clients',
];
// The dashboard and the statistics are made of modules, which are only looked at.
foreach (Module::getModulesInstalled() as $module) {
    if (preg_match('~^(?:dash|stats|graph|grid)~', $module['name'])) {
        $access->updateLgcModuleAccess((int) $profile->id, (int) $module['id_module'], 'view', true);
    }
}
Db::getInstance()->execute('DELETE FROM ' . _DB_PREFIX_ . 'quick_access');
Db::getInstance()->execute('DELETE FROM ' . _DB_PREFIX_ . 'quick_access_lang');
$links = [
    'Commandes' => 'index.php/sell/orders',
    'Nouveau produit' => 'index.php/sell/catalog/products/new',
    'Nouvelle catégorie' => 'index.php/sell/catalog/categories/new',
    'Nouveau bon de réduction' => 'index.php?controller=AdminCartRules&addcart_rule',
];
foreach ($blocks as $name => $label) {
    $module = Module::getInstanceByName($name);
    if ($module) {
        foreach (['view', 'configure'] as $right) {
            $access->updateLgcModuleAccess((int) $profile->id, (int) $module->id, $right, true);
        }
        $links[$label] = "index.php?controller=AdminModules&configure=$name";
    }
}
foreach ($links as $label => $link) {
    $quick = new QuickAccess();
    $quick->name = [$lang => $label];
    $quick->link = $link;
    $quick->new_window = false;
    $quick->add();
}

$described = json_decode(file_get_contents('/opt/e5b/site/site.json'), true, 16, JSON_THROW_ON_ERROR);
$employee = new Employee();
$employee->firstname = 'Candidat';
$employee->lastname = 'Clos Verdier';
$employee->email = $described['login'];
$employee->passwd = (new PrestaShop\PrestaShop\Core\Crypto\Hashing())->hash($described['password']);
$employee->id_profile = (int) $profile->id;
$employee->id_lang = $lang;
$employee->bo_theme = 'default';
$employee->default_tab = (int) Tab::getIdFromClassName('AdminDashboard');
$employee->active = true;
$employee->bo_menu = true;
$employee->optin = false;
$employee->last_passwd_gen = '2026-01-01 00:00:00';
if (!$employee->add()) {
    throw new RuntimeException('the employee of the candidate was refused');
}

// The administration suggests neither its maker's services nor its updates.
foreach (['PS_SHOW_NEW_ORDERS', 'PS_SHOW_NEW_CUSTOMERS', 'PS_SHOW_NEW_MESSAGES', 'PSX_SHOW', 'PS_NEED_REBUILD_INDEX'] as $name) {
    Configuration::updateGlobalValue($name, 0);
}

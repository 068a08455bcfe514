<?php
/*
 * Fills a freshly installed, empty shop with the reference organisation, through PrestaShop's own classes, so
 * that every derived row (search index, tax details, invoices, thumbnails, stock movements) is what the
 * administration itself would have written.
 *
 *   php organisation.php SITE ADMIN_FOLDER ORGANISATION_FOLDER
 */

[, $site, $adminFolder, $source] = $argv;

define('_PS_ADMIN_DIR_', "$site/$adminFolder");
require "$site/config/config.inc.php";
require_once "$site/app/AppKernel.php";

$kernel = new AppKernel('prod', false);
$kernel->boot();

$org = json_decode(file_get_contents("$source/organisation.json"), true, 512, JSON_THROW_ON_ERROR);
$context = Context::getContext();
$context->employee = new Employee(1);
$context->currency = Currency::getDefaultCurrency();
$context->country = new Country((int) Country::getByIso('FR'));
$lang = (int) Configuration::get('PS_LANG_DEFAULT');
$db = Db::getInstance();

// Orders announce themselves by e-mail; the mailbox of the reference shop is empty.
Configuration::updateGlobalValue('PS_MAIL_METHOD', Mail::METHOD_DISABLE);

function localized(string $text): array
{
    return [$GLOBALS['lang'] => $text];
}

function saved(ObjectModel $object): ObjectModel
{
    if (!$object->save()) {
        throw new RuntimeException('PrestaShop refused to save a ' . get_class($object));
    }

    return $object;
}

/** Empties tables of what the installer and the modules put there as samples. */
function emptied(string ...$tables): void
{
    foreach ($tables as $table) {
        Db::getInstance()->execute('DELETE FROM `' . _DB_PREFIX_ . $table . '`');
        Db::getInstance()->execute('ALTER TABLE `' . _DB_PREFIX_ . $table . '` AUTO_INCREMENT = 1');
    }
}

function inserted(string $table, array $row): int
{
    $row = array_map(fn ($value) => $value === null ? null : pSQL($value, true), $row);
    if (!Db::getInstance()->insert($table, $row, true)) {
        throw new RuntimeException("cannot insert into $table: " . Db::getInstance()->getMsgError());
    }

    return (int) Db::getInstance()->Insert_ID();
}

/** A picture cut around its centre to the proportions asked for, so that the theme does not distort it. */
function cropped(string $from, string $to, int $width, int $height): void
{
    $picture = imagecreatefromstring(file_get_contents($from));
    $scale = max($width / imagesx($picture), $height / imagesy($picture));
    $part = [(int) round($width / $scale), (int) round($height / $scale)];
    $result = imagecreatetruecolor($width, $height);
    imagecopyresampled(
        $result, $picture, 0, 0,
        intdiv(imagesx($picture) - $part[0], 2), intdiv(imagesy($picture) - $part[1], 2),
        $width, $height, $part[0], $part[1]
    );
    imagejpeg($result, $to, 88);
}

// ---------------------------------------------------------------- modules that only the installation needed

$kept = file(__DIR__ . '/modules.txt', FILE_IGNORE_NEW_LINES | FILE_SKIP_EMPTY_LINES);
foreach (glob(_PS_MODULE_DIR_ . '*', GLOB_ONLYDIR) as $folder) {
    if (!in_array(basename($folder), $kept, true)) {
        $module = Module::getInstanceByName(basename($folder));
        if ($module && Module::isInstalled($module->name)) {
            $module->uninstall();
        }
        Tools::deleteDirectory($folder);
    }
}

// ---------------------------------------------------------------- identity of the shop

$address = $org['address'];
foreach ([
    'PS_SHOP_NAME' => $org['name'],
    'PS_SHOP_EMAIL' => $org['email'],
    'PS_SHOP_PHONE' => $org['phone'],
    'PS_SHOP_ADDR1' => $address['street'],
    'PS_SHOP_CODE' => $address['postcode'],
    'PS_SHOP_CITY' => $address['city'],
    'PS_SHOP_COUNTRY' => $address['country'],
    'PS_SHOP_COUNTRY_ID' => $context->country->id,
    'PS_SHOP_DETAILS' => $org['legal']['form'] . ' — SIRET ' . $org['legal']['siret'] . ' — TVA ' . $org['legal']['vat'],
    'PS_LOGS_EMAIL_RECEIVERS' => $org['email'],
    'PS_INVOICE' => 1,
    'PS_WEIGHT_UNIT' => 'kg',
    'PS_ORDER_RETURN' => 0,
    'PS_MAIL_COLOR' => $org['colours']['primary'],
    'CONTACTFORM_SEND_CONFIRMATION_EMAIL' => 1,
    'CONTACTFORM_SEND_NOTIFICATION_EMAIL' => 1,
] as $name => $value) {
    Configuration::updateGlobalValue($name, $value);
}
foreach ([
    'PS_INVOICE_PREFIX' => '#FA',
    'PS_DELIVERY_PREFIX' => '#BL',
    'PS_RETURN_PREFIX' => '#RE',
    'PS_CUSTOMER_SERVICE_SIGNATURE' => "Cordialement,\n" . $org['name'],
    'PS_MAINTENANCE_TEXT' => 'La boutique est en cours de mise à jour et revient très vite. Merci de votre patience.',
    'PS_LABEL_IN_STOCK_PRODUCTS' => 'En stock',
    'PS_LABEL_OOS_PRODUCTS_BOA' => 'Sur commande',
    'PS_LABEL_OOS_PRODUCTS_BOD' => 'Épuisé jusqu\'à la prochaine récolte',
    'PS_SEARCH_BLACKLIST' => 'a|à|au|aux|avec|ce|ces|dans|de|des|du|elle|en|est|et|eux|il|ils|je|la|le|les|leur|lui|ma|mais|me|même|mes|moi|mon|ne|nos|notre|nous|on|ou|par|pas|pour|qu|que|qui|sa|se|ses|son|sur|ta|te|tes|toi|ton|tu|un|une|vos|votre|vous',
    'NW_CONDITIONS' => 'Vous pouvez vous désinscrire à tout moment ; nos coordonnées sont dans les mentions légales.',
    'CUSTPRIV_MSG_AUTH' => 'Les données que vous nous confiez servent à traiter vos commandes et à répondre à vos demandes. Vous pouvez les consulter, les corriger ou les faire supprimer depuis votre compte.',
] as $name => $value) {
    Configuration::updateGlobalValue($name, localized($value));
}
$db->execute('UPDATE `' . _DB_PREFIX_ . 'shop` SET name = "' . pSQL($org['name']) . '"');
foreach (new PrestaShopCollection('Contact') as $contact) {
    $contact->email = $org['email'];
    saved($contact);
}
foreach (new PrestaShopCollection('Category', $lang) as $category) {
    if ((int) $category->id === (int) Configuration::get('PS_HOME_CATEGORY')) {
        $root = new Category($category->id);
        $root->name = localized('Accueil');
        $root->link_rewrite = localized('accueil');
        saved($root);
    }
}

[$width, $height] = getimagesize("$source/{$org['logo']}");
copy("$source/{$org['logo']}", _PS_IMG_DIR_ . 'logo-clos-verdier.png');
$logo = imagecreatefrompng("$source/{$org['logo']}");
$paper = imagecreatetruecolor($width, $height);
imagefill($paper, 0, 0, imagecolorallocate($paper, 255, 255, 255));
imagecopy($paper, $logo, 0, 0, 0, 0, $width, $height);
imagejpeg($paper, _PS_IMG_DIR_ . 'logo-clos-verdier.jpg', 90);
[$red, $green, $blue] = sscanf($org['colours']['primary'], '#%02x%02x%02x');
$icon = imagecreatetruecolor(64, 64);
imagesavealpha($icon, true);
imagefill($icon, 0, 0, imagecolorallocatealpha($icon, 0, 0, 0, 127));
imagefilledellipse($icon, 32, 32, 60, 60, imagecolorallocate($icon, $red, $green, $blue));
imagefilledellipse($icon, 32, 32, 22, 44, imagecolorallocate($icon, 255, 255, 255));
imagepng($icon, _PS_IMG_DIR_ . 'favicon-clos-verdier.png');
foreach ([
    'PS_LOGO' => 'logo-clos-verdier.png',
    'PS_LOGO_MAIL' => 'logo-clos-verdier.jpg',
    'PS_LOGO_INVOICE' => 'logo-clos-verdier.jpg',
    'PS_FAVICON' => 'favicon-clos-verdier.png',
    'SHOP_LOGO_WIDTH' => $width,
    'SHOP_LOGO_HEIGHT' => $height,
] as $name => $value) {
    Configuration::updateGlobalValue($name, $value);
}

// Addresses of the pages that are not content (French whether or not a language pack was given).
foreach ([
    'pagenotfound' => ['Page introuvable', 'page-introuvable'],
    'best-sales' => ['Meilleures ventes', 'meilleures-ventes'],
    'contact' => ['Nous contacter', 'nous-contacter'],
    'manufacturer' => ['Marques', 'marques'],
    'new-products' => ['Nouveautés', 'nouveautes'],
    'password' => ['Mot de passe oublié', 'recuperation-mot-de-passe'],
    'prices-drop' => ['Promotions', 'promotions'],
    'sitemap' => ['Plan du site', 'plan-du-site'],
    'supplier' => ['Fournisseurs', 'fournisseurs'],
    'address' => ['Adresse', 'adresse'],
    'addresses' => ['Adresses', 'adresses'],
    'authentication' => ['Connexion', 'connexion'],
    'registration' => ['Créer un compte', 'inscription'],
    'cart' => ['Panier', 'panier'],
    'discount' => ['Bons de réduction', 'reduction'],
    'history' => ['Historique des commandes', 'historique-commandes'],
    'identity' => ['Identité', 'identite'],
    'my-account' => ['Mon compte', 'mon-compte'],
    'order-follow' => ['Suivi de commande', 'suivi-commande'],
    'order-slip' => ['Avoirs', 'avoirs'],
    'order' => ['Commande', 'commande'],
    'search' => ['Recherche', 'recherche'],
    'stores' => ['L\'atelier', 'atelier'],
    'guest-tracking' => ['Suivi de commande (visiteur)', 'suivi-commande-invite'],
    'order-confirmation' => ['Confirmation de commande', 'confirmation-commande'],
] as $page => [$title, $slug]) {
    foreach (Meta::getMetas() as $row) {
        if ($row['page'] === $page) {
            $meta = new Meta((int) $row['id_meta']);
            $meta->title = localized($title);
            $meta->url_rewrite = localized($slug);
            $meta->description = localized('');
            saved($meta);
        }
    }
}
foreach (Meta::getMetas() as $row) {
    if ($row['page'] === 'index') {
        $meta = new Meta((int) $row['id_meta']);
        $meta->title = localized($org['name']);
        $meta->description = localized($org['tagline']);
        saved($meta);
    }
}

// ---------------------------------------------------------------- pages

emptied('cms', 'cms_lang', 'cms_shop');
@mkdir(_PS_IMG_DIR_ . 'cms', 0775, true);
foreach (glob("$source/pictures/{article,page}-*", GLOB_BRACE) as $picture) {
    copy($picture, _PS_IMG_DIR_ . 'cms/' . basename($picture));
}

$newsCategory = new CMSCategory();
$newsCategory->id_parent = 1;
$newsCategory->active = true;
$newsCategory->name = localized('Actualités');
$newsCategory->link_rewrite = localized('actualites');
$newsCategory->description = localized('Les nouvelles du clos.');
foreach ($org['pages'] as $page) {
    if ($page['slug'] === $org['blog']) {
        $newsCategory->description = localized($page['excerpt']);
        $newsCategory->meta_description = localized($page['excerpt']);
    }
}
saved($newsCategory);

/** Two passes: an address holds the page's number, and pages link to pages that come later. */
$elsewhere = [$org['home'] => '/', $org['blog'] => "/content/category/{$newsCategory->id}-actualites", $org['contact_page'] => '/nous-contacter'];
$cms = [];
foreach ($org['pages'] as $page) {
    if (!isset($elsewhere[$page['slug']])) {
        $cms[$page['slug']] = [$page['title'], $page['excerpt'], $page['html'], 1];
    }
}
foreach ($org['posts'] as $post) {
    $html = $post['picture']
        ? '<figure><img src="{{picture:' . $post['picture'] . '}}" alt="" /></figure>' . $post['html']
        : $post['html'];
    $cms[$post['slug']] = [$post['title'], $post['excerpt'], $html, (int) $newsCategory->id];
}
$pages = [];
foreach ($cms as $slug => [$title, $excerpt, , $category]) {
    $pages[$slug] = new CMS();
    $pages[$slug]->id_cms_category = $category;
    $pages[$slug]->active = true;
    $pages[$slug]->indexation = true;
    $pages[$slug]->meta_title = localized($title);
    $pages[$slug]->meta_description = localized($excerpt);
    $pages[$slug]->link_rewrite = localized($slug);
    $pages[$slug]->content = localized('');
    saved($pages[$slug]);
    $elsewhere[$slug] = "/content/{$pages[$slug]->id}-$slug";
}

function linked(string $html): string
{
    $html = preg_replace_callback('/\{\{picture:([^}]+)\}\}/', fn ($m) => '/img/cms/' . basename($m[1]), $html);

    return preg_replace_callback('/\{\{page:([^}]+)\}\}/', fn ($m) => $GLOBALS['elsewhere'][$m[1]] ?? '/', $html);
}

foreach ($pages as $slug => $page) {
    $page->content = localized(linked($cms[$slug][2]));
    saved($page);
}
Configuration::updateGlobalValue('PS_CONDITIONS', 1);
Configuration::updateGlobalValue('PS_CONDITIONS_CMS_ID', (int) $pages['conditions-generales-de-vente']->id);

// ---------------------------------------------------------------- catalogue

$categories = [];
foreach ($org['categories'] as $entry) {
    $category = new Category();
    $category->id_parent = $entry['parent'] ? $categories[$entry['parent']]->id : (int) Configuration::get('PS_HOME_CATEGORY');
    $category->active = true;
    $category->name = localized($entry['name']);
    $category->link_rewrite = localized($entry['slug']);
    $category->description = localized($entry['description']);
    saved($category);
    $categories[$entry['slug']] = $category;
    $picture = _PS_CAT_IMG_DIR_ . $category->id . '.jpg';
    copy("$source/{$entry['picture']}", $picture);
    foreach (ImageType::getImagesTypes('categories') as $type) {
        ImageManager::resize($picture, _PS_CAT_IMG_DIR_ . "{$category->id}-{$type['name']}.jpg", (int) $type['width'], (int) $type['height']);
    }
}

/** The French tax rules were installed with the country; a product names its rate. */
function taxRulesGroup(string $percent): int
{
    $id = (int) Db::getInstance()->getValue('
        SELECT r.id_tax_rules_group FROM ' . _DB_PREFIX_ . 'tax_rule r
        JOIN ' . _DB_PREFIX_ . 'tax t ON t.id_tax = r.id_tax
        JOIN ' . _DB_PREFIX_ . 'tax_rules_group g ON g.id_tax_rules_group = r.id_tax_rules_group AND g.name LIKE "FR %"
        WHERE r.id_country = ' . (int) Country::getByIso('FR') . ' AND t.rate = ' . (float) $percent);
    if (!$id) {
        throw new RuntimeException("no French tax rule at $percent %");
    }

    return $id;
}

$products = [];
$since = new DateTime('2026-06-01 09:00:00');
foreach ($org['products'] as $entry) {
    $category = $categories[$entry['category']];
    $product = new Product();
    $product->product_type = PrestaShop\PrestaShop\Core\Domain\Product\ValueObject\ProductType::TYPE_STANDARD;
    $product->id_shop_default = 1;
    $product->id_category_default = (int) $category->id;
    $product->id_tax_rules_group = taxRulesGroup($entry['vat_percent']);
    $product->reference = $entry['reference'];
    $product->price = (float) $entry['price_ht'];
    $product->weight = (float) $entry['weight_kg'];
    $product->active = true;
    $product->state = Product::STATE_SAVED;
    $product->name = localized($entry['name']);
    $product->link_rewrite = localized($entry['slug']);
    $product->description_short = localized(linked($entry['short_description']));
    $product->description = localized(linked($entry['description']));
    $product->meta_title = localized($entry['meta_title']);
    $product->meta_description = localized($entry['meta_description']);
    saved($product);
    $branch = [(int) Configuration::get('PS_HOME_CATEGORY'), (int) $category->id];
    if ($category->id_parent > 2) {
        $branch[] = (int) $category->id_parent;
    }
    $product->addToCategories($branch);
    foreach ($entry['features'] as $name => $value) {
        $feature = (int) Feature::addFeatureImport($name);
        Product::addFeatureProductImport((int) $product->id, $feature, (int) FeatureValue::addFeatureValueImport($feature, $value, null, $lang));
    }
    // The stock announced is what is left after the orders below.
    $ordered = array_sum(array_map(
        fn ($line) => $line['reference'] === $entry['reference'] ? (int) $line['quantity'] : 0,
        array_merge(...array_column($org['orders'], 'lines'))
    ));
    StockAvailable::setQuantity((int) $product->id, 0, (int) $entry['stock'] + $ordered);

    $image = new Image();
    $image->id_product = (int) $product->id;
    $image->position = 1;
    $image->cover = true;
    $image->legend = localized($entry['name']);
    saved($image);
    $base = $image->getPathForCreation();
    ImageManager::resize("$source/{$entry['picture']}", "$base.jpg");
    foreach (ImageType::getImagesTypes('products') as $type) {
        ImageManager::resize("$source/{$entry['picture']}", "$base-{$type['name']}.jpg", (int) $type['width'], (int) $type['height']);
    }
    $products[$entry['reference']] = $product;

    $date = $since->modify('+3 days')->format('Y-m-d H:i:s');
    foreach (['product', 'product_shop'] as $table) {
        $db->execute('UPDATE ' . _DB_PREFIX_ . "$table SET date_add = '$date', date_upd = '$date' WHERE id_product = " . (int) $product->id);
    }
}
Category::regenerateEntireNtree();

// ---------------------------------------------------------------- carriers

foreach (['carrier', 'carrier_lang', 'carrier_shop', 'carrier_group', 'carrier_zone', 'carrier_tax_rules_group_shop', 'delivery', 'range_price', 'range_weight', 'module_carrier'] as $table) {
    emptied($table);
}
$france = (int) $context->country->id_zone;
$paying = array_map(fn ($name) => Module::getInstanceByName($name), ['ps_checkpayment', 'ps_wirepayment']);

function carrier(string $name, string $delay, bool $free): Carrier
{
    $carrier = new Carrier();
    $carrier->name = $name;
    $carrier->delay = localized($delay);
    $carrier->active = true;
    $carrier->is_free = $free;
    $carrier->shipping_method = $free ? Carrier::SHIPPING_METHOD_FREE : Carrier::SHIPPING_METHOD_PRICE;
    $carrier->shipping_handling = false;
    $carrier->range_behavior = 0;
    saved($carrier);
    $carrier->setGroups(array_column(Group::getGroups($GLOBALS['lang']), 'id_group'));
    $carrier->addZone($GLOBALS['france']);
    foreach ($GLOBALS['paying'] as $module) {
        $GLOBALS['db']->insert('module_carrier', ['id_module' => (int) $module->id, 'id_shop' => 1, 'id_reference' => (int) $carrier->id], false, true, Db::INSERT_IGNORE);
    }

    return $carrier;
}

$groups = [];
foreach (array_unique(array_filter(array_column($org['customers'], 'group'))) as $name) {
    $group = new Group();
    $group->name = localized($name);
    $group->price_display_method = PS_TAX_INC;
    $group->show_prices = true;
    saved($group);
    $groups[$name] = $group;
    foreach ([Configuration::get('PS_HOME_CATEGORY'), ...array_column($categories, 'id')] as $category) {
        $db->insert('category_group', ['id_category' => (int) $category, 'id_group' => (int) $group->id], false, true, Db::INSERT_IGNORE);
    }
    foreach (Module::getModulesInstalled() as $module) {
        $db->insert('module_group', ['id_module' => (int) $module['id_module'], 'id_shop' => 1, 'id_group' => (int) $group->id], false, true, Db::INSERT_IGNORE);
    }
}

$posted = carrier($org['carrier']['name'], $org['carrier']['delay'], false);
$posted->setTaxRulesGroup(taxRulesGroup('20'), true);
foreach ([[0, $org['carrier']['free_from'], $org['carrier']['price_ht']], [$org['carrier']['free_from'], 100000, 0]] as [$from, $to, $price]) {
    $range = new RangePrice();
    $range->id_carrier = (int) $posted->id;
    $range->delimiter1 = (float) $from;
    $range->delimiter2 = (float) $to;
    saved($range);
    $posted->deleteDeliveryPrice('range_price');
    $prices[] = ['id_carrier' => (int) $posted->id, 'id_range_price' => (int) $range->id, 'id_range_weight' => null, 'id_zone' => $france, 'price' => (float) $price];
}
$db->execute('DELETE FROM ' . _DB_PREFIX_ . 'delivery');
$posted->addDeliveryPrice($prices, true);
carrier('Retrait à l\'atelier', 'Le mercredi et le samedi, au Clos Verdier', true);
Configuration::updateGlobalValue('PS_CARRIER_DEFAULT', (int) $posted->id);
Configuration::updateGlobalValue('PS_SHIPPING_HANDLING', 0);

// ---------------------------------------------------------------- payment, discount

$postal = "{$address['street']}\n{$address['postcode']} {$address['city']}";
Configuration::updateGlobalValue('CHEQUE_NAME', $org['name']);
Configuration::updateGlobalValue('CHEQUE_ADDRESS', $postal);
Configuration::updateGlobalValue('BANK_WIRE_OWNER', $org['name']);
Configuration::updateGlobalValue('BANK_WIRE_DETAILS', 'IBAN FR00 0000 0000 0000 0000 0000 000 (exemple)');
Configuration::updateGlobalValue('BANK_WIRE_ADDRESS', $postal);
Configuration::updateGlobalValue('BANK_WIRE_RESERVATION_DAYS', 7);

$voucher = new CartRule();
$voucher->name = localized($org['voucher']['name']);
$voucher->code = $org['voucher']['code'];
$voucher->reduction_percent = (float) $org['voucher']['percent'];
$voucher->minimum_amount = (float) $org['voucher']['minimum'];
$voucher->minimum_amount_tax = true;
$voucher->minimum_amount_currency = (int) $context->currency->id;
$voucher->quantity = 1000;
$voucher->quantity_per_user = 1;
$voucher->date_from = '2026-01-01 00:00:00';
$voucher->date_to = '2035-12-31 23:59:59';
$voucher->active = true;
saved($voucher);
Configuration::updateGlobalValue('PS_CART_RULE_FEATURE_ACTIVE', 1);

// ---------------------------------------------------------------- customers and their orders

$hash = (new PrestaShop\PrestaShop\Core\Crypto\Hashing())->hash(bin2hex(random_bytes(16)));
$customers = [];
foreach ($org['customers'] as $entry) {
    $customer = new Customer();
    $customer->firstname = $entry['firstname'];
    $customer->lastname = $entry['lastname'];
    $customer->email = $entry['email'];
    $customer->birthday = $entry['birthday'];
    $customer->passwd = $hash;
    $customer->id_lang = $lang;
    $customer->id_default_group = empty($entry['group']) ? (int) Configuration::get('PS_CUSTOMER_GROUP') : (int) $groups[$entry['group']]->id;
    saved($customer);
    $customer->updateGroup(array_unique([(int) Configuration::get('PS_CUSTOMER_GROUP'), $customer->id_default_group]));
    $home = new Address();
    $home->id_customer = (int) $customer->id;
    $home->id_country = (int) $context->country->id;
    $home->alias = 'Mon adresse';
    $home->firstname = $entry['firstname'];
    $home->lastname = $entry['lastname'];
    $home->address1 = $entry['address']['street'];
    $home->postcode = $entry['address']['postcode'];
    $home->city = $entry['address']['city'];
    saved($home);
    $customers[] = [$customer, $home];
}

$paths = [
    'paid' => ['PS_OS_PAYMENT'],
    'preparation' => ['PS_OS_PAYMENT', 'PS_OS_PREPARATION'],
    'shipped' => ['PS_OS_PAYMENT', 'PS_OS_PREPARATION', 'PS_OS_SHIPPING'],
    'delivered' => ['PS_OS_PAYMENT', 'PS_OS_PREPARATION', 'PS_OS_SHIPPING', 'PS_OS_DELIVERED'],
];
$means = ['Chèque' => ['ps_checkpayment', 'PS_OS_CHEQUE'], 'Virement' => ['ps_wirepayment', 'PS_OS_BANKWIRE']];
foreach ($org['orders'] as $number => $entry) {
    [$customer, $delivery] = $customers[$entry['customer']];
    $context->customer = $customer;
    $context->cookie->id_customer = (int) $customer->id;
    $cart = new Cart();
    $cart->id_customer = (int) $customer->id;
    $cart->id_address_delivery = $cart->id_address_invoice = (int) $delivery->id;
    $cart->id_lang = $lang;
    $cart->id_currency = (int) $context->currency->id;
    $cart->id_carrier = (int) $posted->id;
    $cart->id_shop = 1;
    $cart->id_shop_group = 1;
    $cart->secure_key = $customer->secure_key;
    $cart->recyclable = false;
    $cart->gift = false;
    saved($cart);
    $context->cart = $cart;
    foreach ($entry['lines'] as $line) {
        $cart->updateQty((int) $line['quantity'], (int) $products[$line['reference']]->id);
    }
    $cart->setDeliveryOption([(int) $delivery->id => (int) $posted->id . ',']);
    saved($cart);

    [$module, $waiting] = $means[$entry['payment']];
    $total = (float) $cart->getOrderTotal(true, Cart::BOTH);
    $module = Module::getInstanceByName($module);
    $module->validateOrder((int) $cart->id, (int) Configuration::get($waiting), $total, $entry['payment'], null, [], null, false, $customer->secure_key, null, sprintf('CLOSV%04d', $number + 1));
    $order = new Order((int) $module->currentOrder);
    foreach ($paths[$entry['state']] as $state) {
        $history = new OrderHistory();
        $history->id_order = (int) $order->id;
        $history->id_employee = 1;
        $history->changeIdOrderState((int) Configuration::get($state), $order, true);
        saved($history);
        $order = new Order((int) $order->id);
    }
    // An order lives a few days: each state gets its own moment.
    $moment = new DateTime($entry['date']);
    $begun = $moment->format('Y-m-d H:i:s');
    $id = (int) $order->id;
    foreach ($db->executeS('SELECT id_order_history FROM ' . _DB_PREFIX_ . "order_history WHERE id_order = $id ORDER BY id_order_history") as $row) {
        $db->execute('UPDATE ' . _DB_PREFIX_ . "order_history SET date_add = '" . $moment->format('Y-m-d H:i:s') . "' WHERE id_order_history = " . (int) $row['id_order_history']);
        $moment->modify('+19 hours');
    }
    $ended = $moment->format('Y-m-d H:i:s');
    $db->execute('UPDATE ' . _DB_PREFIX_ . "orders SET date_add = '$begun', date_upd = '$ended', invoice_date = IF(invoice_number, '$begun', invoice_date), delivery_date = IF(delivery_number, '$ended', delivery_date) WHERE id_order = $id");
    $db->execute('UPDATE ' . _DB_PREFIX_ . "order_invoice SET date_add = '$begun' WHERE id_order = $id");
    $db->execute('UPDATE ' . _DB_PREFIX_ . "order_carrier SET date_add = '$begun' WHERE id_order = $id");
    $db->execute('UPDATE ' . _DB_PREFIX_ . "order_payment SET date_add = '$begun' WHERE order_reference = '" . pSQL($order->reference) . "'");
    $db->execute('UPDATE ' . _DB_PREFIX_ . "cart SET date_add = '$begun', date_upd = '$begun' WHERE id_cart = " . (int) $cart->id);
}
foreach ($customers as $number => [$customer]) {
    $first = '2026-0' . (1 + $number) . '-12 10:00:00';
    $db->execute('UPDATE ' . _DB_PREFIX_ . "customer SET date_add = '$first', date_upd = '$first' WHERE id_customer = " . (int) $customer->id);
    $db->execute('UPDATE ' . _DB_PREFIX_ . "address SET date_add = '$first', date_upd = '$first' WHERE id_customer = " . (int) $customer->id);
}
// ---------------------------------------------------------------- home page, menu, footer

$modules = _PS_MODULE_DIR_;
array_map('unlink', glob("$modules/ps_imageslider/images/sample-*"));
array_map('unlink', glob("$modules/ps_banner/img/*.{png,jpg}", GLOB_BRACE));
emptied('homeslider', 'homeslider_slides', 'homeslider_slides_lang');
foreach ([
    [$org['banner'], $org['name'], $org['tagline'], "/{$categories['tisanes']->id}-tisanes"],
    ['pictures/article-ruches.jpg', 'Les miels du clos', 'Tilleul et fleurs des prés, récoltés dans nos ruches', "/{$categories['miels']->id}-miels"],
    ['pictures/article-coffrets.jpg', 'Coffrets à offrir', 'Préparés à la commande, avec un mot de votre part', "/{$categories['coffrets']->id}-coffrets"],
] as $position => [$picture, $title, $text, $url]) {
    $file = basename($picture);
    cropped("$source/$picture", "$modules/ps_imageslider/images/$file", 1110, 340);
    $slide = inserted('homeslider_slides', ['position' => $position + 1, 'active' => 1]);
    inserted('homeslider', ['id_homeslider_slides' => $slide, 'id_shop' => 1]);
    inserted('homeslider_slides_lang', [
        'id_homeslider_slides' => $slide, 'id_lang' => $lang, 'title' => $title, 'legend' => $title,
        'description' => "<h3>$text</h3>", 'url' => $url, 'image' => $file,
    ]);
}
cropped("$source/pictures/article-sechoir.jpg", "$modules/ps_banner/img/sechoir.jpg", 1110, 213);
Configuration::updateGlobalValue('BANNER_IMG', localized('sechoir.jpg'));
// Empty means the home page; any other address would have to be absolute, and the shop's address changes.
Configuration::updateGlobalValue('BANNER_LINK', localized(''));
Configuration::updateGlobalValue('BANNER_DESC', localized('Séchées lentement, à l\'ombre, dans l\'ancien grenier à foin'));
foreach ($org['pages'] as $page) {
    if ($page['slug'] === $org['home']) {
        // The figure of this text is the banner above it.
        $welcome = preg_replace('#<figure>.*?</figure>#s', '', linked($page['html']));
        $db->update('info_lang', ['text' => pSQL($welcome, true)]);
    }
}
Configuration::updateGlobalValue('HOME_FEATURED_NBR', 8);

emptied('linksmenutop', 'linksmenutop_lang');
$items = [];
foreach ($org['categories'] as $entry) {
    if (!$entry['parent']) {
        $items[] = 'CAT' . $categories[$entry['slug']]->id;
    }
}
foreach ($org['menu'] as $entry) {
    if (!empty($entry['blog'])) {
        $items[] = 'CMS_CAT' . $newsCategory->id;
    } elseif (($entry['page'] ?? null) === 'notre-histoire') {
        // The other pages are in the footer: the theme's menu has one line.
        $items[] = 'CMS' . $pages[$entry['page']]->id;
    }
}
Configuration::updateGlobalValue('MOD_BLOCKTOPMENU_ITEMS', implode(',', $items));

$footer = fn (string ...$slugs) => array_values(array_map(fn ($slug) => (string) $pages[$slug]->id, array_filter($slugs, fn ($slug) => isset($pages[$slug]))));
foreach ([
    1 => ['La boutique', ['cms' => [false], 'product' => ['new-products', 'best-sales', 'prices-drop'], 'static' => [false]]],
    2 => [$org['name'], [
        'cms' => $footer('notre-histoire', 'nos-engagements', 'l-atelier', 'faq', 'mentions-legales', 'politique-de-confidentialite', 'conditions-generales-de-vente'),
        'product' => [false], 'static' => ['contact', 'sitemap'],
    ]],
] as $block => [$name, $content]) {
    $db->update('link_block', ['content' => pSQL(json_encode($content), true)], "id_link_block = $block");
    $db->update('link_block_lang', ['name' => pSQL($name)], "id_link_block = $block");
}
foreach ([
    1 => ['Paiement simple', 'Chèque ou virement, sans carte enregistrée'],
    2 => ['Livraison soignée', $org['carrier']['delay'] . ', offerte dès ' . (int) $org['carrier']['free_from'] . ' €'],
    3 => ['Quatorze jours pour changer d\'avis', 'Retour possible, produit non ouvert'],
] as $reassurance => [$title, $description]) {
    $db->update('psreassurance_lang', ['title' => pSQL($title), 'description' => pSQL($description)], "id_psreassurance = $reassurance");
}
// The installer had no shop to name: it wrote addresses of a server called "modules".
$db->execute('UPDATE ' . _DB_PREFIX_ . "psreassurance SET icon = REPLACE(icon, '//modules/', '/modules/')");
Configuration::updateGlobalValue('PSR_ICON_COLOR', $org['colours']['secondary']);
Configuration::updateGlobalValue('PSR_TEXT_COLOR', '#000000');

// The theme reads this file after its own, and the file is there for that.
file_put_contents(_PS_THEME_DIR_ . 'assets/css/custom.css', strtr(file_get_contents(__DIR__ . '/theme.css'), [
    '@primary' => $org['colours']['primary'],
    '@secondary' => $org['colours']['secondary'],
    '@background' => $org['colours']['background'],
]));

// ---------------------------------------------------------------- what only PrestaShop can derive

Search::indexation(true);
Tools::generateHtaccess();
Tools::generateRobotsFile();
emptied('log', 'mail', 'connections', 'guest');
Configuration::updateGlobalValue('PS_MAIL_METHOD', 1);
echo count($products), ' products, ', count($customers), ' customers, ', count($org['orders']), " orders\n";

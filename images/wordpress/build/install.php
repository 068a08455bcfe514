<?php
// php install.php ORGANISATION: installs WordPress in French by its own functions, and fills it with the organisation.
// Dates and the candidate's salt are fixed, so that two builds differ as little as possible.

declare(strict_types=1);

[, $source] = $argv;
$organisation = json_decode(file_get_contents("$source/organisation.json"), true, 64, JSON_THROW_ON_ERROR);
const CREATED = '2026-01-15 09:00:00';

// The installer leaves these to whoever defines them first: no sample content, no message to the administrator.
function wp_install_defaults($user_id): void {}
function wp_new_blog_notification(...$ignored): void {}

define('WP_INSTALLING', true);
require '/var/www/site/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/image.php';
require_once ABSPATH . 'wp-admin/includes/media.php';
require_once ABSPATH . 'wp-admin/includes/nav-menu.php';

$staff = array_column($organisation['users'], null, 'role');
wp_install($organisation['name'], $staff['administrator']['login'], $organisation['email'], true, '', 'unused', 'fr_FR');
load_default_textdomain('fr_FR');
wp_installing(false);
wp_set_current_user(1);
global $wpdb;

function settings(array $organisation): void
{
    foreach ([
        'blogdescription' => $organisation['tagline'],
        'timezone_string' => 'Europe/Paris',
        'date_format' => 'j F Y',
        'time_format' => 'H \h i',
        'start_of_week' => 1,
        'permalink_structure' => '/%postname%/',
        'category_base' => 'rubrique',
        'tag_base' => 'etiquette',
        'posts_per_page' => 9,
        'posts_per_rss' => 9,
        'default_ping_status' => 'closed',
        'default_pingback_flag' => 0,
        'comment_moderation' => 1,
        'comment_previously_approved' => 0,
        'comments_notify' => 0,
        'moderation_notify' => 0,
        'show_avatars' => 0,
        'use_smilies' => 0,
        'users_can_register' => 0,
        'ping_sites' => '',
        'mailserver_url' => '',
        'can_compress_scripts' => 1,
        'fresh_site' => 0,
        'admin_email_lifespan' => 4102444800,
        'wp_force_deactivated_plugins' => [],
        'thumbnail_size_w' => 300, 'thumbnail_size_h' => 300,
        'medium_size_w' => 600, 'medium_size_h' => 600,
        'medium_large_size_w' => 0, 'medium_large_size_h' => 0,
        'large_size_w' => 1200, 'large_size_h' => 1200,
        'sidebars_widgets' => ['wp_inactive_widgets' => [], 'articles' => ['search-2', 'recent-posts-2', 'categories-2', 'tag_cloud-2'], 'array_version' => 3],
        'widget_search' => [2 => ['title' => 'Rechercher'], '_multiwidget' => 1],
        'widget_recent-posts' => [2 => ['title' => 'Derniers articles', 'number' => 5], '_multiwidget' => 1],
        'widget_categories' => [2 => ['title' => 'Rubriques', 'count' => 1], '_multiwidget' => 1],
        'widget_tag_cloud' => [2 => ['title' => 'Mots-clés', 'taxonomy' => 'post_tag'], '_multiwidget' => 1],
    ] as $name => $value) {
        update_option($name, $value);
    }
}

/** @return array<string, int> source path => attachment */
function pictures(string $source, array $organisation): array
{
    // Two small sizes are enough for the theme; each further one is a file in every image's layer.
    add_filter('intermediate_image_sizes', static fn () => ['thumbnail', 'medium', 'post-thumbnail']);
    add_filter('big_image_size_threshold', '__return_false');
    $titles = [];
    foreach ($organisation['posts'] as $post) {
        if ($post['picture']) {
            $titles[$post['picture']] ??= $post['title'];
        }
    }
    foreach ($organisation['categories'] as $category) {
        $titles[$category['picture']] ??= $category['name'];
    }
    foreach ($organisation['products'] as $product) {
        $titles[$product['picture']] ??= $product['name'];
    }
    $titles['pictures/icone.png'] = 'Icône du site';
    $titles[$organisation['logo']] = 'Logo ' . $organisation['name'];
    $titles[$organisation['banner']] = 'Bannière ' . $organisation['name'];

    $made = [];
    $found = glob("$source/pictures/*.{jpg,jpeg,png,webp}", GLOB_BRACE);
    sort($found, SORT_STRING);
    $found[] = icon("$source/{$organisation['logo']}", $organisation['colours']['background']);
    foreach ($found as $file) {
        $key = 'pictures/' . basename($file);
        $copy = wp_upload_bits(basename($file), null, file_get_contents($file), '2026/01');
        if ($copy['error']) {
            throw new RuntimeException($copy['error']);
        }
        $title = $titles[$key] ?? ucfirst(str_replace('-', ' ', pathinfo($file, PATHINFO_FILENAME)));
        $id = wp_insert_attachment([
            'post_title' => $title,
            'post_name' => 'media-' . pathinfo($file, PATHINFO_FILENAME),
            'post_mime_type' => $copy['type'],
            'post_date' => CREATED,
            'guid' => '/wp-content/uploads/2026/01/' . basename($file),
        ], $copy['file'], 0, true);
        if (is_wp_error($id)) {
            throw new RuntimeException($id->get_error_message());
        }
        update_post_meta($id, '_wp_attachment_image_alt', $title);
        wp_update_attachment_metadata($id, wp_generate_attachment_metadata($id, $copy['file']));
        $made[$key] = $id;
    }
    return $made;
}

/** The logo in the middle of a square, for browser tabs. */
function icon(string $logo, string $background): string
{
    $from = imagecreatefromstring(file_get_contents($logo));
    $square = imagecreatetruecolor(512, 512);
    imagefill($square, 0, 0, hexdec(ltrim($background, '#')));
    $scale = 480 / max(imagesx($from), imagesy($from));
    [$width, $height] = [(int) (imagesx($from) * $scale), (int) (imagesy($from) * $scale)];
    imagecopyresampled($square, $from, intdiv(512 - $width, 2), intdiv(512 - $height, 2), 0, 0, $width, $height, imagesx($from), imagesy($from));
    $file = '/tmp/icone.png';
    imagepng($square, $file, 9);
    return $file;
}

function picture_path(int $attachment): string
{
    return wp_make_link_relative(wp_get_attachment_url($attachment));
}

/** @return array<string, string> page slug => path */
function page_paths(array $organisation): array
{
    $parents = array_column($organisation['pages'], 'parent', 'slug');
    $paths = [];
    foreach ($parents as $slug => $parent) {
        $paths[$slug] = $slug === $organisation['home'] ? '/' : '/' . ($parent ? "$parent/" : '') . "$slug/";
    }
    return $paths;
}

function html(string $html, array $pictures, array $paths): string
{
    return preg_replace_callback('~\{\{(picture|page):([^}]+)\}\}~', static function (array $found) use ($pictures, $paths): string {
        [, $kind, $name] = $found;
        return $kind === 'picture'
            ? picture_path($pictures[$name] ?? throw new RuntimeException("no picture $name"))
            : $paths[$name] ?? throw new RuntimeException("no page $name");
    }, $html);
}

function insert(array $post): int
{
    $id = wp_insert_post(wp_slash($post), true);
    if (is_wp_error($id)) {
        throw new RuntimeException($post['post_title'] . ': ' . $id->get_error_message());
    }
    return $id;
}

function terms(array $list, string $taxonomy): array
{
    $ids = [];
    foreach ($list as $term) {
        $made = wp_insert_term($term['name'], $taxonomy, ['slug' => $term['slug'], 'description' => $term['description'] ?? '']);
        $ids[$term['slug']] = is_wp_error($made) ? throw new RuntimeException($made->get_error_message()) : $made['term_id'];
    }
    return $ids;
}

function candidate_role(): void
{
    // What an editor may, and the look of the site; nothing of plugins, themes, updates, users, files or settings.
    $rights = get_role('editor')->capabilities + [
        'edit_theme_options' => true,
        'manage_contact_messages' => true,
        'edit_dashboard' => true,
    ];
    // Raw HTML would let a script into a page that the centre's staff opens.
    unset($rights['unfiltered_html']);
    add_role('candidat', 'Candidat', $rights);
    get_role('administrator')->add_cap('manage_contact_messages');
    get_role('editor')->add_cap('manage_contact_messages');
}

function users(array $organisation): array
{
    global $wpdb;
    $ids = [];
    $all = [...$organisation['users'], [
        'login' => 'candidat', 'display' => 'Candidat', 'role' => 'candidat', 'email' => 'candidat@' . $organisation['domain'],
    ]];
    foreach ($all as $user) {
        $id = username_exists($user['login']) ?: wp_insert_user([
            'user_login' => $user['login'], 'user_email' => $user['email'], 'user_pass' => 'unused', 'role' => $user['role'],
        ]);
        if (is_wp_error($id)) {
            throw new RuntimeException($id->get_error_message());
        }
        wp_update_user(['ID' => $id, 'display_name' => $user['display'], 'nickname' => $user['display']]);
        // Nobody logs in as the organisation's staff: no password matches this.
        $wpdb->update($wpdb->users, ['user_pass' => '!', 'user_registered' => CREATED], ['ID' => $id]);
        $ids[$user['role']] ??= $id;
    }
    // WordPress's own form of a password, with a salt that does not change from build to build; at the cost that PHP
    // takes by itself, or the first log-in would hash it again with another salt.
    $secret = base64_encode(hash_hmac('sha384', 'Tisane-2026', 'wp-sha384', true));
    $hash = '$wp' . crypt($secret, '$2y$12$tisanesDuClosVerdier2O');
    $wpdb->update($wpdb->users, ['user_pass' => $hash], ['ID' => $ids['candidat']]);
    foreach ($ids as $id) {
        update_user_meta($id, 'show_welcome_panel', 0);
        delete_user_meta($id, 'session_tokens');
    }
    return $ids;
}

function menus(array $organisation, array $pages, array $categories): array
{
    $main = wp_create_nav_menu('Menu principal');
    foreach ($organisation['menu'] as $position => $item) {
        $category = isset($item['category']);
        $slug = isset($item['blog']) ? $organisation['blog'] : $item['page'] ?? $item['category'];
        menu_item($main, $position + 1, $item['label'], $category ? 'taxonomy' : 'post_type', $category ? 'category' : 'page', $category ? $categories[$slug] : $pages[$slug]);
    }
    $legal = wp_create_nav_menu('Pied de page');
    $position = 0;
    foreach (['mentions-legales', 'politique-de-confidentialite', 'conditions-generales-de-vente', $organisation['contact_page']] as $slug) {
        if (isset($pages[$slug])) {
            menu_item($legal, ++$position, get_the_title($pages[$slug]), 'post_type', 'page', $pages[$slug]);
        }
    }
    return ['principal' => $main, 'pied' => $legal];
}

function menu_item(int $menu, int $position, string $label, string $type, string $object, int $id): void
{
    wp_update_nav_menu_item($menu, 0, [
        'menu-item-title' => $label, 'menu-item-type' => $type, 'menu-item-object' => $object, 'menu-item-object-id' => $id,
        'menu-item-position' => $position, 'menu-item-status' => 'publish',
    ]);
}

settings($organisation);
activate_plugin('e5b-contact/e5b-contact.php');
activate_plugin('e5b-seo/e5b-seo.php');
switch_theme('maison');
require_once get_template_directory() . '/functions.php';
maison_setup();
$wp_rewrite->init();

candidate_role();
$users = users($organisation);
$pictures = pictures($source, $organisation);
$paths = page_paths($organisation);

wp_update_term(1, 'category', ['name' => 'Non classé', 'slug' => 'non-classe']);
$categories = terms($organisation['post_categories'], 'category');
$tags = array_values(array_unique(array_merge(...array_column($organisation['posts'], 'tags'))));
sort($tags, SORT_STRING);
terms(array_map(static fn ($tag) => ['name' => $tag, 'slug' => sanitize_title($tag)], $tags), 'post_tag');

$pages = [];
foreach ($organisation['pages'] as $order => $page) {
    $content = html($page['html'], $pictures, $paths);
    if ($page['slug'] === $organisation['contact_page']) {
        $content .= "\n[formulaire_contact]";
    }
    $pages[$page['slug']] = insert([
        'post_type' => 'page', 'post_status' => 'publish', 'post_author' => $users['administrator'],
        'post_title' => $page['title'], 'post_name' => $page['slug'], 'post_excerpt' => $page['excerpt'],
        'post_content' => $content, 'post_date' => CREATED, 'menu_order' => $order,
        'post_parent' => $page['parent'] ? $pages[$page['parent']] : 0,
        'comment_status' => 'closed', 'ping_status' => 'closed',
    ]);
}

foreach ($organisation['posts'] as $post) {
    $id = insert([
        'post_type' => 'post', 'post_status' => 'publish', 'post_author' => $users['author'] ?? $users['editor'],
        'post_title' => $post['title'], 'post_name' => $post['slug'], 'post_excerpt' => $post['excerpt'],
        'post_content' => html($post['html'], $pictures, $paths), 'post_date' => str_replace('T', ' ', $post['date']),
        'post_category' => [$categories[$post['category']]], 'tags_input' => $post['tags'], 'ping_status' => 'closed',
    ]);
    if ($post['picture']) {
        set_post_thumbnail($id, $pictures[$post['picture']]);
    }
}

update_option('show_on_front', 'page');
update_option('page_on_front', $pages[$organisation['home']]);
update_option('page_for_posts', $pages[$organisation['blog']]);
update_option('wp_page_for_privacy_policy', $pages['politique-de-confidentialite'] ?? 0);
update_option('site_icon', $pictures['pictures/icone.png']);
set_theme_mod('custom_logo', $pictures[$organisation['logo']]);
set_theme_mod('header_image', picture_path($pictures[$organisation['banner']]));
set_theme_mod('nav_menu_locations', menus($organisation, $pages, $categories));
foreach ($organisation['colours'] as $name => $colour) {
    set_theme_mod("maison_$name", strtolower($colour));
}
$address = $organisation['address'];
set_theme_mod('maison_contact', "{$address['street']}\n{$address['postcode']} {$address['city']}\n{$organisation['phone']}\n{$organisation['email']}");
update_option('e5b_contact_form', $organisation['form'] + ['recipient' => $organisation['email']]);
update_option('admin_email', $organisation['email']);

// A date to come would have left a post waiting; and what was written today has to be of the reference's day.
$wpdb->query("UPDATE $wpdb->posts SET post_status = 'publish' WHERE post_status = 'future'");
$wpdb->query("UPDATE $wpdb->posts SET post_date = '" . CREATED . "', post_date_gmt = '2026-01-15 08:00:00' WHERE post_type NOT IN ('post', 'page', 'attachment')");
$wpdb->query("UPDATE $wpdb->posts SET post_date_gmt = CONVERT_TZ(post_date, '+01:00', '+00:00') WHERE post_date_gmt = '0000-00-00 00:00:00'");
$wpdb->query("UPDATE $wpdb->posts SET post_modified = post_date, post_modified_gmt = post_date_gmt");
$wpdb->query("UPDATE $wpdb->posts SET guid = REPLACE(guid, 'http://localhost', '')");
$wpdb->query("DELETE FROM $wpdb->options WHERE option_name LIKE '%\\_transient\\_%'");
update_option('cron', ['version' => 2]);
foreach ([...get_terms(['taxonomy' => 'category', 'fields' => 'ids', 'hide_empty' => false])] as $term) {
    wp_update_term_count_now([get_term($term)->term_taxonomy_id], 'category');
}
foreach (get_terms(['taxonomy' => 'post_tag', 'fields' => 'ids', 'hide_empty' => false]) as $term) {
    wp_update_term_count_now([get_term($term)->term_taxonomy_id], 'post_tag');
}
$wp_rewrite->init();
flush_rewrite_rules(false);
printf("%d pages, %d posts, %d pictures\n", count($pages), count($organisation['posts']), count($pictures));

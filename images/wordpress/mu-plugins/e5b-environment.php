<?php
/**
 * Plugin Name: Environnement d'examen
 * Description: Aucun appel à l'extérieur, aucune tâche de fond, une administration en français et sans distraction.
 */

// Nothing is ever requested, not even from the site itself: a page must not wait for a network that is not there.
add_filter('pre_http_request', static fn () => new WP_Error('e5b', "Cet environnement n'a pas d'accès au réseau."), PHP_INT_MAX);
foreach (['core', 'plugins', 'themes'] as $kind) {
    add_filter("pre_site_transient_update_$kind", static fn () => (object) [
        'last_checked' => time(), 'updates' => [], 'response' => [], 'translations' => [], 'checked' => [],
        'version_checked' => wp_get_wp_version(),
    ]);
}
add_action('init', static function (): void {
    remove_action('init', 'wp_schedule_update_checks');
}, 0);
add_action('admin_init', static function (): void {
    remove_action('admin_init', '_maybe_update_core');
    remove_action('admin_init', '_maybe_update_plugins');
    remove_action('admin_init', '_maybe_update_themes');
    remove_action('admin_init', ['WP_Privacy_Policy_Content', 'text_change_check'], 100);
    remove_action('welcome_panel', 'wp_welcome_panel');
}, 0);
add_filter('xmlrpc_enabled', '__return_false');
add_filter('pings_open', '__return_false');
add_filter('pre_option_show_avatars', '__return_zero');
add_filter('admin_email_check_interval', '__return_zero');
add_filter('wp_is_application_passwords_available', '__return_false');
add_filter('site_status_tests', static fn () => ['direct' => [], 'async' => []]);
add_filter('wp_resource_hints', static fn ($urls, $kind) => $kind === 'dns-prefetch' ? [] : $urls, 100, 2);
add_filter('embed_oembed_discover', '__return_false');
remove_action('wp_head', 'rsd_link');
remove_action('wp_head', 'wp_generator');
remove_action('wp_head', 'wp_oembed_add_discovery_links');
remove_action('wp_head', 'print_emoji_detection_script', 7);
remove_action('admin_print_scripts', 'print_emoji_detection_script');
remove_action('wp_print_styles', 'print_emoji_styles');
remove_action('admin_print_styles', 'print_emoji_styles');
remove_filter('the_content_feed', 'wp_staticize_emoji');
remove_filter('comment_text_rss', 'wp_staticize_emoji');
remove_filter('wp_mail', 'wp_staticize_emoji_for_email');

// Recurring tasks would change the database of a site that nobody touches. The publication of a scheduled post
// is the one task a candidate can ask for: it is done by the first page shown after its time.
add_filter('pre_schedule_event', static fn ($done, $event) => $event->hook === 'publish_future_post' ? $done : false, 10, 2);
add_action('init', static function (): void {
    foreach ((array) get_option('cron') as $time => $hooks) {
        if (!is_int($time) || $time > time()) {
            continue;
        }
        foreach ($hooks['publish_future_post'] ?? [] as $event) {
            wp_unschedule_event($time, 'publish_future_post', $event['args']);
            check_and_publish_future_post(...$event['args']);
        }
    }
});

// The distribution has no French translation of the block editors, which are written in JavaScript. The classic
// ones are wholly in French.
add_filter('use_block_editor_for_post', '__return_false', 100);
add_filter('use_block_editor_for_post_type', '__return_false', 100);
add_filter('use_widgets_block_editor', '__return_false', 100);
add_action('wp_enqueue_scripts', static function (): void {
    foreach (['wp-block-library', 'global-styles', 'classic-theme-styles'] as $style) {
        wp_dequeue_style($style);
    }
}, 100);
remove_action('wp_enqueue_scripts', 'wp_enqueue_global_styles');
remove_action('wp_body_open', 'wp_global_styles_render_svg_filters');
remove_action('init', '_register_theme_block_patterns');
remove_action('init', '_register_core_block_patterns_and_categories');

// The dashboard: news come from outside, and the quick draft makes a post for each visit.
add_action('wp_dashboard_setup', static function (): void {
    remove_meta_box('dashboard_primary', 'dashboard', 'side');
    remove_meta_box('dashboard_quick_press', 'dashboard', 'side');
    remove_meta_box('dashboard_site_health', 'dashboard', 'normal');
    remove_meta_box('dashboard_php_nag', 'dashboard', 'normal');
    remove_meta_box('dashboard_browser_nag', 'dashboard', 'normal');
    wp_add_dashboard_widget('e5b_mailbox', 'Messagerie du site', static function (): void {
        echo '<p>Les courriels envoyés par le site (formulaire de contact, notifications) sont conservés ici : '
            . '<a href="/messagerie/" target="_blank">ouvrir la messagerie</a>.</p>';
    });
}, 100);
add_action('admin_bar_menu', static function (WP_Admin_Bar $bar): void {
    $bar->remove_node('wp-logo');
    $bar->remove_node('updates');
}, 100);

// The site may be read later at another address (evidence, restore): what is saved names none.
foreach ([
    'content_save_pre', 'excerpt_save_pre', 'pre_term_description', 'widget_update_callback',
    'sanitize_post_meta__menu_item_url', 'pre_set_theme_mod_header_image', 'pre_set_theme_mod_header_image_data',
] as $saved) {
    add_filter($saved, static fn ($value) => map_deep($value, static fn ($part) => is_string($part)
        ? str_replace(home_url('/'), '/', $part)
        : $part), 100);
}
// A post's identifier is made of the address that it was first saved at.
add_filter('get_the_guid', static fn ($guid) => preg_replace('~^https?://[^/]+~', home_url(), $guid));

// The help of each screen is in English for the most part, and sends to a site that cannot be reached.
add_action('current_screen', static fn (WP_Screen $screen) => add_action('admin_head', [$screen, 'remove_help_tabs'], 100));
add_filter('admin_footer_text', '__return_empty_string');

// What an e-mail says it comes from; a seat's address is not one that a mail program accepts.
add_filter('wp_mail_from', static fn ($from) => str_starts_with($from, 'wordpress@') ? get_option('admin_email') : $from);
add_filter('wp_mail_from_name', static fn ($name) => $name === 'WordPress' ? get_option('blogname') : $name);

// A candidate looks after the site's identity in the customiser, without the right to every setting.
add_action('customize_register', static function (WP_Customize_Manager $customiser): void {
    foreach (['blogname', 'blogdescription', 'site_icon', 'show_on_front', 'page_on_front', 'page_for_posts'] as $name) {
        if ($setting = $customiser->get_setting($name)) {
            $setting->capability = 'edit_theme_options';
        }
    }
    $customiser->remove_section('custom_css');
}, 100);
add_action('admin_menu', static function (): void {
    if (!current_user_can('manage_options')) {
        remove_menu_page('tools.php');
        remove_submenu_page('themes.php', 'themes.php');
        remove_submenu_page('themes.php', 'site-editor.php?p=/pattern');
    }
}, 100);

<?php

const MAISON_COLOURS = ['primary' => ['Couleur principale', '#3f5b3a'], 'secondary' => ['Couleur secondaire', '#c98a2b'], 'background' => ['Fond des pages', '#faf6ec']];

function maison_setup(): void
{
    add_theme_support('title-tag');
    add_theme_support('post-thumbnails', ['post', 'page']);
    set_post_thumbnail_size(640, 360, true);
    add_theme_support('automatic-feed-links');
    add_theme_support('html5', ['search-form', 'comment-form', 'comment-list', 'gallery', 'caption', 'style', 'script']);
    add_theme_support('custom-logo', ['width' => 640, 'height' => 200, 'flex-width' => true, 'flex-height' => true]);
    add_theme_support('custom-header', ['width' => 1600, 'height' => 700, 'flex-height' => true, 'flex-width' => true, 'header-text' => false]);
    add_post_type_support('page', 'excerpt');
    register_nav_menus(['principal' => 'Menu principal', 'pied' => 'Pied de page']);
}
add_action('after_setup_theme', 'maison_setup');

add_action('widgets_init', static function (): void {
    foreach (['articles' => 'Colonne des articles', 'pied' => 'Pied de page'] as $id => $name) {
        register_sidebar([
            'id' => $id, 'name' => $name, 'before_widget' => '<section class="widget %2$s">', 'after_widget' => '</section>',
            'before_title' => '<h2 class="widget-title">', 'after_title' => '</h2>',
        ]);
    }
});

add_action('wp_enqueue_scripts', static function (): void {
    wp_enqueue_style('maison', get_stylesheet_uri(), [], (string) filemtime(get_stylesheet_directory() . '/style.css'));
    $colours = '';
    foreach (MAISON_COLOURS as $name => [, $default]) {
        $colours .= "--$name:" . (sanitize_hex_color(get_theme_mod("maison_$name", $default)) ?: $default) . ';';
    }
    wp_add_inline_style('maison', ":root{{$colours}}");
    if (is_singular() && comments_open() && get_option('thread_comments')) {
        wp_enqueue_script('comment-reply');
    }
});

add_action('customize_register', static function (WP_Customize_Manager $customiser): void {
    $customiser->add_section('colors', ['title' => 'Couleurs', 'priority' => 40]);
    foreach (MAISON_COLOURS as $name => [$label, $default]) {
        $customiser->add_setting("maison_$name", ['default' => $default, 'sanitize_callback' => 'sanitize_hex_color']);
        $customiser->add_control(new WP_Customize_Color_Control($customiser, "maison_$name", ['label' => $label, 'section' => 'colors']));
    }
    $customiser->add_section('maison_contact', ['title' => 'Coordonnées', 'priority' => 45]);
    $customiser->add_setting('maison_contact', ['sanitize_callback' => 'sanitize_textarea_field']);
    $customiser->add_control('maison_contact', ['label' => 'Adresse, téléphone et courriel du pied de page', 'section' => 'maison_contact', 'type' => 'textarea']);
});

function maison_card(string $level = 'h2'): void
{
    ?>
    <article <?php post_class('card') ?>>
        <?php if (has_post_thumbnail()): ?>
        <a class="card-picture" href="<?php the_permalink() ?>" tabindex="-1" aria-hidden="true"><?php the_post_thumbnail('post-thumbnail', ['alt' => '']) ?></a>
        <?php endif ?>
        <div class="card-text">
            <p class="quiet"><?= esc_html(get_the_date()) ?><?php if (get_post_type() === 'post') { echo ' · '; the_category(', '); } ?></p>
            <<?= $level ?>><a href="<?php the_permalink() ?>"><?php the_title() ?></a></<?= $level ?>>
            <p><?= esc_html(wp_trim_words(get_the_excerpt(), 30)) ?></p>
        </div>
    </article>
    <?php
}

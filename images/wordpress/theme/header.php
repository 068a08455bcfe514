<!DOCTYPE html>
<html <?php language_attributes() ?>>
<head>
<meta charset="<?php bloginfo('charset') ?>">
<meta name="viewport" content="width=device-width, initial-scale=1">
<?php wp_head() ?>
</head>
<body <?php body_class() ?>>
<?php wp_body_open() ?>
<a class="skip" href="#contenu">Aller au contenu</a>
<header class="site-header">
    <div class="wrap">
        <a class="brand" href="<?= esc_url(home_url('/')) ?>" rel="home">
            <?php if ($logo = get_theme_mod('custom_logo')) { echo wp_get_attachment_image($logo, 'medium', false, ['alt' => '', 'loading' => 'eager']); } ?>
            <span><strong><?php bloginfo('name') ?></strong><?php bloginfo('description') ?></span>
        </a>
        <nav aria-label="Menu principal">
            <?php wp_nav_menu(['theme_location' => 'principal', 'container' => false, 'menu_class' => 'menu', 'fallback_cb' => false, 'depth' => 2]) ?>
        </nav>
    </div>
</header>
<main id="contenu">

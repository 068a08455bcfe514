<?php
get_header();
$latest = new WP_Query(['posts_per_page' => 3, 'ignore_sticky_posts' => true, 'no_found_rows' => true]);
?>
<div class="hero"<?php if ($banner = get_header_image()): ?> style="background-image:url('<?= esc_url($banner) ?>')"<?php endif ?>>
    <div class="wrap">
        <h1><?php bloginfo('name') ?></h1>
        <p><?php bloginfo('description') ?></p>
    </div>
</div>
<?php if (get_option('show_on_front') === 'page'): while (have_posts()): the_post(); ?>
<div class="wrap content"><div class="text"><?php the_content() ?></div></div>
<?php endwhile; endif ?>
<section class="band">
    <div class="wrap">
        <h2>Dernières nouvelles</h2>
        <div class="cards"><?php while ($latest->have_posts()) { $latest->the_post(); maison_card('h3'); } wp_reset_postdata() ?></div>
        <?php if ($blog = get_option('page_for_posts')): ?>
        <p style="margin-top:2rem"><a class="button" href="<?= esc_url(get_permalink($blog)) ?>">Toutes les actualités</a></p>
        <?php endif ?>
    </div>
</section>
<?php get_footer();

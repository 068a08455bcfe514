<?php get_header(); while (have_posts()): the_post() ?>
<div class="wrap content columns">
    <article <?php post_class('text') ?>>
        <h1><?php the_title() ?></h1>
        <p class="quiet"><?= esc_html(get_the_date()) ?> · <?php the_category(', ') ?></p>
        <?php if (has_post_thumbnail()): ?><figure><?php the_post_thumbnail('large') ?></figure><?php endif ?>
        <?php the_content(); wp_link_pages() ?>
        <?php the_tags('<p class="quiet">Mots-clés : ', ', ', '</p>') ?>
        <?php the_post_navigation(['prev_text' => '← %title', 'next_text' => '%title →']) ?>
        <?php if (comments_open() || get_comments_number()) { comments_template(); } ?>
    </article>
    <aside class="sidebar"><?php dynamic_sidebar('articles') ?></aside>
</div>
<?php endwhile; get_footer();

<?php get_header(); while (have_posts()): the_post() ?>
<article <?php post_class('wrap content') ?>>
    <div class="text">
        <h1><?php the_title() ?></h1>
        <?php if (has_post_thumbnail()): ?><figure><?php the_post_thumbnail('large') ?></figure><?php endif ?>
        <?php the_content(); wp_link_pages() ?>
        <?php $inside = wp_list_pages(['child_of' => get_the_ID(), 'title_li' => '', 'echo' => false]); if ($inside): ?>
        <h2>À lire aussi</h2><ul><?= $inside ?></ul>
        <?php endif ?>
    </div>
</article>
<?php endwhile; get_footer();

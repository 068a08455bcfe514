<?php get_header() ?>
<div class="wrap content">
    <h1><?php
    if (is_home()) {
        echo esc_html(get_option('page_for_posts') ? get_the_title(get_option('page_for_posts')) : 'Actualités');
    } elseif (is_search()) {
        printf('Résultats pour « %s »', esc_html(get_search_query()));
    } elseif (is_404()) {
        echo 'Cette page n’existe pas';
    } else {
        echo esc_html(wp_strip_all_tags(single_term_title('', false) ?: get_the_archive_title()));
    }
    ?></h1>
    <?php if (is_category() || is_tag()) { the_archive_description('<div class="quiet">', '</div>'); } ?>
    <div class="columns">
        <div>
            <?php if (have_posts()): ?>
            <div class="cards" style="margin-top:0"><?php while (have_posts()) { the_post(); maison_card(); } ?></div>
            <?php the_posts_pagination(['prev_text' => 'Précédents', 'next_text' => 'Suivants']) ?>
            <?php else: ?>
            <p>Rien n’a été trouvé. Essayez une recherche, ou revenez à <a href="<?= esc_url(home_url('/')) ?>">l’accueil</a>.</p>
            <?php get_search_form() ?>
            <?php endif ?>
        </div>
        <aside class="sidebar"><?php dynamic_sidebar('articles') ?></aside>
    </div>
</div>
<?php get_footer();

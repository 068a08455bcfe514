</main>
<footer class="site-footer">
    <div class="wrap">
        <section>
            <h2><?php bloginfo('name') ?></h2>
            <?= nl2br(esc_html(get_theme_mod('maison_contact', ''))) ?>
        </section>
        <nav aria-label="Informations">
            <h2>Informations</h2>
            <?php wp_nav_menu(['theme_location' => 'pied', 'container' => false, 'menu_class' => 'menu', 'fallback_cb' => false, 'depth' => 1]) ?>
        </nav>
        <?php dynamic_sidebar('pied') ?>
    </div>
</footer>
<?php wp_footer() ?>
</body>
</html>

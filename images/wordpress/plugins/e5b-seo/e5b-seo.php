<?php
/**
 * Plugin Name: Référencement
 * Description: Un titre et une description pour les moteurs de recherche, sur chaque article et chaque page.
 * Version: 1.0
 */

namespace E5b\Seo;

const FIELDS = ['title' => '_e5b_seo_title', 'description' => '_e5b_seo_description'];

add_action('init', static function (): void {
    foreach (['post', 'page'] as $type) {
        foreach (FIELDS as $meta) {
            register_post_meta($type, $meta, [
                'type' => 'string', 'single' => true, 'show_in_rest' => true, 'sanitize_callback' => 'sanitize_text_field',
                'auth_callback' => static fn ($allowed, $key, $post) => current_user_can('edit_post', $post),
            ]);
        }
    }
});

add_action('add_meta_boxes', static function (): void {
    add_meta_box('e5b-seo', 'Référencement (SEO)', __NAMESPACE__ . '\\box', ['post', 'page'], 'normal', 'high');
});

function box(\WP_Post $post): void
{
    wp_nonce_field('e5b-seo', 'e5b_seo_nonce');
    $title = get_post_meta($post->ID, FIELDS['title'], true);
    $description = get_post_meta($post->ID, FIELDS['description'], true);
    ?>
    <p>
        <label for="e5b-seo-title"><strong>Titre SEO</strong></label>
        <input type="text" class="widefat" id="e5b-seo-title" name="e5b_seo_title" maxlength="200"
            value="<?= esc_attr($title) ?>" placeholder="<?= esc_attr(get_the_title($post) . ' – ' . get_bloginfo('name')) ?>">
        <span class="description">Affiché dans l’onglet et dans les résultats de recherche : 60 caractères au plus.
            Actuellement : <output data-e5b-count="e5b-seo-title">0</output>.</span>
    </p>
    <p>
        <label for="e5b-seo-description"><strong>Méta-description</strong></label>
        <textarea class="widefat" rows="3" id="e5b-seo-description" name="e5b_seo_description" maxlength="400"><?= esc_textarea($description) ?></textarea>
        <span class="description">Affichée sous le titre dans les résultats de recherche : de 120 à 155 caractères.
            Actuellement : <output data-e5b-count="e5b-seo-description">0</output>.</span>
    </p>
    <div style="border:1px solid #dcdcde;border-radius:4px;padding:12px;max-width:600px">
        <div style="color:#50575e;font-size:12px"><?= esc_html(get_permalink($post)) ?></div>
        <div id="e5b-seo-shown-title" style="color:#1a0dab;font-size:18px"></div>
        <div id="e5b-seo-shown-description" style="color:#4d5156"></div>
    </div>
    <script>
    (function () {
        var fields = {title: document.getElementById('e5b-seo-title'), description: document.getElementById('e5b-seo-description')};
        function show() {
            Object.keys(fields).forEach(function (name) {
                var field = fields[name];
                document.querySelector('[data-e5b-count="' + field.id + '"]').textContent = field.value.length;
                document.getElementById('e5b-seo-shown-' + name).textContent = field.value || field.placeholder || '';
            });
        }
        Object.values(fields).forEach(function (field) { field.addEventListener('input', show); });
        show();
    })();
    </script>
    <?php
}

add_action('save_post', static function (int $id): void {
    if (!wp_verify_nonce($_POST['e5b_seo_nonce'] ?? '', 'e5b-seo') || wp_is_post_revision($id) || !current_user_can('edit_post', $id)) {
        return;
    }
    foreach (FIELDS as $field => $meta) {
        $value = sanitize_text_field(wp_unslash($_POST["e5b_seo_$field"] ?? ''));
        $value === '' ? delete_post_meta($id, $meta) : update_post_meta($id, $meta, wp_slash($value));
    }
});

/** The post or page that is being shown, the page of posts included. */
function shown(): int
{
    if (is_home() && !is_front_page()) {
        return (int) get_option('page_for_posts');
    }
    return is_singular(['post', 'page']) ? get_queried_object_id() : 0;
}

add_filter('pre_get_document_title', static function (string $title): string {
    $own = shown() ? get_post_meta(shown(), FIELDS['title'], true) : '';
    return $own !== '' ? esc_html($own) : $title;
});

add_action('wp_head', static function (): void {
    if (!shown()) {
        return;
    }
    $description = get_post_meta(shown(), FIELDS['description'], true);
    if ($description !== '') {
        printf("<meta name=\"description\" content=\"%s\">\n", esc_attr($description));
    }
    printf("<meta property=\"og:title\" content=\"%s\">\n", esc_attr(html_entity_decode(wp_get_document_title(), ENT_QUOTES)));
    if ($description !== '') {
        printf("<meta property=\"og:description\" content=\"%s\">\n", esc_attr($description));
    }
}, 1);

// In the lists, what is still to be filled in.
foreach (['post', 'page'] as $type) {
    add_filter("manage_{$type}_posts_columns", static fn (array $columns) => $columns + ['e5b_seo' => 'SEO']);
    add_action("manage_{$type}_posts_custom_column", static function (string $column, int $id): void {
        if ($column === 'e5b_seo') {
            $filled = count(array_filter(FIELDS, static fn ($meta) => get_post_meta($id, $meta, true) !== ''));
            echo ['À remplir', 'Incomplet', 'Rempli'][$filled];
        }
    }, 10, 2);
}

<?php
/**
 * Plugin Name: Formulaire de contact
 * Description: Le formulaire [formulaire_contact], les messages reçus, et leur envoi par courriel.
 * Version: 1.0
 */

namespace E5b\Contact;

const OPTION = 'e5b_contact_form';
const TYPE = 'e5b_message';
const RIGHT = 'manage_contact_messages';
const KINDS = [
    'text' => 'Texte court', 'email' => 'Courriel', 'tel' => 'Téléphone', 'textarea' => 'Texte long',
    'select' => 'Liste de choix', 'checkbox' => 'Case à cocher',
];

function form(): array
{
    return get_option(OPTION) + ['title' => '', 'fields' => [], 'submit' => 'Envoyer', 'thanks' => 'Merci.', 'recipient' => get_option('admin_email')];
}

add_action('init', static function (): void {
    $rights = array_fill_keys(
        ['edit_post', 'read_post', 'delete_post', 'edit_posts', 'edit_others_posts', 'delete_posts', 'delete_others_posts',
            'delete_private_posts', 'delete_published_posts', 'edit_private_posts', 'edit_published_posts', 'publish_posts', 'read_private_posts'],
        RIGHT
    );
    register_post_type(TYPE, [
        'labels' => [
            'name' => 'Messages reçus', 'singular_name' => 'Message', 'menu_name' => 'Formulaire', 'all_items' => 'Messages reçus',
            'edit_item' => 'Message reçu', 'search_items' => 'Rechercher', 'not_found' => 'Aucun message reçu.',
            'not_found_in_trash' => 'Aucun message dans la corbeille.',
        ],
        'public' => false, 'show_ui' => true, 'show_in_rest' => false, 'rewrite' => false, 'query_var' => false,
        'supports' => ['title'], 'menu_icon' => 'dashicons-email-alt', 'menu_position' => 26,
        'capabilities' => $rights + ['create_posts' => 'do_not_allow'], 'map_meta_cap' => false,
    ]);
});

// --- on the site -------------------------------------------------------------------------------------------

add_shortcode('formulaire_contact', static function (): string {
    $form = form();
    [$sent, $errors] = result();
    ob_start();
    echo '<section class="contact-form" id="formulaire">';
    if ($form['title'] !== '') {
        printf('<h2>%s</h2>', esc_html($form['title']));
    }
    if ($sent) {
        printf('<p class="form-thanks" role="status">%s</p></section>', esc_html($form['thanks']));
        return ob_get_clean();
    }
    if ($errors) {
        echo '<p class="form-error" role="alert">Le message n’a pas été envoyé : vérifiez les champs signalés.</p>';
    }
    echo '<form method="post" action="#formulaire" novalidate>';
    wp_nonce_field('e5b-contact', 'e5b_contact_nonce', false);
    // A trap for robots: people do not see it.
    echo '<p style="position:absolute;left:-9999px" aria-hidden="true"><label>Ne pas remplir <input name="e5b_contact_url" tabindex="-1" autocomplete="off"></label></p>';
    foreach ($form['fields'] as $field) {
        field($field, $errors[$field['name']] ?? null);
    }
    printf('<p><button type="submit" name="e5b_contact" value="1">%s</button></p></form></section>', esc_html($form['submit']));
    return ob_get_clean();
});

function given(string $name): string
{
    $value = $_POST['champ'][$name] ?? '';
    return is_string($value) ? trim(wp_unslash($value)) : '';
}

function field(array $field, ?string $error): void
{
    $id = 'champ-' . sanitize_key($field['name']);
    $name = 'champ[' . esc_attr($field['name']) . ']';
    $value = given($field['name']);
    $required = $field['required'] ? ' required aria-required="true"' : '';
    $described = $error ? " aria-invalid=\"true\" aria-describedby=\"$id-erreur\"" : '';
    $label = esc_html($field['label']) . ($field['required'] ? ' <span class="required" aria-hidden="true">*</span>' : '');
    echo '<p class="field field-' . esc_attr($field['type']) . '">';
    if ($field['type'] === 'checkbox') {
        printf('<label for="%1$s"><input type="checkbox" id="%1$s" name="%2$s" value="1"%3$s%4$s%5$s> %6$s</label>', $id, $name, $value ? ' checked' : '', $required, $described, $label);
    } else {
        printf('<label for="%s">%s</label>', $id, $label);
        if ($field['type'] === 'textarea') {
            printf('<textarea id="%s" name="%s" rows="7"%s%s>%s</textarea>', $id, $name, $required, $described, esc_textarea($value));
        } elseif ($field['type'] === 'select') {
            printf('<select id="%s" name="%s"%s%s><option value="">Choisissez…</option>', $id, $name, $required, $described);
            foreach ($field['options'] ?? [] as $option) {
                printf('<option%s>%s</option>', selected($value, $option, false), esc_html($option));
            }
            echo '</select>';
        } else {
            printf('<input type="%s" id="%s" name="%s" value="%s"%s%s>', esc_attr($field['type']), $id, $name, esc_attr($value), $required, $described);
        }
    }
    if ($error) {
        printf('<span class="form-error" id="%s-erreur">%s</span>', $id, esc_html($error));
    }
    echo '</p>';
}

/** @return array{bool, array<string, string>} whether the message was accepted, and what is wrong in which field */
function result(): array
{
    if (isset($_GET['message']) && $_GET['message'] === 'envoye') {
        return [true, []];
    }
    return [false, isset($_POST['e5b_contact']) ? errors() : []];
}

function errors(): array
{
    $errors = [];
    foreach (form()['fields'] as $field) {
        $value = given($field['name']);
        if ($field['required'] && $value === '') {
            $errors[$field['name']] = 'Ce champ est obligatoire.';
        } elseif ($value !== '' && $field['type'] === 'email' && !is_email($value)) {
            $errors[$field['name']] = 'Cette adresse de courriel n’est pas valable.';
        } elseif ($value !== '' && $field['type'] === 'select' && !in_array($value, $field['options'] ?? [], true)) {
            $errors[$field['name']] = 'Ce choix n’existe pas.';
        }
    }
    return $errors;
}

// Before the page is made, so that the visitor ends on an address that can be reloaded.
add_action('template_redirect', static function (): void {
    if (!isset($_POST['e5b_contact'])) {
        return;
    }
    if (!wp_verify_nonce($_POST['e5b_contact_nonce'] ?? '', 'e5b-contact') || !empty($_POST['e5b_contact_url']) || errors()) {
        return;
    }
    receive();
    wp_safe_redirect(add_query_arg('message', 'envoye', get_permalink()) . '#formulaire');
    exit;
});

function receive(): void
{
    $form = form();
    $answers = [];
    $sender = $reply = $subject = '';
    foreach ($form['fields'] as $field) {
        $value = sanitize_textarea_field(given($field['name']));
        if ($field['type'] === 'checkbox') {
            $value = $value !== '' ? 'Oui' : 'Non';
        }
        $answers[$field['label']] = $value;
        $sender = $sender ?: ($field['type'] === 'text' ? $value : '');
        $reply = $reply ?: ($field['type'] === 'email' ? $value : '');
        $subject = $subject ?: ($field['type'] === 'select' ? $value : '');
    }
    $title = implode(' – ', array_filter([$sender, $subject])) ?: 'Message';
    $id = wp_insert_post(wp_slash(['post_type' => TYPE, 'post_status' => 'publish', 'post_title' => $title]));
    update_post_meta($id, 'answers', wp_slash($answers));
    update_post_meta($id, 'email', wp_slash($reply));
    $text = '';
    foreach ($answers as $label => $value) {
        $text .= "$label : $value\n";
    }
    wp_mail(
        $form['recipient'],
        '[' . wp_specialchars_decode(get_option('blogname'), ENT_QUOTES) . '] ' . $title,
        $text . "\n-- \nMessage envoyé par le formulaire de " . home_url('/'),
        is_email($reply) ? ["Reply-To: $reply"] : []
    );
}

// --- in the administration ---------------------------------------------------------------------------------

add_filter('manage_' . TYPE . '_posts_columns', static fn () => ['cb' => '<input type="checkbox">', 'title' => 'Message', 'e5b_email' => 'Courriel', 'date' => 'Reçu le']);
add_action('manage_' . TYPE . '_posts_custom_column', static function (string $column, int $id): void {
    if ($column === 'e5b_email') {
        echo esc_html(get_post_meta($id, 'email', true));
    }
}, 10, 2);
add_filter('bulk_actions-edit-' . TYPE, static fn (array $actions) => array_diff_key($actions, ['edit' => true]));
add_filter('post_row_actions', static function (array $actions, \WP_Post $post): array {
    if ($post->post_type !== TYPE) {
        return $actions;
    }
    return ['view' => sprintf('<a href="%s">Lire</a>', esc_url(get_edit_post_link($post->ID)))] + array_intersect_key($actions, ['trash' => 1, 'untrash' => 1, 'delete' => 1]);
}, 10, 2);
add_action('add_meta_boxes_' . TYPE, static function (): void {
    remove_meta_box('submitdiv', TYPE, 'side');
    remove_meta_box('slugdiv', TYPE, 'normal');
    add_meta_box('e5b-answers', 'Contenu du message', static function (\WP_Post $post): void {
        echo '<table class="widefat striped"><tbody>';
        foreach ((array) get_post_meta($post->ID, 'answers', true) as $label => $value) {
            printf('<tr><th scope="row" style="width:30%%">%s</th><td>%s</td></tr>', esc_html($label), nl2br(esc_html($value)));
        }
        printf('<tr><th scope="row">Reçu le</th><td>%s</td></tr></tbody></table>', esc_html(get_the_date('j F Y à H \h i', $post)));
    }, TYPE, 'normal', 'high');
});
add_action('admin_menu', static function (): void {
    add_submenu_page('edit.php?post_type=' . TYPE, 'Réglages du formulaire', 'Réglages', RIGHT, 'e5b-contact', __NAMESPACE__ . '\\settings_page');
});

function settings_page(): void
{
    $form = form();
    if (isset($_POST['e5b_form']) && check_admin_referer('e5b-contact-settings')) {
        $form = settings_given(wp_unslash($_POST));
        update_option(OPTION, $form);
        echo '<div class="notice notice-success"><p>Le formulaire a été enregistré.</p></div>';
    }
    ?>
    <div class="wrap">
        <h1>Réglages du formulaire de contact</h1>
        <p>Le formulaire est affiché là où une page ou un article contient <code>[formulaire_contact]</code>.</p>
        <form method="post">
            <?php wp_nonce_field('e5b-contact-settings') ?>
            <table class="form-table" role="presentation">
                <?php foreach (['title' => 'Titre', 'submit' => 'Libellé du bouton', 'thanks' => 'Message de remerciement', 'recipient' => 'Destinataire des messages'] as $name => $label): ?>
                <tr><th scope="row"><label for="e5b-<?= $name ?>"><?= $label ?></label></th>
                    <td><input class="large-text" type="<?= $name === 'recipient' ? 'email' : 'text' ?>" id="e5b-<?= $name ?>" name="<?= $name ?>" value="<?= esc_attr($form[$name]) ?>"></td></tr>
                <?php endforeach ?>
            </table>
            <h2>Champs</h2>
            <p>Pour retirer un champ, effacez son libellé. La dernière ligne sert à en ajouter un. Les choix d’une liste sont séparés par « ; ».</p>
            <table class="widefat striped">
                <thead><tr><th>Ordre</th><th>Libellé</th><th>Type</th><th>Obligatoire</th><th>Choix (liste)</th></tr></thead>
                <tbody>
                <?php foreach ([...$form['fields'], ['name' => '', 'label' => '', 'type' => 'text', 'required' => false]] as $i => $field): ?>
                    <tr>
                        <td><input type="number" class="small-text" name="fields[<?= $i ?>][order]" value="<?= $i + 1 ?>" aria-label="Ordre">
                            <input type="hidden" name="fields[<?= $i ?>][name]" value="<?= esc_attr($field['name']) ?>"></td>
                        <td><input class="regular-text" name="fields[<?= $i ?>][label]" value="<?= esc_attr($field['label']) ?>" aria-label="Libellé"></td>
                        <td><select name="fields[<?= $i ?>][type]" aria-label="Type">
                            <?php foreach (KINDS as $kind => $label): ?>
                            <option value="<?= $kind ?>"<?php selected($field['type'], $kind) ?>><?= $label ?></option>
                            <?php endforeach ?>
                        </select></td>
                        <td><input type="checkbox" name="fields[<?= $i ?>][required]" value="1"<?php checked($field['required']) ?> aria-label="Obligatoire"></td>
                        <td><input class="regular-text" name="fields[<?= $i ?>][options]" value="<?= esc_attr(implode(' ; ', $field['options'] ?? [])) ?>" aria-label="Choix"></td>
                    </tr>
                <?php endforeach ?>
                </tbody>
            </table>
            <p class="submit"><button class="button button-primary" name="e5b_form" value="1">Enregistrer</button></p>
        </form>
    </div>
    <?php
}

function settings_given(array $posted): array
{
    $form = [
        'title' => sanitize_text_field($posted['title']), 'fields' => [], 'submit' => sanitize_text_field($posted['submit']),
        'thanks' => sanitize_text_field($posted['thanks']), 'recipient' => sanitize_email($posted['recipient']) ?: get_option('admin_email'),
    ];
    $fields = (array) ($posted['fields'] ?? []);
    uasort($fields, static fn ($one, $other) => (int) $one['order'] <=> (int) $other['order']);
    foreach ($fields as $field) {
        $label = sanitize_text_field($field['label']);
        if ($label === '' || !isset(KINDS[$field['type']])) {
            continue;
        }
        $kept = [
            'name' => sanitize_key($field['name'] ?: sanitize_title($label)), 'label' => $label, 'type' => $field['type'],
            'required' => !empty($field['required']),
        ];
        if ($field['type'] === 'select') {
            $kept['options'] = array_values(array_filter(array_map('trim', explode(';', sanitize_text_field($field['options'])))));
        }
        $form['fields'][] = $kept;
    }
    return $form;
}

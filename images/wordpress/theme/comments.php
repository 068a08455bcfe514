<?php if (post_password_required()) { return; } ?>
<section id="comments">
    <?php if (have_comments()): ?>
    <h2><?= get_comments_number() > 1 ? get_comments_number() . ' commentaires' : '1 commentaire' ?></h2>
    <ol class="comment-list"><?php wp_list_comments(['style' => 'ol', 'avatar_size' => 0]) ?></ol>
    <?php the_comments_pagination() ?>
    <?php endif ?>
    <?php comment_form() ?>
</section>

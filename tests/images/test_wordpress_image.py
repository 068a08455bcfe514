"""The WordPress image holds the contract, and its candidate may do what the exam asks and no more."""

from __future__ import annotations

import html
import re
import time
from typing import ClassVar

import pytest

from .conftest import Browser, Environment
from .contract import ContractChecks, refused


@pytest.fixture(scope="module")
def site_name() -> str:
    return "wordpress"


def hidden_fields(page: str, form: str) -> dict[str, str]:
    """The hidden fields of the form that has this id."""
    inside = re.search(rf'<form[^>]*id="{form}".*?</form>', page, re.S)
    assert inside, f"no form {form}"
    fields = {}
    for tag in re.findall(r"<input[^>]*type=[\"']hidden[\"'][^>]*>", inside[0]):
        name = re.search(r"name=[\"']([^\"']+)", tag)
        value = re.search(r"value=[\"']([^\"']*)", tag)
        if name:
            fields[name[1]] = html.unescape(value[1] if value else "")
    return fields


def publish(browser: Browser, title: str, kind: str = "page", **fields: str) -> str:
    form = browser.get(f"/wp-admin/post-new.php?post_type={kind}")
    assert form.status_code == 200
    data = (
        hidden_fields(form.text, "post")
        | {
            "post_title": title,
            "content": f'<p>{title}. <a href="{browser.base}/contact/">Nous écrire</a></p>',
            "publish": "Publier",
            "post_status": "publish",
            "visibility": "public",
        }
        | fields
    )
    saved = browser.post("/wp-admin/post.php", data=data)
    assert saved.status_code == 200
    shown = re.search(r'id="sample-permalink"><a href="([^"]+)"', saved.text)
    assert shown, "the page was not published"
    return shown[1].removeprefix(browser.base)


class TestWordPress(ContractChecks):
    site = "wordpress"
    code = "/var/www/site/wp-content/themes/maison/functions.php"
    upload_folder = "/var/www/site/wp-content/uploads"
    spare_table = "wp_links"
    pages: ClassVar[list[str]] = [
        "/",
        "/actualites/",
        "/contact/",
        "/notre-histoire/l-atelier/",
        "/rubrique/recettes/",
        "/?s=miel",
        "/feed/",
        "/wp-json/",
        "/mentions-legales/",
    ]
    changes: ClassVar[dict[str, tuple[str, str]]] = {
        "a changed option": (
            "UPDATE wp_options SET option_value = 'x' WHERE option_name = 'blogdescription'",
            "wp_options",
        ),
        "a changed post": ("UPDATE wp_posts SET post_content = CONCAT(post_content, ' ') WHERE ID = 40", "wp_posts"),
        "an added user": ("INSERT INTO wp_users (user_login) VALUES ('intrus')", "wp_users"),
        "a changed role": (
            "UPDATE wp_usermeta SET meta_value = 'x' WHERE meta_key = 'wp_capabilities' LIMIT 1",
            "wp_usermeta",
        ),
        "a changed menu": ("UPDATE wp_term_relationships SET term_order = 9 LIMIT 1", "wp_term_relationships"),
    }

    def log_in(self, browser: Browser, login: str, password: str) -> None:
        browser.get("/wp-login.php")
        form = {"log": login, "pwd": password, "testcookie": "1", "redirect_to": browser.base + "/wp-admin/"}
        board = browser.post("/wp-login.php", data=form)
        assert board.status_code == 200 and 'id="wpadminbar"' in board.text, "not logged in"

    def log_out(self, browser: Browser) -> None:
        link = re.search(r"""href=["']([^"']*action=logout[^"']*)""", browser.get("/wp-admin/profile.php").text)
        assert link
        assert browser.get(html.unescape(link[1])).status_code == 200

    def save_page(self, browser: Browser, title: str) -> str:
        return publish(browser, title)

    def send_mail(self, browser: Browser) -> str:
        page = browser.get("/contact/").text
        nonce = re.search(r'name="e5b_contact_nonce" value="([^"]+)"', page)
        assert nonce
        sent = browser.post(
            "/contact/",
            data={
                "e5b_contact_nonce": nonce[1],
                "e5b_contact": "1",
                "champ[nom]": "Visiteuse",
                "champ[courriel]": "visiteuse@example.org",
                "champ[telephone]": "",
                "champ[sujet]": "Une commande",
                "champ[message]": "Bonjour,\nêtes-vous ouverts ?",
                "champ[accord]": "1",
            },
        )
        assert "Merci" in sent.text, "the form did not accept the message"
        return "Visiteuse"

    # --- content ---

    def test_the_site_is_in_french_and_filled(self, visited: Environment) -> None:
        home = visited.browser().get("/").text
        assert '<html lang="fr-FR"' in home
        assert "Les Tisanes du Clos Verdier" in home
        assert (
            int(visited.sql("SELECT COUNT(*) FROM wp_posts WHERE post_type = 'post' AND post_status = 'publish'")) >= 10
        )
        assert int(visited.sql("SELECT COUNT(*) FROM wp_posts WHERE post_type = 'attachment'")) >= 10
        assert (
            int(
                visited.sql(
                    "SELECT COUNT(*) FROM wp_posts WHERE post_content LIKE '%http://localhost%'"
                    " OR post_content LIKE '%{{%'"
                )
            )
            == 0
        )
        assert (
            int(visited.sql("SELECT COUNT(*) FROM wp_posts WHERE post_status IN ('auto-draft', 'future', 'draft')"))
            == 0
        )

    def test_the_logo_is_shown_whole(self, visited: Environment) -> None:
        shown = re.search(r'class="brand".*?<img width="(\d+)" height="(\d+)"', visited.browser().get("/").text, re.S)
        assert shown
        assert int(shown[1]) / int(shown[2]) == pytest.approx(640 / 200, rel=0.02)

    def test_every_page_and_post_of_the_site_is_there(self, visited: Environment) -> None:
        browser = visited.browser()
        listed = (
            browser.get("/wp-json/wp/v2/pages?per_page=100").json()
            + browser.get("/wp-json/wp/v2/posts?per_page=100").json()
        )
        assert len(listed) >= 20
        for entry in listed:
            page = browser.get(entry["link"])
            assert page.status_code == 200, entry["link"]
            for picture in re.findall(r'<img[^>]+src="([^"]+)"', page.text):
                assert browser.get(picture).status_code == 200, picture

    def test_nothing_in_the_pages_comes_from_elsewhere(self, visited: Environment) -> None:
        browser = visited.browser()
        for path in self.pages[:6]:
            for found in re.findall(r"""(?:src|href|action)=["'](https?:)?//([^/"']+)""", browser.get(path).text):
                assert found[1] in ("poste-07.e5b.lan", "gmpg.org", "api.w.org"), found

    def test_installers_and_remote_procedures_are_gone(self, visited: Environment) -> None:
        browser = visited.browser()
        for path in (
            "/wp-admin/install.php",
            "/wp-admin/setup-config.php",
            "/xmlrpc.php",
            "/wp-cron.php",
            "/wp-signup.php",
            "/readme.html",
            "/wp-config.php",
            "/wp-salts.php",
            "/.htaccess",
        ):
            assert refused(browser.get(path, allow_redirects=False)), path

    # --- the candidate ---

    def test_the_candidate_publishes_with_search_engine_fields(self, environment: Environment) -> None:
        browser = self.candidate(environment)
        fields = {"e5b_seo_title": "Un titre pour les moteurs", "e5b_seo_description": "Une description d'essai."}
        for kind in ("post", "page"):
            path = publish(browser, f"Une nouvelle {kind}", kind, **fields)
            page = environment.browser().get(path).text
            assert "<title>Un titre pour les moteurs</title>" in page
            assert '<meta name="description" content="Une description d&#039;essai.">' in page

    def test_the_candidate_uploads_a_picture_and_no_program(self, environment: Environment) -> None:
        browser = self.candidate(environment)
        form = browser.get("/wp-admin/media-new.php").text
        nonce = re.search(r'name="_wpnonce" value="([^"]+)"', form)
        assert nonce
        picture = environment.run("sh", "-c", "cat /var/www/site/wp-content/uploads/2026/01/logo.png").output
        before = environment.fingerprint()
        for name, content, kind, accepted in (
            ("photo.png", picture, "image/png", True),
            ("x.php", b"<?php echo 1;", "image/png", False),
        ):
            answer = browser.post(
                "/wp-admin/async-upload.php",
                data={"_wpnonce": nonce[1], "action": "upload-attachment"},
                files={"async-upload": (name, content, kind)},
            )
            assert answer.json()["success"] is accepted, answer.text
        after = environment.fingerprint()
        added = set(after["files"]) - set(before["files"])
        assert any(path.endswith("/photo.png") for path in added)
        assert not any(path.endswith(".php") for path in added)
        assert {"wp_posts", "wp_postmeta"} <= {
            name for name in after["tables"] if after["tables"][name] != before["tables"][name]
        }

    def test_the_candidate_reaches_what_the_exam_asks(self, visited: Environment) -> None:
        browser = self.candidate(visited)
        for path in (
            "index.php",
            "edit.php",
            "edit.php?post_type=page",
            "post-new.php",
            "upload.php",
            "edit-tags.php?taxonomy=category",
            "edit-comments.php",
            "nav-menus.php",
            "widgets.php",
            "customize.php",
            "profile.php",
            "edit.php?post_type=e5b_message",
            "edit.php?post_type=e5b_message&page=e5b-contact",
        ):
            begun = time.monotonic()
            page = browser.get(f"/wp-admin/{path}")
            assert page.status_code == 200, path
            assert time.monotonic() - begun < 5, path
            assert "Fatal error" not in page.text, path

    def test_the_candidate_reaches_nothing_else(self, visited: Environment) -> None:
        browser = self.candidate(visited)
        for path in (
            "plugins.php",
            "plugin-install.php",
            "plugin-editor.php",
            "theme-install.php",
            "theme-editor.php",
            "update-core.php",
            "users.php",
            "user-new.php",
            "user-edit.php?user_id=1",
            "options-general.php",
            "options.php",
            "options-permalink.php",
            "import.php",
            "export.php",
            "site-health.php",
            "erase-personal-data.php",
        ):
            page = browser.get(f"/wp-admin/{path}")
            assert refused(page) or (page.status_code == 500 and "wp-die-message" in page.text), path
        nonce = re.search(r'"nonce":"([0-9a-f]+)"', browser.get("/wp-admin/post-new.php").text) or re.search(
            r"createNonceMiddleware\( ?\"([0-9a-f]+)\"", browser.get("/wp-admin/upload.php").text
        )
        rest = browser.get("/wp-admin/admin-ajax.php?action=rest-nonce").text
        headers = {"X-WP-Nonce": rest if re.fullmatch(r"[0-9a-f]{10}", rest) else (nonce[1] if nonce else "")}
        for method, path in (
            ("POST", "users"),
            ("POST", "users/1"),
            ("POST", "settings"),
            ("GET", "plugins"),
            ("POST", "plugins"),
        ):
            answer = browser.request(
                method,
                f"/wp-json/wp/v2/{path}",
                headers=headers,
                json={
                    "username": "intrus",
                    "email": "intrus@example.org",
                    "password": "x",
                    "roles": ["administrator"],
                    "title": "x",
                    "slug": "x",
                },
            )
            assert refused(answer), (method, path, answer.status_code)

    def test_the_editor_speaks_french(self, visited: Environment) -> None:
        page = self.candidate(visited).get("/wp-admin/post-new.php").text
        assert re.search(r"wp-heading-inline\">\s*Ajouter un", page)
        assert "Référencement (SEO)" in page
        # What the page's scripts will write once they run.
        assert '"Publish":["Publier"]' in page
        assert '"Update":["Mettre à jour"]' in page

    def test_messages_of_the_form_are_kept_in_the_administration(self, environment: Environment) -> None:
        self.send_mail(environment.browser())
        browser = self.candidate(environment)
        listed = browser.get("/wp-admin/edit.php?post_type=e5b_message").text
        assert "Visiteuse – Une commande" in html.unescape(listed)
        link = re.search(r'href="([^"]*post=\d+&amp;action=edit[^"]*)"', listed)
        assert link
        assert "êtes-vous ouverts" in browser.get(html.unescape(link[1])).text

    def test_a_form_wrongly_filled_says_where(self, environment: Environment) -> None:
        browser = environment.browser()
        nonce = re.search(r'name="e5b_contact_nonce" value="([^"]+)"', browser.get("/contact/").text)
        assert nonce
        answer = browser.post(
            "/contact/",
            data={"e5b_contact_nonce": nonce[1], "e5b_contact": "1", "champ[nom]": "", "champ[courriel]": "x"},
        )
        assert "Ce champ est obligatoire." in answer.text
        assert "n’est pas valable" in answer.text
        assert environment.sql("SELECT COUNT(*) FROM wp_posts WHERE post_type = 'e5b_message'") == "0"

    def test_a_scheduled_post_appears_when_its_time_has_come(self, environment: Environment) -> None:
        browser = self.candidate(environment)
        path = publish(browser, "Programmée", "post")
        identifier = environment.sql(
            "SELECT MAX(ID) FROM wp_posts WHERE post_title = 'Programmée' AND post_type = 'post'"
        )
        environment.tool(
            "load-fixtures",
            stdin=_php(f"""
            wp_update_post(['ID' => {identifier}, 'post_status' => 'future', 'edit_date' => true,
                'post_date' => wp_date('Y-m-d H:i:s', time() + 120),
                'post_date_gmt' => gmdate('Y-m-d H:i:s', time() + 120)]);
            wp_clear_scheduled_hook('publish_future_post', [{identifier}]);
            wp_schedule_single_event(time() + 3, 'publish_future_post', [{identifier}]);
            $due = ['post_date_gmt' => gmdate('Y-m-d H:i:s', time() + 3)];
            $GLOBALS['wpdb']->update('wp_posts', $due, ['ID' => {identifier}]);
        """),
        )
        assert environment.browser().get(path).status_code == 404
        time.sleep(4)
        environment.browser().get("/")
        assert environment.browser().get(path).status_code == 200


def _php(code: str) -> bytes:
    from .conftest import archive

    return archive({"php/10.php": f"<?php {code}".encode()})

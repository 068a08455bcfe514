"""The PrestaShop image holds the contract, and its candidate may do what the exam asks and no more.

PrestaShop is not part of this project: its image exists where an operator gave its release. Elsewhere these tests are
skipped, and say so.
"""

from __future__ import annotations

import html
import json
import re
import time
from html.parser import HTMLParser
from typing import Any, ClassVar

import docker
import pytest
import requests

from .conftest import Browser, Environment, archive, site_image
from .contract import ContractChecks, differing, refused

PRICE = "product[pricing][retail_price][price_tax_excluded]"


@pytest.fixture(scope="module")
def site_name() -> str:
    return "prestashop"


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient, site_name: str) -> str:
    """No image is no failure here."""
    found = site_image(engine, site_name)
    if found is None:
        pytest.skip(
            "NOT TESTED: PrestaShop. No image of it is on this machine; give the official release "
            "(prestashop_8.1.2.zip) in E5B_PRESTASHOP_ARCHIVE and run `e5b setup`"
        )
    return found


class Fields(HTMLParser):
    """What a browser would send of one form, as it was served."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.inside = form, False
        self.found: list[tuple[str, str]] = []
        self.select: dict[str, Any] | None = None
        self.area: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.inside = self.form in (given.get("name"), given.get("id"))
        name = given.get("name")
        if not self.inside or "disabled" in given:
            return
        if tag == "input" and name:
            kind = given.get("type", "text")
            if kind in ("submit", "button", "file", "image") or (
                kind in ("checkbox", "radio") and "checked" not in given
            ):
                return
            self.found.append((name, given.get("value") or ""))
        elif tag == "select" and name:
            self.select = {"name": name, "several": "multiple" in given, "first": None, "chosen": []}
        elif tag == "option" and self.select is not None:
            value = given.get("value") or ""
            self.select["first"] = value if self.select["first"] is None else self.select["first"]
            if "selected" in given:
                self.select["chosen"].append(value)
        elif tag == "textarea" and name:
            self.area = (name, [])

    def handle_data(self, data: str) -> None:
        if self.area is not None:
            self.area[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.area is not None:
            self.found.append((self.area[0], "".join(self.area[1]).lstrip("\n")))
            self.area = None
        elif tag == "select" and self.select is not None:
            chosen = self.select["chosen"]
            if not chosen and not self.select["several"] and self.select["first"] is not None:
                chosen = [self.select["first"]]
            self.found.extend((self.select["name"], value) for value in chosen)
            self.select = None
        elif tag == "form":
            self.inside = False


def fields(page: str, form: str) -> dict[str, str]:
    reader = Fields(form)
    reader.feed(page)
    assert reader.found, f"no form {form}"
    return {name: value for name, value in reader.found if name.startswith(f"{form}[")}


def admin_link(browser: Browser, path: str) -> str:
    """The address of a page of the administration with the session's own token, as the menu gives it."""
    board = browser.get("/gestion/index.php?controller=AdminDashboard").text
    for found in re.findall(r'href="([^"]+)"', board):
        link = html.unescape(found)
        if link.removeprefix(browser.base).startswith(f"/gestion/index.php{path}"):
            return link
    raise AssertionError(f"the menu has no {path}")


def token(browser: Browser) -> str:
    """The token of the pages that Symfony serves."""
    found = re.search(r"_token=([\w-]+)", admin_link(browser, "/sell/catalog/products?"))
    assert found
    return found[1]


def edit_product(browser: Browser, number: int, **changed: str) -> requests.Response:
    address = f"/gestion/index.php/sell/catalog/products-v2/{number}/edit?_token={token(browser)}"
    form = fields(browser.get(address).text, "product")
    assert all(name in form for name in changed)
    return browser.post(address, data=form | changed)


class TestPrestaShop(ContractChecks):
    site = "prestashop"
    code = "/var/www/site/classes/Product.php"
    upload_folder = "/var/www/site/img/cms"
    spare_table = "ps_supplier"
    pages: ClassVar[list[str]] = [
        "/",
        "/3-tisanes",
        "/tisanes/1-verveine-citronnelle.html",
        "/recherche?s=miel",
        "/content/1-notre-histoire",
        "/content/category/2-actualites",
        "/nous-contacter",
        "/connexion",
        "/inscription",
        "/panier?action=show",
        "/plan-du-site",
    ]
    changes: ClassVar[dict[str, tuple[str, str]]] = {
        "a changed option": ("UPDATE ps_configuration SET value = 'x' WHERE name = 'PS_SHOP_NAME'", "ps_configuration"),
        "a changed price": ("UPDATE ps_product_shop SET price = price + 1 WHERE id_product = 1", "ps_product_shop"),
        "an added employee": (
            "INSERT INTO ps_employee (id_profile, id_lang, lastname, firstname, email, passwd)"
            " VALUES (1, 1, 'I', 'I', 'i@i', 'x')",
            "ps_employee",
        ),
        "an added customer": (
            "UPDATE ps_customer SET email = 'intrus@example.org' WHERE id_customer = 1",
            "ps_customer",
        ),
        "a changed right": ("DELETE FROM ps_access WHERE id_profile = 2 LIMIT 1", "ps_access"),
    }

    def log_in(self, browser: Browser, login: str, password: str) -> None:
        """What the page's script does (js/admin/login.js)."""
        browser.get("/gestion/")
        answer = browser.post(
            "/gestion/index.php?rand=1",
            data={
                "ajax": "1",
                "controller": "AdminLogin",
                "submitLogin": "1",
                "redirect": "",
                "email": login,
                "passwd": password,
            },
        ).json()
        assert answer["hasErrors"] is False, answer
        assert 'id="nav-sidebar"' in browser.get("/gestion/index.php?controller=AdminDashboard").text, "not logged in"

    def log_out(self, browser: Browser) -> None:
        assert browser.get(admin_link(browser, "?controller=AdminLogin&logout")).status_code == 200

    def save_page(self, browser: Browser, title: str) -> str:
        address = f"/gestion/index.php/improve/design/cms-pages/new?_token={token(browser)}"
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        form = fields(browser.get(address).text, "cms_page") | {
            "cms_page[title][1]": title,
            "cms_page[friendly_url][1]": slug,
            "cms_page[content][1]": f'<p>{title}. <a href="{browser.base}/nous-contacter">Nous écrire</a></p>',
            "cms_page[is_displayed]": "1",
        }
        saved = browser.post(address, data=form)
        assert saved.status_code == 200 and "/cms-pages/new" not in saved.url, "the page was not saved"
        listed = re.findall(r"cms-pages/(\d+)/edit", saved.text)
        return f"/content/{max(map(int, listed))}-{slug}"

    def send_mail(self, browser: Browser) -> str:
        page = browser.get("/nous-contacter").text
        form = re.search(r'<form action="[^"]*/nous-contacter".*?</form>', page, re.S)
        assert form
        known = re.search(r'name="token" value="(\w+)"', form[0])
        assert known
        sent = browser.post(
            "/nous-contacter",
            data={
                "token": known[1],
                "url": "",
                "id_contact": "2",
                "from": "visiteuse@example.org",
                "message": "Bonjour, êtes-vous ouverts ?",
                "submitMessage": "Envoyer",
            },
        )
        assert "alert-success" in sent.text, "the form did not accept the message"
        return "Les Tisanes du Clos Verdier"

    # --- content ---

    def test_the_shop_is_french_and_filled(self, visited: Environment) -> None:
        home = visited.browser().get("/").text
        assert '<html lang="fr-FR"' in home
        assert "Les Tisanes du Clos Verdier" in home
        assert "Ajouter au panier" in visited.browser().get("/tisanes/1-verveine-citronnelle.html").text
        assert "6,50\xa0€" in html.unescape(home)
        for count, table in (
            ("12", "ps_product"),
            ("6", "ps_customer WHERE email LIKE '%@courriel.example'"),
            ("10", "ps_orders"),
            ("10", "ps_order_invoice"),
            ("1", "ps_cart_rule"),
        ):
            assert visited.sql(f"SELECT COUNT(*) FROM {table}") == count, table
        assert visited.sql("SELECT COUNT(*) FROM ps_image") == "12"
        for table, column in (("ps_cms_lang", "content"), ("ps_product_lang", "description"), ("ps_info_lang", "text")):
            assert (
                visited.sql(
                    f"SELECT COUNT(*) FROM {table} WHERE {column} LIKE '%{{{{%' OR {column} LIKE '%//localhost%'"
                )
                == "0"
            )

    def test_every_product_and_page_is_there_with_its_pictures(self, visited: Environment) -> None:
        browser = visited.browser()
        sitemap = browser.get("/plan-du-site").text
        links = {html.unescape(link) for link in re.findall(r'href="([^"#]+)"', sitemap)}
        ours = sorted(link for link in links if re.search(r"/(\d+-|content/)", link) and link.startswith(browser.base))
        products = [f"/index.php?controller=product&id_product={number}" for number in range(1, 13)]
        assert len(ours) >= 15
        for link in [*ours, *products]:
            page = browser.get(link)
            assert page.status_code == 200, link
            for picture in set(re.findall(r'<img[^>]+src="([^"]+)"', page.text)):
                assert browser.get(html.unescape(picture)).status_code == 200, picture

    def test_nothing_in_the_pages_comes_from_elsewhere(self, visited: Environment) -> None:
        browser = visited.browser()
        for path in self.pages:
            for found in re.findall(
                r"""<(?:script|link|img|iframe|form)\b[^>]*(?:src|href|action)=["'](?:https?:)?//([^/"']+)""",
                browser.get(path).text,
            ):
                assert found == "poste-07.e5b.lan", (path, found)

    def test_installers_default_administration_and_leftovers_are_gone(self, visited: Environment) -> None:
        browser = visited.browser()
        for path in (
            "/install/",
            "/install/index.php",
            "/admin/",
            "/admin/index.php",
            "/docs/",
            "/INSTALL.txt",
            "/composer.lock",
            "/.htaccess",
            "/app/config/parameters.php",
            "/var/logs/",
            "/modules/ps_mbo/",
            "/modules/ps_accounts/",
            "/bin/console",
        ):
            assert refused(browser.get(path, allow_redirects=False)), path
        assert not {"install", "admin", "docs"} & set(visited.shell("ls /var/www/site").split())

    def test_no_module_that_calls_home_is_installed(self, visited: Environment) -> None:
        installed = set(visited.sql("SELECT name FROM ps_module").split())
        assert installed == set(visited.shell("cd /var/www/site/modules && ls -d */ | tr -d /").split())
        assert not installed & {
            "ps_mbo",
            "ps_accounts",
            "ps_eventbus",
            "ps_metrics",
            "ps_checkout",
            "ps_facebook",
            "psxmarketingwithgoogle",
            "gamification",
            "klaviyopsautomation",
            "mbeshipping",
            "ps_distributionapiclient",
            "ps_edition_basic",
        }

    def test_a_visitor_puts_a_product_in_the_basket_and_the_reference_does_not_change(
        self, environment: Environment
    ) -> None:
        before = environment.fingerprint()
        browser = environment.browser()
        product = browser.get("/tisanes/1-verveine-citronnelle.html").text
        known = re.search(r'name="token" value="(\w+)"', product)
        assert known
        added = browser.post(
            "/panier",
            data={
                "token": known[1],
                "id_product": "1",
                "id_customization": "0",
                "qty": "2",
                "add": "1",
                "action": "update",
                "ajax": "1",
            },
        ).json()
        assert added["success"] is True
        assert "Verveine" in browser.get("/panier?action=show").text
        assert browser.get("/commande").url.endswith("/commande")
        assert differing(before, environment.fingerprint()) == set()

    # --- the candidate ---

    def test_a_wrong_password_is_refused(self, visited: Environment) -> None:
        described = json.loads(visited.tool("describe").output)
        with pytest.raises(AssertionError, match="hasErrors"):
            self.log_in(visited.browser(), described["login"], "Pas-le-bon-2026")

    def test_the_candidate_changes_a_price_and_the_fingerprint_says_so(self, environment: Environment) -> None:
        before = environment.fingerprint()
        browser = self.candidate(environment)
        assert differing(before, environment.fingerprint()) == set()
        saved = edit_product(browser, 1, **{PRICE: "9,00"})
        assert saved.status_code == 200
        assert environment.sql("SELECT price FROM ps_product_shop WHERE id_product = 1") == "9.000000"
        assert "9,50\xa0€" in html.unescape(
            environment.browser().get("/index.php?controller=product&id_product=1").text
        )
        assert {"ps_product", "ps_product_shop"} <= differing(before, environment.fingerprint())

    def test_the_candidate_writes_search_engine_fields(self, environment: Environment) -> None:
        browser = self.candidate(environment)
        edit_product(
            browser,
            6,
            **{
                "product[seo][meta_title][1]": "Un titre pour les moteurs",
                "product[seo][meta_description][1]": "Une description.",
            },
        )
        page = environment.browser().get("/index.php?controller=product&id_product=6").text
        assert "<title>Un titre pour les moteurs</title>" in page
        assert '<meta name="description" content="Une description.">' in page

    def test_an_uploaded_picture_is_seen(self, environment: Environment) -> None:
        browser = self.candidate(environment)
        before = environment.fingerprint()
        picture = environment.run("cat", "/var/www/site/img/logo-clos-verdier.jpg").output
        address = f"/gestion/index.php/sell/catalog/products-v2/1/edit?_token={token(browser)}"
        known = re.search(r'data-form-name="product_image"\s+data-token="([\w-]+)"', browser.get(address).text)
        assert known
        answer = browser.post(
            f"/gestion/index.php/sell/catalog/products-v2/images/add?_token={token(browser)}",
            data={"product_image[product_id]": "1", "product_image[_token]": known[1]},
            files={"product_image[file]": ("photo.jpg", picture, "image/jpeg")},
        )
        assert answer.status_code == 200, answer.text[:300]
        after = environment.fingerprint()
        assert "ps_image" in differing(before, after)
        assert any(path.startswith("/var/www/site/img/p/") for path in after["files"])

    def test_the_candidate_reaches_what_the_exam_asks(self, visited: Environment) -> None:
        browser = self.candidate(visited)
        board = browser.get("/gestion/index.php?controller=AdminDashboard").text
        menu = {html.unescape(link) for link in re.findall(r'<a href="([^"]+)" class="link', board)}
        assert len(menu) >= 20
        shortcuts = {
            html.unescape(link)
            for link in re.findall(r'href="([^"]*controller=AdminModules&(?:amp;)?configure=[^"]*)"', board)
        }
        assert len(shortcuts) >= 6
        for link in menu | shortcuts:
            begun = time.monotonic()
            page = browser.get(link)
            assert page.status_code == 200, link
            assert time.monotonic() - begun < 5, link
            assert not denied(page) or "controller=AdminDashboard" in link, link

    def test_the_candidate_reaches_nothing_else(self, visited: Environment) -> None:
        browser = self.candidate(visited)
        known = token(browser)
        for path in (
            "/improve/modules/manage",
            "/configure/advanced/employees/",
            "/configure/advanced/profiles/",
            "/configure/advanced/performance/",
            "/configure/advanced/system-information/",
            "/configure/advanced/logs/",
            "/configure/advanced/sql-requests/",
            "/configure/advanced/backups/",
            "/configure/advanced/webservice-keys/",
            "/configure/advanced/import/",
            "/improve/international/translations/settings",
            "/improve/design/themes/",
            "/configure/shop/maintenance/",
            "/configure/shop/preferences/preferences",
        ):
            page = browser.get(f"/gestion/index.php{path}?_token={known}")
            assert denied(page), path
        for controller in (
            "AdminModules",
            "AdminCarriers",
            "AdminGroups",
            "AdminCountries",
            "AdminAccess",
            "AdminShopGroup",
        ):
            asked = browser.get(f"/gestion/index.php?controller={controller}")
            # Without a token the administration warns first, and gives the address that has it.
            link = re.search(r'class="btn btn-continue" href="([^"]+)"', asked.text)
            assert link, controller
            assert denied(browser.get(html.unescape(link[1]))), controller
        before = visited.sql("SELECT COUNT(*) FROM ps_module WHERE active = 1")
        browser.post(f"/gestion/index.php/improve/modules/manage/action/disable/ps_banner?_token={known}")
        browser.post(f"/gestion/index.php/improve/modules/manage/action/uninstall/ps_banner?_token={known}")
        assert visited.sql("SELECT COUNT(*) FROM ps_module WHERE active = 1") == before

    def test_the_candidate_changes_a_block_of_the_home_page_without_the_module_manager(
        self, environment: Environment
    ) -> None:
        browser = self.candidate(environment)
        board = browser.get("/gestion/index.php?controller=AdminDashboard").text
        link = re.search(r'href="([^"]*controller=AdminModules&(?:amp;)?configure=ps_featuredproducts[^"]*)"', board)
        assert link
        page = browser.get(html.unescape(link[1]))
        action = re.search(r'<form[^>]*id="module_form"[^>]*action="([^"]+)"', page.text) or re.search(
            r'<form[^>]*action="([^"]*configure=ps_featuredproducts[^"]*)"', page.text
        )
        assert action
        browser.post(
            html.unescape(action[1]),
            data={
                "HOME_FEATURED_NBR": "4",
                "HOME_FEATURED_CAT": "2",
                "HOME_FEATURED_RANDOMIZE": "0",
                "submitHomeFeatured": "1",
            },
        )
        assert environment.sql("SELECT value FROM ps_configuration WHERE name = 'HOME_FEATURED_NBR'") == "4"

    def test_the_order_of_a_customer_is_announced_by_mail_in_the_mailbox(self, environment: Environment) -> None:
        """A state that is announced: the candidate ships an order through its page."""
        browser = self.candidate(environment)
        order = environment.sql("SELECT MAX(id_order) FROM ps_orders WHERE current_state = 2")
        address = f"/gestion/index.php/sell/orders/{order}/view?_token={token(browser)}"
        form = fields(browser.get(address).text, "update_order_status")
        sent = browser.post(
            f"/gestion/index.php/sell/orders/{order}/status?_token={token(browser)}",
            data=form | {"update_order_status[new_order_status_id]": "4"},
        )
        assert sent.status_code == 200
        assert environment.sql(f"SELECT current_state FROM ps_orders WHERE id_order = {order}") == "4"
        customer = environment.sql(
            f"SELECT email FROM ps_customer JOIN ps_orders USING (id_customer) WHERE id_order = {order}"
        )
        assert customer in environment.browser().get("/messagerie/").text

    def test_php_fixtures_run_inside_the_shop(self, environment: Environment) -> None:
        script = b"<?php $product = new Product(2); $product->price = 1.0; $product->update();"
        environment.tool("load-fixtures", stdin=archive({"php/10.php": script}))
        assert environment.sql("SELECT price FROM ps_product_shop WHERE id_product = 2") == "1.000000"
        assert environment.browser().get("/").status_code == 200

    def test_saving_the_addresses_of_pages_keeps_pictures_at_any_address(self, environment: Environment) -> None:
        """PrestaShop writes the shop's address into .htaccess when it generates it; ours is without."""
        environment.tool("load-fixtures", stdin=archive({"php/10.php": b"<?php Tools::generateHtaccess();"}))
        assert "HTTP_HOST" not in environment.shell("cat /var/www/site/.htaccess")
        environment.tool("set-url", "http://192.0.2.10:8007")
        browser = environment.browser("http://192.0.2.10:8007")
        picture = re.search(r'src="([^"]+home_default[^"]+)"', browser.get("/").text)
        assert picture
        assert browser.get(html.unescape(picture[1])).headers["Content-Type"] == "image/jpeg"


def denied(page: requests.Response) -> bool:
    """Symfony's pages send to the dashboard who may not see them; the older ones say so, in English or in French."""
    said = html.unescape(page.text)
    sent_away = "controller=AdminDashboard" in page.url and bool(page.history)
    return refused(page) or sent_away or any(text in said for text in ("Access denied", "Accès refusé"))

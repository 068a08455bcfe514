"""A simulated candidate on PrestaShop: changes a product through the real administration."""

import json
import re
from decimal import Decimal

from orchestrator.i18n import _
from simulation.browser import Browser, Form, NotAsExpected, Page

ADMINISTRATION = "/gestion/"
PRICE = "product[pricing][retail_price][price_tax_excluded]"
PRICE_WITH_TAX = "product[pricing][retail_price][price_tax_included]"
REFERENCE = "product[details][references][reference]"
SAVE = "product[footer][save]"


class PrestaShopCandidate:
    """*source_address* is the workstation's; without it the machine chooses."""

    def __init__(
        self,
        base_url: str,
        login: str,
        password: str,
        source_address: str | None = None,
        administration: str = ADMINISTRATION,
    ) -> None:
        self._browser = Browser(base_url, source_address)
        self._login, self._password = login, password
        self._administration = administration

    def page(self, path: str) -> Page:
        """A page of the shop, as this candidate sees it."""
        return self._browser.get(path)

    def log_in(self) -> None:
        """Raises NotAsExpected when the account is refused."""
        shown = self.page(self._administration)
        form = shown.form("login_form")
        form.fill_in("email", self._login)
        form.fill_in("passwd", self._password)
        # The page's script sends the form so, and goes where the answer says.
        fields = [("ajax", "1"), ("controller", "AdminLogin"), ("submitLogin", "1"), ("stay_logged_in", "0")]
        answer = self._browser.post(shown.url, [*form.fields, *fields])
        try:
            refused = json.loads(answer.source)["hasErrors"]
        except (ValueError, KeyError, TypeError):
            refused = True
        if refused or "AdminLogin" in self.page(self._administration).url:
            raise NotAsExpected(_("{url}: the account {login} is refused").format(url=shown.url, login=self._login))

    def publish(self, title: str) -> str:
        """Give the first product *title* as its short description, and another price; its public address."""
        return self.change_product(short_description=f"<p>{title}</p>")

    def change_product(
        self, reference: str | None = None, *, price: Decimal | None = None, short_description: str | None = None
    ) -> str:
        """Change the product *reference* (by default: the first that the catalogue lists) and look at it as a
        visitor; its public address.

        *price* is without tax; by default it is one euro more.
        """
        address, number = self._product(reference)
        form = self.page(address).form("product")
        price = price if price is not None else decimal(form.value(PRICE)) + 1
        description = next(name for name, _value in form.fields if "[description_short]" in name)
        short_description = short_description or "<p>" + _("A product described during the exam.") + "</p>"
        form.fill_in(PRICE, f"{price:.6f}")
        form.fill_in(description, short_description)
        self._browser.submit(form, SAVE)

        # What the shop kept, not what the answer to the form repeats.
        kept = self.page(address).form("product")
        if decimal(kept.value(PRICE)) != price:
            raise NotAsExpected(
                _("product {product}: the price {price} was not saved").format(product=number, price=price)
            )
        shown = self.page(f"/index.php?controller=product&id_product={number}")
        self._check(shown, kept, short_description)
        return shown.url

    def _product(self, reference: str | None) -> tuple[str, str]:
        """The address of a product's form, and the product's number."""
        dashboard = self.page(self._administration)
        catalogue = self.page(dashboard.find(r'href="([^"]*/sell/catalog/products\?[^"]*)"', _("the catalogue")))
        for row in re.split(r"<tr\b", catalogue.source):
            found = re.search(r'href="([^"#]*/products(?:-v2)?/(\d+)/edit\?[^"#]*)', row)
            if found and (reference is None or re.search(rf">\s*{re.escape(reference)}\s*<", row)):
                return found[1].replace("&amp;", "&"), found[2]
        raise NotAsExpected(
            _("{url} does not show {what}").format(url=catalogue.url, what=reference or _("any product"))
        )

    def _check(self, shown: Page, kept: Form, short_description: str) -> None:
        """Whether a visitor sees the new price, tax included, and the new description."""
        price = f"{decimal(kept.value(PRICE_WITH_TAX)):.2f}".replace(".", ",")
        if not shown.shows(Page(shown.url, short_description, b"").text):
            raise NotAsExpected(_("{url} does not show {what}").format(url=shown.url, what=_("its short description")))
        if not shown.shows(price):
            raise NotAsExpected(_("{url} does not show {what}").format(url=shown.url, what=price))


def decimal(text: str) -> Decimal:
    """A price as the forms write it, in French or in English."""
    return Decimal(text.replace("\xa0", "").replace("\u202f", "").replace(" ", "").replace(",", "."))

"""Papers as PDF: Jinja2 makes HTML of a template and of Markdown, WeasyPrint makes A4 of it."""

import logging
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from orchestrator.adapters import apt
from orchestrator.errors import Refused
from orchestrator.i18n import _

TEMPLATES = Path(__file__).parent / "templates"

PACKAGES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0", "fonts-lato", "fonts-dejavu-core")
"""What WeasyPrint loads, and the two families that the style names."""

_FONT = Path("/usr/share/fonts/truetype/lato")


_BASE = "e5b-document:///"


class WeasyDocuments:
    """Implements ports.Documents."""

    def pdf(
        self, template: str, values: Mapping[str, Any], pictures: Mapping[str, bytes] = MappingProxyType({})
    ) -> bytes:
        weasyprint = _weasyprint()

        class OwnPictures(weasyprint.URLFetcher):  # type: ignore[misc, name-defined]
            """A document shows what came with it and nothing else: no file of this machine, no address."""

            def fetch(self, url: str, headers: Any = None) -> Any:
                name = url.removeprefix(_BASE)
                if name not in pictures:
                    raise OSError("not a picture of this document")
                return weasyprint.urls.URLFetcherResponse(url, pictures[name])

        html = self.html(template, values)
        content: bytes = weasyprint.HTML(string=html, base_url=_BASE, url_fetcher=OwnPictures()).write_pdf()
        return content

    def html(self, template: str, values: Mapping[str, Any]) -> str:
        return _templates().get_template(f"{template}.html.j2").render(values)


_EMPTY_HEAD = re.compile(r"<thead>\s*<tr>(?:\s*<th[^>]*></th>)+\s*</tr>\s*</thead>")
"""Markdown has no table without headings; one whose headings are all empty is meant."""


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, autoescape=True
    )
    environment.filters["markdown"] = _markdown
    return environment


def _markdown(text: str) -> Markup:
    """CommonMark and tables. HTML in the text is shown as it is written: a document cannot fetch or run anything."""
    parser = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table")
    html = _EMPTY_HEAD.sub("", parser.render(text))
    return Markup(html)  # noqa: S704 - the parser escapes everything that it does not make itself


@cache
def _weasyprint() -> Any:
    """WeasyPrint, with the system's libraries and fonts that it wants: installed when we may."""
    try:
        if _FONT.is_dir() or not _installable():
            return _imported()
    except OSError:
        # Pango is missing.
        if not _installable():
            raise _unavailable() from None
    try:
        apt.install(*PACKAGES)
    except apt.AptFailed as error:
        try:
            return _imported()
        except OSError:
            raise _unavailable() from error
    return _imported()


def _imported() -> Any:
    # Here, not above: it takes a second, and fails where Pango is missing.
    import weasyprint

    # What it would warn of may hold words of a subject.
    logging.getLogger("weasyprint").setLevel(logging.CRITICAL)
    return weasyprint


def _installable() -> bool:
    return apt.root() and apt.available()


def _unavailable() -> Refused:
    return Refused(
        _("This machine cannot make PDF documents: Pango is missing."),
        hint=_("Install it: sudo apt-get install {packages}").format(packages=" ".join(PACKAGES)),
    )

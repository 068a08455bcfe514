"""Messages for people: French unless ``E5B_LANG=en``.

Message identifiers in the code are English; the French catalogue is ``locale/fr/LC_MESSAGES/e5b.po``.
"""

import gettext
import os
from functools import cache
from pathlib import Path

LOCALE_DIR = Path(__file__).parent / "locale"
DOMAIN = "e5b"


def language() -> str:
    """The language of messages: ``fr`` (default) or ``en``."""
    return "en" if os.environ.get("E5B_LANG", "fr").lower().startswith("en") else "fr"


@cache
def _catalogue(code: str) -> gettext.NullTranslations:
    if code == "en":
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, LOCALE_DIR, languages=[code], fallback=True)


def _(message: str) -> str:
    """The message in the language in force; with ``{placeholders}`` for :meth:`str.format`."""
    return _catalogue(language()).gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    """Singular or plural form of a message for *n*."""
    return _catalogue(language()).ngettext(singular, plural, n)


def N_(message: str) -> str:  # noqa: N802 - gettext's own name
    """Mark *message* for the catalogue; it is translated where it is shown."""
    return message


WORDS = (
    N_("planned"),
    N_("prepared"),
    N_("open"),
    N_("closed"),
    N_("sealed"),
    N_("reset"),
    N_("abandoned"),
    N_("waiting"),
    N_("over"),
    N_("running"),
    N_("stopped"),
    N_("missing"),
    N_("proved"),
    N_("ok"),
    N_("warning"),
    N_("failure"),
    N_("note"),
    N_("error"),
    N_("documents"),
    N_("transfer"),
    N_("messaging"),
    N_("webmail"),
    N_("social"),
    N_("forges"),
    N_("meetings"),
    N_("assistants"),
    N_("translation"),
    N_("remote"),
    N_("vpn"),
    N_("doh"),
    N_("project"),
    N_("academy"),
    N_("centre"),
    N_("import"),
)
"""Words that are shown through a computed identifier: states, routes, verdicts, the guard's categories and origins."""


def install() -> None:
    """Let the libraries that speak through :mod:`gettext` (click: usage, faults of arguments) use our catalogue."""
    os.environ["LANGUAGE"] = language()
    gettext.bindtextdomain(DOMAIN, str(LOCALE_DIR))
    gettext.textdomain(DOMAIN)

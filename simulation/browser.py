"""What a candidate's browser does, without the screen: pages over HTTP, and forms filled in as they are served."""

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter

from orchestrator.i18n import _

TIMEOUT = 60.0
"""Seconds for one answer: twenty sites at work share two slow processors."""

INLINE = {"a", "abbr", "b", "code", "em", "i", "mark", "small", "span", "strong", "sub", "sup", "u"}
"""Tags that do not part words."""

Files = dict[str, tuple[str, bytes, str]]
"""Of a form: field -> name, content and media type of the file."""


class NotAsExpected(Exception):
    """A site did not do what it must do for a candidate; the message says what, in the user's language."""


class _FromAddress(HTTPAdapter):
    """Connects from one address of this machine, as the workstation that has it would."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, source_address=(self._address, 0), **options)


class Browser:
    """One candidate's browser on one site. *source_address* is the workstation's own address, by which the gateway
    knows it."""

    def __init__(self, base_url: str, source_address: str | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._session = requests.Session()
        # A proxy of the machine's environment is not for the seats, which are in the room.
        self._session.trust_env = False
        self._session.headers["Accept-Language"] = "fr"
        if source_address is not None:
            self._session.mount("http://", _FromAddress(source_address))

    def close(self) -> None:
        self._session.close()

    def get(self, address: str) -> "Page":
        return self._page("GET", address)

    def post(self, address: str, fields: list[tuple[str, str]], files: Files | None = None) -> "Page":
        return self._page("POST", address, fields, files)

    def submit(self, form: "Form", button: str | None = None, files: Files | None = None) -> "Page":
        """Send *form* as it is filled in, by its button named *button*."""
        return self.post(form.action, form.sent_by(button), files)

    def _page(
        self, method: str, address: str, fields: list[tuple[str, str]] | None = None, files: Files | None = None
    ) -> "Page":
        url = urljoin(self.base_url + "/", address)
        try:
            answer = self._session.request(method, url, data=fields, files=files, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise NotAsExpected(_("{url} does not answer: {error}").format(url=url, error=error)) from error
        own_page = answer.headers.get("X-E5B-Page")
        if own_page is not None:
            raise NotAsExpected(_("{url}: the gateway answers with its page “{page}”").format(url=url, page=own_page))
        if not answer.ok:
            raise NotAsExpected(_("{url} answers {status}").format(url=url, status=answer.status_code))
        if not f"{answer.url}/".startswith(f"{self.base_url}/"):
            raise NotAsExpected(
                _("{url} leads away from the seat's site, to {other}").format(url=url, other=answer.url)
            )
        return Page(answer.url, answer.text, answer.content)


@dataclass(frozen=True)
class Page:
    """A page as it was answered, after redirections."""

    url: str
    source: str
    content: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """What a person reads, with plain spaces, quotes and dashes."""
        reader = _Text()
        reader.feed(self.source)
        reader.close()
        return plain("".join(reader.parts))

    def shows(self, text: str) -> bool:
        return plain(text) in self.text

    def form(self, name: str) -> "Form":
        """The form whose id or name is *name*. Raises NotAsExpected when the page has none."""
        reader = _Forms()
        reader.feed(self.source)
        reader.close()
        for found in reader.forms:
            if name in {found.id, found.name}:
                found.action = urljoin(self.url, found.action or self.url)
                return found
        raise NotAsExpected(_("{url} has no form “{name}”").format(url=self.url, name=name))

    def find(self, pattern: str, what: str) -> str:
        """The first group of *pattern* in the source. Raises NotAsExpected, saying that *what* is missing."""
        match = re.search(pattern, self.source, re.DOTALL)
        if match is None:
            raise NotAsExpected(_("{url} does not show {what}").format(url=self.url, what=what))
        return html.unescape(match[1])


def plain(text: str) -> str:
    """*text* without the typography that a site adds by itself: curly quotes, long dashes, unbreakable spaces."""
    return " ".join(text.translate(str.maketrans("’‘“”–—\xa0\u202f", "''\"\"--  ")).split())


@dataclass
class Form:
    """A form as it was served. *fields* are sent as they are; *offered* holds the values that can be chosen for a
    name, with what a person reads beside each."""

    id: str
    name: str
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: dict[str, str] = field(default_factory=dict)
    offered: dict[str, dict[str, str]] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """Raises NotAsExpected when the form has no such field."""
        for known, value in self.fields:
            if known == name:
                return value
        raise self._missing(name)

    def fill_in(self, name: str, value: str) -> None:
        self.value(name)
        first = next(index for index, item in enumerate(self.fields) if item[0] == name)
        rest = [item for item in self.fields[first + 1 :] if item[0] != name]
        self.fields = [*self.fields[:first], (name, value), *rest]

    def tick(self, name: str, label: str) -> str:
        """Tick the box (or radio button) *name* that has *label* beside it; its value."""
        for value, text in self.offered.get(name, {}).items():
            if plain(text) == plain(label):
                self.fields.append((name, value))
                return value
        raise self._missing(f"{name} “{label}”")

    def sent_by(self, button: str | None) -> list[tuple[str, str]]:
        if button is None:
            return list(self.fields)
        if button not in self.buttons:
            raise self._missing(button)
        return [*self.fields, (button, self.buttons[button])]

    def _missing(self, what: str) -> NotAsExpected:
        return NotAsExpected(_("the form “{form}” has no field {name}").format(form=self.id or self.name, name=what))


class _Text(HTMLParser):
    """The text of a page, without what is never shown."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in {"script", "style", "template"}
        self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style", "template"}
        self._part(tag)

    def _part(self, tag: str) -> None:
        if tag not in INLINE:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


class _Forms(HTMLParser):
    """The forms of a page, with the fields that a browser would send."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._label: list[tuple[str, str]] | None = None
        self._label_text = ""
        self._textarea: str | None = None
        self._select: str | None = None
        self._chosen: tuple[str, str] | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(attributes.get("id", ""), attributes.get("name", ""), attributes.get("action", ""))
            self.forms.append(self._form)
        if self._form is None:
            return
        name = "" if "disabled" in attributes else attributes.get("name", "")
        if tag == "label":
            self._label, self._label_text = [], ""
        elif tag == "input":
            self._input(self._form, attributes, name)
        elif tag == "button" and attributes.get("name"):
            # A script enables it once something was changed, as is the case for whoever submits.
            self._form.buttons[attributes["name"]] = attributes.get("value", "")
        elif tag == "textarea":
            self._textarea, self._text = name, ""
        elif tag == "select":
            self._select, self._chosen = name, None
        elif tag == "option" and self._select:
            option = (self._select, attributes.get("value", ""))
            self._form.offered.setdefault(self._select, {})[option[1]] = ""
            if "selected" in attributes or self._chosen is None:
                self._chosen = option

    def _input(self, form: Form, attributes: dict[str, str], name: str) -> None:
        kind, value = attributes.get("type", "text").lower(), attributes.get("value", "")
        if kind in {"submit", "image"}:
            form.buttons[attributes.get("name", "")] = value
        elif not name or kind in {"button", "reset", "file"}:
            return
        elif kind in {"checkbox", "radio"}:
            value = attributes.get("value", "on")
            form.offered.setdefault(name, {})[value] = ""
            if self._label is not None:
                self._label.append((name, value))
            if "checked" in attributes:
                form.fields.append((name, value))
        else:
            form.fields.append((name, value))

    def handle_data(self, data: str) -> None:
        self._text += data if self._textarea is not None else ""
        self._label_text += data if self._label is not None else ""

    def handle_endtag(self, tag: str) -> None:
        if self._form is None:
            return
        if tag == "form":
            self._form = None
        elif tag == "label" and self._label is not None:
            for name, value in self._label:
                self._form.offered[name][value] = self._label_text.strip()
            self._label = None
        elif tag == "textarea" and self._textarea is not None:
            if self._textarea:
                # A browser drops the line break that follows the tag.
                self._form.fields.append((self._textarea, self._text.removeprefix("\n")))
            self._textarea = None
        elif tag == "select":
            if self._select and self._chosen is not None:
                self._form.fields.append(self._chosen)
            self._select = None

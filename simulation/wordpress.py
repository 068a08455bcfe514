"""A simulated candidate on WordPress: writes and publishes an article through the real administration."""

import json
import struct
import zlib
from dataclasses import dataclass

from orchestrator.i18n import _
from simulation.browser import Browser, NotAsExpected, Page, plain

PUBLISH = "publish"
"""The button « Publier »."""


@dataclass(frozen=True)
class Picture:
    """A picture of the media library; *url* as the site gives it."""

    id: int
    url: str


class WordPressCandidate:
    """*source_address* is the workstation's; without it the machine chooses."""

    def __init__(self, base_url: str, login: str, password: str, source_address: str | None = None) -> None:
        self._browser = Browser(base_url, source_address)
        self._login, self._password = login, password

    def page(self, path: str) -> Page:
        """A page of the site, as this candidate sees it."""
        return self._browser.get(path)

    def log_in(self) -> None:
        """Raises NotAsExpected when the account is refused."""
        form = self.page("/wp-login.php").form("loginform")
        form.fill_in("log", self._login)
        form.fill_in("pwd", self._password)
        reached = self._browser.submit(form, "wp-submit")
        if "/wp-admin" not in reached.url:
            raise NotAsExpected(_("{url}: the account {login} is refused").format(url=reached.url, login=self._login))

    def upload(self, name: str, png: bytes) -> Picture:
        """Put a PNG picture into the media library, as the article's editor does."""
        return self._upload(self.page("/wp-admin/post-new.php"), name, png)

    def publish(
        self,
        title: str,
        html: str | None = None,
        *,
        category: str | None = None,
        seo_title: str | None = None,
        seo_description: str | None = None,
        png: bytes | None = None,
    ) -> str:
        """Publish an article with a picture, and look at it as a visitor; its address.

        *category* is one that the site has, by its name (by default: the first that is a real one).
        """
        seo_title = seo_title or f"{title} | SEO"
        seo_description = seo_description or _("What the search engines show of “{title}”.").format(title=title)
        editor = self.page("/wp-admin/post-new.php")
        form = editor.form("post")
        post = form.value("post_ID")
        picture = self._upload(editor, f"article-{post}.png", png or drawn(title), post)
        text = html or "<p>" + _("An article written during the exam.") + "</p>"
        categories = form.offered.get("post_category[]", {})
        # The category with the lowest number is the one that WordPress cannot do without: « Non classé ».
        category = category or next((label for value, label in sorted(categories.items()) if value != "1"), "")

        form.fill_in("post_title", title)
        form.fill_in("content", f'{text}\n<p><img class="wp-image-{picture.id}" src="{picture.url}" alt=""></p>')
        box = ("post_category[]", form.tick("post_category[]", category))
        form.fill_in("_thumbnail_id", str(picture.id))
        form.fill_in("e5b_seo_title", seo_title)
        form.fill_in("e5b_seo_description", seo_description)
        saved = self._browser.submit(form, PUBLISH)
        kept = saved.form("post")
        if kept.value("original_post_status") != "publish":
            raise NotAsExpected(_("{url}: the article is not published").format(url=saved.url))
        if box not in kept.fields:
            raise NotAsExpected(_("{url}: the category {name} was not saved").format(url=saved.url, name=category))

        shown = self.page(f"/?p={post}")
        self._check(shown, title, text, seo_title, seo_description)
        if self.page(picture.url).content[:4] != b"\x89PNG":
            raise NotAsExpected(_("{url} is not the picture that was uploaded").format(url=picture.url))
        return shown.url

    def _upload(self, editor: Page, name: str, png: bytes, post: str | None = None) -> Picture:
        found = editor.find(r"_wpPluploadSettings = (\{.*?\});\s", _("the upload of pictures"))
        settings = json.loads(found)["defaults"]
        attached = [("post_id", post)] if post else []
        answer = self._browser.post(
            settings["url"],
            [*settings["multipart_params"].items(), *attached, ("name", name)],
            {settings["file_data_name"]: (name, png, "image/png")},
        )
        try:
            result = json.loads(answer.source)
            return Picture(int(result["data"]["id"]), str(result["data"]["url"]))
        except (ValueError, KeyError, TypeError) as error:
            raise NotAsExpected(
                _("{url}: the picture is refused: {answer}").format(url=answer.url, answer=answer.source[:200])
            ) from error

    def _check(self, shown: Page, title: str, text: str, seo_title: str, seo_description: str) -> None:
        """Whether a visitor sees all that was filled in."""
        body = Page(shown.url, text, b"").text
        description = shown.find(r'<meta name="description" content="([^"]*)"', _("its SEO description"))
        for what, there in {
            _("its title"): shown.shows(title),
            _("its text"): body in shown.text,
            _("its SEO title"): plain(shown.find(r"<title>(.*?)</title>", _("a title"))) == plain(seo_title),
            _("its SEO description"): plain(description) == plain(seo_description),
        }.items():
            if not there:
                raise NotAsExpected(_("{url} does not show {what}").format(url=shown.url, what=what))


def drawn(text: str, width: int = 480, height: int = 320) -> bytes:
    """A small PNG picture of two colours that depend on *text*."""
    seed = zlib.crc32(text.encode())
    colours = [bytes((seed >> shift) & 0xFF for shift in shifts) for shifts in ((0, 8, 16), (16, 24, 4))]
    rows = b"".join(b"\0" + colours[row * 2 // height] * width for row in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

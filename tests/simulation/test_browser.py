"""What a simulated candidate reads and sends, without any site."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import pytest

from simulation.browser import Browser, NotAsExpected, Page, plain
from simulation.prestashop import decimal
from simulation.wordpress import drawn

FORM = """
<form method="get"><input name="s" value="elsewhere"></form>
<form id="post" action="/save">
 <input type="hidden" name="nonce" value="a&amp;b"><input name="title" value=""><input name="off" value="x" disabled>
 <textarea name="text">
Bonjour &eacute;</textarea>
 <select name="state"><option value="draft">Brouillon</option><option value="public" selected>Public</option></select>
 <select name="first"><option value="1">Un</option><option value="2">Deux</option></select>
 <label><input type="checkbox" name="rubrique[]" value="3"> Recettes d’hiver </label>
 <label><input type="checkbox" name="rubrique[]" value="4" checked> Actualités</label>
 <input type="radio" name="r" value="a"><input type="radio" name="r" value="b" checked>
 <input type="file" name="f"><input type="button" name="nothing" value="x">
 <input type="submit" name="publish" value="Publier"><button type="submit" name="save" disabled>Enregistrer</button>
</form>
"""


def page(source: str, url: str = "http://site.example/edit?id=1") -> Page:
    return Page(url, source, source.encode())


def test_a_form_is_sent_as_a_browser_would_send_it() -> None:
    form = page(FORM).form("post")
    assert form.action == "http://site.example/save"
    form.fill_in("title", "Tisane")
    assert form.tick("rubrique[]", "Recettes d'hiver") == "3"
    assert form.sent_by("publish") == [
        ("nonce", "a&b"),
        ("title", "Tisane"),
        ("text", "Bonjour é"),
        ("state", "public"),
        ("first", "1"),
        ("rubrique[]", "4"),
        ("r", "b"),
        ("rubrique[]", "3"),
        ("publish", "Publier"),
    ]


@pytest.mark.parametrize(
    "use",
    [
        lambda: page(FORM).form("other"),
        lambda: page(FORM).form("post").value("missing"),
        lambda: page(FORM).form("post").fill_in("off", "y"),
        lambda: page(FORM).form("post").tick("rubrique[]", "Absente"),
        lambda: page(FORM).form("post").sent_by("delete"),
        lambda: page(FORM).find("nowhere(.)", "it"),
    ],
)
def test_what_is_not_there_is_said(use) -> None:
    with pytest.raises(NotAsExpected):
        use()


def test_text_is_what_a_person_reads() -> None:
    shown = page(
        "<title>T</title><style>p{}</style>"
        "<p>L&rsquo;heure&nbsp;du <b>thé</b>, –<br>45,00&#8239;€</p><script>x</script>"
    )
    assert shown.text == "T L'heure du thé, - 45,00 €"
    assert shown.shows("l’heure du thé".replace("l", "L"))
    assert plain(" a \n b ") == "a b"
    assert decimal("1\u202f234,50") == decimal("1234.500000")
    assert drawn("a") != drawn("b")


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers = {
            "/shut": (503, {"X-E5B-Page": "waiting"}),
            "/missing": (404, {}),
            "/away": (302, {"Location": f"http://localhost:{self.server.server_address[1]}/"}),
        }.get(self.path, (200, {}))
        self._answer(status, headers, self.client_address[0])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(200, {}, repr(parse_qsl(body)))

    def _answer(self, status: int, headers: dict[str, str], text: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: object) -> None: ...


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_browser_has_the_address_of_its_workstation(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no proxy of the machine stands between it and the site."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert Browser(site, "127.0.1.7").get("/").source == "127.0.1.7"
    assert Browser(site).post("/", [("a", "é")]).source == "[('a', 'é')]"


@pytest.mark.parametrize(
    ("path", "said"), [("/shut", "waiting"), ("/missing", "404"), ("/away", "localhost"), ("http://127.0.0.1:9/", ":9")]
)
def test_what_a_site_does_wrong_is_said(site: str, path: str, said: str) -> None:
    with pytest.raises(NotAsExpected, match=said):
        Browser(site).get(path)

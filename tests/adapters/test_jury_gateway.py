"""The jury's gateway, as HAProxy itself reads it, and who gets through."""

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from bench.centre import free_ports
from orchestrator.adapters.jury_gateway import HaproxyJuryGateway, render
from orchestrator.domain import naming
from orchestrator.errors import Conflict
from orchestrator.settings import Settings
from tests.e2e.conftest import FromAddress

SIGN_IN = "/gestion/index.php"


class Site(http.server.BaseHTTPRequestHandler):
    """Answers every request with its method and what it was told of who asks."""

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        body = f"{self.command} {self.headers['X-Forwarded-For']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def log_message(self, *_arguments: object) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A site at an address of its own, on port 80 as the environments."""
    address = next(item for item in (f"127.77.{number}.1" for number in range(1, 250)) if free(item))
    with http.server.ThreadingHTTPServer((address, 80), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield address
        server.shutdown()


def free(address: str) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((address, 80))
        return True
    return False


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "centre": {"id": f"j{free_ports(1)}", "name": "Centre d'essai", "state": tmp_path / "state"},
            "gateway": {"staff": ["127.0.2.0/24"]},
            "network": {"subnet": "10.223.7.0/24"},
            "evidence": {"port": free_ports(1)},
            "rooms": [{"name": "salle-1", "seats": [{"number": 1, "address": "127.0.1.1"}]}],
        }
    )


@pytest.fixture
def gateway(settings: Settings) -> Iterator[HaproxyJuryGateway]:
    client = docker.from_env(version="auto", timeout=120)
    made = HaproxyJuryGateway(client, settings)
    yield made
    made.close()
    # Its walls stand on the host; the exam's gateway takes them down, and there is none here.
    client.containers.run(
        "e5b/gateway:current",
        [
            "; ".join(
                f"add table {family} e5b_{settings.centre.id}; delete table {family} e5b_{settings.centre.id}"
                for family in ("inet", "bridge")
            )
        ],
        entrypoint="nft",
        network_mode="host",
        cap_add=["NET_ADMIN"],
        remove=True,
    )
    client.close()


def ask(settings: Settings, address: str, method: str, path: str, **options: object) -> requests.Response:
    with requests.Session() as session:
        session.mount("http://", FromAddress(address))
        return session.request(method, f"http://127.0.0.1:{settings.evidence.port}{path}", timeout=10, **options)


def test_who_gets_through_and_what(gateway: HaproxyJuryGateway, settings: Settings, site: str) -> None:
    gateway.open(site, SIGN_IN)
    for address in ("127.0.2.1", "127.0.2.200", "127.0.0.1"):
        assert ask(settings, address, "GET", "/page?x=1").text == f"GET {address}"
    for address in ("127.0.1.1", "127.0.3.1"):
        for method, path in (("GET", "/"), ("POST", SIGN_IN)):
            assert ask(settings, address, method, path).status_code == 403
    staff = "127.0.2.1"
    spoofed = {"X-Forwarded-For": "127.0.2.1"}
    assert ask(settings, "127.0.1.1", "GET", "/", headers=spoofed).status_code == 403
    assert ask(settings, staff, "HEAD", "/").status_code == 200
    assert ask(settings, staff, "OPTIONS", "/").status_code == 200
    for path in (SIGN_IN, f"{SIGN_IN}?", f"{SIGN_IN}?rand=1795000000000", f"{SIGN_IN}?1795"):
        assert ask(settings, staff, "POST", path, data={"log": "x"}).text == f"POST {staff}", path
    for method, path in (
        *(("POST", item) for item in ("/", "/index.php", f"{SIGN_IN}/x", f"/x{SIGN_IN}", "//gestion/index.php")),
        *(("POST", f"{SIGN_IN}?{query}") for query in ("controller=AdminProducts", "rand=1&controller=x", "a=1;b=2")),
        *((method, SIGN_IN) for method in ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT")),
    ):
        refused = ask(settings, staff, method, path, data={"x": "1"})
        assert refused.status_code in {400, 403}, (method, path)
        assert method == "CONNECT" or "POST" not in refused.text


def test_without_a_log_in_nothing_is_sent(gateway: HaproxyJuryGateway, settings: Settings, site: str) -> None:
    """And what was open is replaced, whatever it was."""
    gateway.open(site, SIGN_IN)
    gateway.open(site, None)
    assert ask(settings, "127.0.2.1", "POST", SIGN_IN).status_code == 403
    assert ask(settings, "127.0.2.1", "GET", "/").status_code == 200
    gateway.close()
    with pytest.raises(requests.ConnectionError):
        ask(settings, "127.0.2.1", "GET", "/")
    assert not settings.jury_folder.exists()


def test_a_site_that_is_not_there(gateway: HaproxyJuryGateway, settings: Settings) -> None:
    gateway.open("127.78.0.1", None)
    answer = ask(settings, "127.0.2.1", "GET", "/")
    assert answer.status_code == 503 and "<h1>" in answer.text


def test_somebody_elses_container(gateway: HaproxyJuryGateway, settings: Settings, site: str) -> None:
    client = docker.from_env(version="auto", timeout=120)
    name = naming.jury_gateway_name(settings.centre.id)
    theirs = client.containers.create("e5b/gateway:current", name=name)
    try:
        with pytest.raises(Conflict):
            gateway.open(site, None)
        with pytest.raises(Conflict):
            gateway.close()
        theirs.reload()
    finally:
        theirs.remove()


def test_its_pages_speak_the_language_in_force(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    assert "it can only be looked at" in render(settings, "10.0.0.1", None)["read-only.html"]
    monkeypatch.setenv("E5B_LANG", "fr")
    assert "peut seulement être regardé" in render(settings, "10.0.0.1", None)["read-only.html"]

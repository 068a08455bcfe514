"""The gateway on the real engine: workstations are loopback addresses, sites are tiny web servers in containers."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
from docker.errors import NotFound

from bench.centre import free_ports
from orchestrator.adapters import haproxy
from orchestrator.adapters.docker_engine import connect
from orchestrator.adapters.haproxy import IMAGE, HaproxyGateway, listen, render
from orchestrator.domain import naming
from orchestrator.domain.routes import Route, RouteState
from orchestrator.errors import Conflict, EnvironmentFailed, ImageUnusable
from orchestrator.settings import Settings

IMAGES = Path(__file__).parents[2] / "images"
SEATS = range(1, 21)
STAFF = "127.0.18.1"
STRANGER = "127.0.19.1"

# Answers with its own name and what it was sent; /slow takes two seconds.
SITE = r"""
use strict; use IO::Socket::INET; $SIG{CHLD} = "IGNORE";
my $name = shift; my $listener = IO::Socket::INET->new(LocalPort => 80, Listen => 128, ReuseAddr => 1) or die $!;
while (my $client = $listener->accept) {
  if (fork) { close $client; next }
  my $request = <$client>; my %h;
  while (my $line = <$client>) { last if $line =~ /^\r?\n$/; $h{lc $1} = $2 if $line =~ /^([^:]+):\s*(.*?)\r?\n/ }
  my $left = $h{"content-length"} || 0; my $received = 0;
  while ($left > 0) { my $n = read($client, my $part, $left < 65536 ? $left : 65536) or last;
                      $left -= $n; $received += $n }
  sleep 2 if $request =~ m{ /slow};
  my $headers = join ",", map { my $v = $h{$_}; $v =~ s/["\\]//g; "\"$_\":\"$v\"" } sort keys %h;
  my $body = "{\"site\":\"$name\",\"received\":$received,\"headers\":{$headers}}";
  print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nX-E5B-Page: forged\r\n\r\n$body";
  exit;
}
"""


def workstation(seat: int) -> str:
    return f"127.0.17.{seat}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def page(self) -> str | None:
        return self.headers.get("x-e5b-page")

    @property
    def site(self) -> str | None:
        return str(json.loads(self.body)["site"]) if self.body.startswith("{") else None


def ask(
    port: int,
    source: str,
    path: str = "/",
    *,
    host: str | None = None,
    method: str = "GET",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0))
    try:
        connection.request(method, path, body, {**({"Host": host} if host else {}), **(headers or {})})
        response = connection.getresponse()
        return Answer(
            response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode("utf-8")
        )
    finally:
        connection.close()


@dataclass
class Lab:
    client: docker.DockerClient
    settings: Settings
    addresses: Mapping[str, str]
    """Address of each site, by the site's name."""
    gateway: HaproxyGateway = field(init=False)

    def __post_init__(self) -> None:
        self.gateway = HaproxyGateway(self.client, self.settings)

    @property
    def container(self) -> Any:
        return self.client.containers.get(naming.gateway_name(self.settings.centre.id))

    def port(self, seat: int) -> int:
        return self.settings.seat_port(seat)

    def own(self, seat: int, **options: Any) -> Answer:
        """What the seat's own workstation sees."""
        return ask(self.port(seat), workstation(seat), **options)

    def straight(self, state: RouteState = RouteState.OPEN) -> list[Route]:
        """Each seat leads to the site of its own number."""
        return [Route(seat, state, self.addresses[f"site-{seat:02d}"]) for seat in SEATS]


def make_settings(state: Path, first_port: int, *, centre: str | None = None, **gateway: Any) -> Settings:
    return Settings.model_validate(
        {
            "centre": {"id": centre or f"gw{random.randrange(16**6):06x}", "name": "Essai", "state": str(state)},
            "gateway": {"listen": "127.0.0.1", "first_port": first_port, "staff": [f"{STAFF}/32"], **gateway},
            "network": {"subnet": free_subnet()},
            "rooms": [{"name": "salle", "seats": [{"number": n, "address": workstation(n)} for n in SEATS]}],
        }
    )


def free_subnet() -> str:
    """A network that no interface of the machine has."""
    used = {item.address for known in psutil.net_if_addrs().values() for item in known}
    while True:
        prefix = f"10.217.{random.randrange(256)}."
        if not any(address.startswith(prefix) for address in used):
            return f"{prefix}0/24"


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    client = connect()
    if not client.images.list(IMAGE):
        client.images.build(path=str(IMAGES), dockerfile="gateway/Dockerfile", tag=IMAGE, rm=True)
    return client


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Longer than what fits into a Unix socket's address.
    top = Path(tempfile.mkdtemp(prefix="e5b-gateway-"))
    path = top / ("dossier-" * 8) / ("etat-" * 8)
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(top)


@pytest.fixture(scope="module")
def make_network(client: docker.DockerClient) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(settings: Settings, *, icc: bool, internal: bool = True) -> Any:
        network = client.networks.create(
            naming.network_name(settings.centre.id),
            internal=internal,
            ipam=docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=str(settings.network.subnet))]),
            options={
                "com.docker.network.bridge.name": naming.bridge_name(settings.centre.id),
                "com.docker.network.bridge.enable_icc": str(icc).lower(),
            },
        )
        made.append(network)
        return network

    yield make
    for network in made:
        network.remove()


@pytest.fixture(scope="module")
def make_site(client: docker.DockerClient, make_network: Callable[..., Any]) -> Iterator[Callable[[str, Any], str]]:
    made: list[Any] = []
    lock = threading.Lock()

    def make(name: str, network: Any) -> str:
        container = client.containers.run(
            IMAGE,
            ["-e", SITE, name],
            entrypoint="perl",
            name=f"{network.name}-{name}",
            network=network.name,
            detach=True,
            init=True,
            stop_signal="SIGKILL",
        )
        with lock:
            made.append(container)
        container.reload()
        return str(container.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"])

    def remove(container: Any) -> None:
        with contextlib.suppress(NotFound):
            container.remove(force=True)

    yield make
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(remove, made))


@pytest.fixture(scope="module")
def lab(
    client: docker.DockerClient,
    folder: Path,
    make_network: Callable[..., Any],
    make_site: Callable[[str, Any], str],
) -> Iterator[Lab]:
    settings = make_settings(folder, free_ports(len(SEATS)))
    network = make_network(settings, icc=False)
    names = [f"site-{seat:02d}" for seat in SEATS]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        addresses = dict(zip(names, pool.map(lambda name: make_site(name, network), names), strict=True))
    lab = Lab(client, settings, addresses)
    assert lab.gateway.ensure(lab.straight()) is True
    yield lab
    # While environments live, taking the gateway away leaves their walls up; they go with the last of them.
    lab.gateway.remove()
    assert tables(settings) == {"inet", "bridge"}
    for name in names:
        client.containers.get(f"{network.name}-{name}").remove(force=True)
    lab.gateway.remove()
    assert tables(settings) == set()
    assert [entry.name for entry in settings.gateway_folder.iterdir()] == ["lock"]


@pytest.fixture(autouse=True)
def _everything_open(request: pytest.FixtureRequest) -> None:
    if "lab" in request.fixturenames:
        lab = request.getfixturevalue("lab")
        lab.gateway.ensure(lab.straight())


def tables(settings: Settings) -> set[str]:
    shown = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return {
        family for _table, family, name in map(str.split, shown.splitlines()) if name == f"e5b_{settings.centre.id}"
    }


# Who sees what


def test_each_workstation_sees_its_own_site_and_the_staff_see_all(lab: Lab) -> None:
    """With every seat open, each seat's address leads to its own site, for its workstation and for the staff."""
    for seat in SEATS:
        answer = lab.own(seat)
        assert (answer.status, answer.site, answer.page) == (200, f"site-{seat:02d}", None)
        assert ask(lab.port(seat), STAFF).site == f"site-{seat:02d}"


def test_another_seat_is_refused_with_the_way_to_one_s_own(lab: Lab) -> None:
    """A workstation that asks for another seat's site is told so, and finds the link to its own."""
    answer = ask(lab.port(2), workstation(1))
    assert (answer.status, answer.page) == (403, "other-seat")
    assert "Ce poste n’est pas le vôtre" in answer.body
    assert f'href="{lab.settings.seat_url(1)}/"' in answer.body


def test_a_machine_of_no_seat_is_refused_with_its_address(lab: Lab) -> None:
    """An unknown machine is refused, and the page shows the address that the technician must look for."""
    answer = ask(lab.port(2), STRANGER)
    assert (answer.status, answer.page) == (403, "unknown-workstation")
    assert STRANGER in answer.body


PAGES: list[tuple[Route, str, int, str | None]] = [
    # Seat 3 as routed, who asks, status, page (None: the site itself)
    (Route(3, RouteState.WAITING, None), "seat", 503, "waiting"),
    (Route(3, RouteState.WAITING, "site-03"), "seat", 503, "waiting"),
    (Route(3, RouteState.WAITING, "site-03"), "staff", 200, None),
    (Route(3, RouteState.WAITING, None), "staff", 503, "waiting"),
    (Route(3, RouteState.OVER, "site-03"), "seat", 403, "over"),
    (Route(3, RouteState.OVER, None), "seat", 403, "over"),
    (Route(3, RouteState.OVER, "site-03"), "staff", 200, None),
    (Route(3, RouteState.OVER, None), "staff", 403, "over"),
    (Route(3, RouteState.OPEN, "site-03"), "seat", 200, None),
    (Route(3, RouteState.OPEN, None), "seat", 503, "unavailable"),
    (Route(3, RouteState.OPEN, None), "staff", 503, "unavailable"),
    (Route(3, RouteState.OPEN, "site-03"), "other", 403, "other-seat"),
    (Route(3, RouteState.WAITING, "site-03"), "other", 403, "other-seat"),
    (Route(3, RouteState.OVER, "site-03"), "stranger", 403, "unknown-workstation"),
]
TITLES = {
    "waiting": "Pas encore ouvert",
    "over": "Temps écoulé",
    "unavailable": "Site indisponible",
    "other-seat": "Ce poste n’est pas le vôtre",
    "unknown-workstation": "Ce poste n’est pas le vôtre",
}
SOURCES = {"seat": workstation(3), "staff": STAFF, "other": workstation(4), "stranger": STRANGER}


@pytest.mark.parametrize(("route", "who", "status", "page"), PAGES)
def test_state_and_asker_decide_the_page(lab: Lab, route: Route, who: str, status: int, page: str | None) -> None:
    """Each state of a seat gives each asker the right page, never kept by a browser; other seats are untouched."""
    address = None if route.address is None else lab.addresses[route.address]
    lab.gateway.switch([item for item in lab.straight() if item.seat != 3] + [Route(3, route.state, address)])
    answer = ask(lab.port(3), SOURCES[who], "/wp-admin/?x=1")
    assert (answer.status, answer.page) == (status, page)
    if page is not None:
        assert TITLES[page] in answer.body
        assert '<html lang="fr">' in answer.body
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert ("refresh" in answer.headers) is (page in {"waiting", "over", "unavailable"})
        assert ("retry-after" in answer.headers) is (status == 503)
    assert lab.own(4).site == "site-04"


def test_a_seat_that_was_never_routed_is_closed(lab: Lab) -> None:
    """A seat that the routes do not name is not open."""
    lab.gateway.switch([route for route in lab.straight() if route.seat != 3])
    assert lab.own(3).page == "waiting"


def test_the_page_in_place_of_a_form_does_not_refresh_itself(lab: Lab) -> None:
    """A page that stands where a form was sent stays, so that the candidate can send the form again."""
    lab.gateway.switch([Route(3, RouteState.OPEN, None)])
    answer = lab.own(3, method="POST", body=b"post=1")
    assert answer.page == "unavailable"
    assert "refresh" not in answer.headers


def test_head_has_no_body(lab: Lab) -> None:
    """HEAD is answered like GET, without a body."""
    lab.gateway.switch([Route(3, RouteState.WAITING, None)])
    assert lab.own(3, method="HEAD").body == ""


def test_the_pages_need_nothing_else() -> None:
    """Every page is self-contained once built, and fits HAProxy's own notation."""
    for page in sorted((IMAGES / "gateway/pages").glob("*.html")):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"https?://|src=|@import|url\(|<script", text), page
        assert not re.search(r"%(?!\[)", text), page
    assert "%" not in (IMAGES / "gateway/pages/style.css").read_text().replace("No percent sign", "")


# What passes through


def test_the_site_sees_the_host_and_the_true_workstation(lab: Lab) -> None:
    """Host passes unchanged; what a browser claims about its own address is replaced by the truth."""
    forged = {
        "X-Forwarded-For": "10.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=10.0.0.1",
        "Upgrade": "websocket",
        "X-Kept": "yes",
    }
    answer = lab.own(5, headers=forged, host=f"127.0.0.1:{lab.port(5)}")
    seen = json.loads(answer.body)["headers"]
    assert seen["host"] == f"127.0.0.1:{lab.port(5)}"
    assert seen["x-forwarded-for"] == workstation(5)
    assert seen["x-kept"] == "yes"
    assert not seen.keys() & {"x-forwarded-host", "x-forwarded-proto", "forwarded", "upgrade"}


def test_a_large_upload_passes_without_being_kept(lab: Lab) -> None:
    """An upload larger than the gateway's whole memory arrives complete."""
    size = 300 * 1024 * 1024
    part = b"\0" * 65536
    answer = lab.own(
        5, method="POST", body=(part for _ in range(size // len(part))), headers={"Content-Length": str(size)}
    )
    assert json.loads(answer.body)["received"] == size


def test_an_upload_to_a_closed_seat_is_answered_with_the_page(lab: Lab) -> None:
    """A browser that sends a large form after the time is over sees why it was refused."""
    lab.gateway.switch([Route(3, RouteState.OVER, lab.addresses["site-03"])])
    answer = lab.own(3, method="POST", body=b"\0" * 5_000_000)
    assert (answer.status, answer.page) == (403, "over")


def test_one_connection_follows_a_switch(lab: Lab) -> None:
    """A browser's open connection is judged again at each request."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.port(6), source_address=(workstation(6), 0))
    seen = []
    for route in (
        Route(6, RouteState.OPEN, lab.addresses["site-06"]),
        Route(6, RouteState.OPEN, lab.addresses["site-07"]),
        Route(6, RouteState.OVER, lab.addresses["site-07"]),
    ):
        lab.gateway.switch([route])
        connection.request("GET", "/")
        response = connection.getresponse()
        body = response.read()
        seen.append(json.loads(body)["site"] if response.status == 200 else response.headers["X-E5B-Page"])
    connection.close()
    assert seen == ["site-06", "site-07", "over"]


def test_what_nobody_will_answer_is_cut_with_the_switch(lab: Lab) -> None:
    """Pages that wait for an environment that stands still get the page that comes back by itself, and are in nobody's
    way; those of another seat go on."""
    name = f"{naming.network_name(lab.settings.centre.id)}-site-07"
    frozen = lab.client.containers.get(name)
    frozen.pause()
    try:
        # As many as a seat has at once, and some that wait for their turn.
        with concurrent.futures.ThreadPoolExecutor(13) as pool:
            waiting = [pool.submit(lab.own, 7) for _ in range(12)]
            other = pool.submit(lab.own, 8, path="/slow")
            time.sleep(0.5)
            lab.gateway.switch(
                [
                    Route(7, RouteState.OPEN, lab.addresses["site-06"]),
                    Route(8, RouteState.OPEN, lab.addresses["site-08"]),
                ],
                cut=[lab.addresses["site-07"]],
            )
            began = time.monotonic()
            assert lab.own(7).site == "site-06"
            found = {(item.result().status, item.result().page, item.result().site) for item in waiting}
            assert time.monotonic() - began < 5
            assert other.result().site == "site-08"
    finally:
        frozen.unpause()
        lab.gateway.switch(lab.straight())
    assert found <= {(502, "unavailable", None), (200, None, "site-06")}
    assert (502, "unavailable", None) in found


def test_a_tunnel_is_refused(lab: Lab) -> None:
    """CONNECT goes nowhere."""
    with socket.create_connection(("127.0.0.1", lab.port(5)), 5, (workstation(5), 0)) as connection:
        connection.sendall(b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n")
        assert int(connection.recv(100).split()[1]) >= 400


def test_one_seat_that_floods_does_not_slow_another(lab: Lab) -> None:
    """Sixty slow requests at once from one workstation leave the next seat's pages as quick as before."""
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        flood = [pool.submit(lab.own, 7, path="/slow", timeout=60) for _ in range(60)]
        time.sleep(0.5)
        times = []
        for _ in range(20):
            started = time.monotonic()
            assert lab.own(8).site == "site-08"
            times.append(time.monotonic() - started)
        statuses = sorted({item.result().status for item in flood})
    assert sorted(times)[10] < 0.1
    # Eight at a time, two seconds each, ten seconds of patience: some are served, the last are told to come back.
    assert statuses == [200, 503]


def test_one_workstation_cannot_take_all_connections(lab: Lab) -> None:
    """The connections of one workstation are counted, and the next one is closed at once."""
    with contextlib.ExitStack() as stack:
        opened, closed = [], 0
        for _ in range(70):
            try:
                opened.append(
                    stack.enter_context(socket.create_connection(("127.0.0.1", lab.port(9)), 5, (workstation(9), 0)))
                )
            except ConnectionError:
                closed += 1
        time.sleep(0.3)
        for connection in opened:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                with contextlib.suppress(ConnectionError):
                    connection.recv(1)
                closed += 1
        assert closed == 70 - 64
        assert lab.own(10).site == "site-10"


def test_a_site_that_is_down_gives_a_page_and_comes_back(lab: Lab) -> None:
    """While a site does not answer its seat sees a page that tries again; afterwards it sees its site."""
    site = lab.client.containers.get(f"{naming.network_name(lab.settings.centre.id)}-site-11")
    site.stop(timeout=0)
    try:
        started = time.monotonic()
        answer = lab.own(11)
        assert (answer.status, answer.page, answer.headers["refresh"]) == (503, "unavailable", "5")
        assert "Poste 11" in answer.body
        assert time.monotonic() - started < 8
    finally:
        site.start()
        site.reload()
    address = site.attrs["NetworkSettings"]["Networks"][naming.network_name(lab.settings.centre.id)]["IPAddress"]
    lab.addresses = {**lab.addresses, "site-11": address}
    lab.gateway.switch(lab.straight())
    deadline = time.monotonic() + 5
    while lab.own(11).site != "site-11":
        assert time.monotonic() < deadline


def test_host_names_lead_to_seats(lab: Lab, client: docker.DockerClient, tmp_path: Path) -> None:
    """By host name: the seat is the name's, in any case and with any port; another name is a page."""
    port = free_ports(len(SEATS))
    settings = make_settings(tmp_path / "etat", 1, addressing="host", port=port, domain="e5b.lan")
    gateway = HaproxyGateway(client, settings)
    try:
        gateway.ensure(lab.straight())
        for host in ("poste-07.e5b.lan", f"poste-07.e5b.lan:{port}", "POSTE-07.E5B.lan"):
            assert ask(port, workstation(7), host=host).site == "site-07"
        assert ask(port, STAFF, host="poste-08.e5b.lan").site == "site-08"
        refused = ask(port, workstation(7), host="poste-08.e5b.lan")
        assert (refused.status, refused.page) == (403, "other-seat")
        assert f'href="http://poste-07.e5b.lan:{port}/"' in refused.body
        for host in ("poste-21.e5b.lan", "127.0.0.1", "e5b.lan"):
            unknown = ask(port, workstation(7), host=host)
            assert (unknown.status, unknown.page) == (404, "unknown-address")
            assert "Adresse inconnue" in unknown.body
    finally:
        gateway.remove()


# Switching


def test_twenty_switch_at_once_without_one_failed_request(
    lab: Lab, record_property: Callable[[str, Any], None]
) -> None:
    """While every seat asks without pause, all twenty change site ten times: none fails, none sees a stale site."""
    failures: list[str] = []
    served = 0
    stop = threading.Event()
    # For each seat, the sites that a request which begins now may meet; both only while a switch is on its way.
    allowed: dict[int, set[str]] = {seat: {f"site-{seat:02d}"} for seat in SEATS}

    def poll(seat: int) -> None:
        nonlocal served
        while not stop.is_set():
            before = set(allowed[seat])
            try:
                answer = lab.own(seat)
            except OSError as error:
                failures.append(f"seat {seat}: {error}")
                continue
            if answer.status != 200 or answer.site not in before | allowed[seat]:
                failures.append(f"seat {seat}: {answer.status} {answer.page} {answer.site}, not {before}")
            served += 1

    pollers = [threading.Thread(target=poll, args=(seat,)) for seat in SEATS]
    for thread in pollers:
        thread.start()
    times = []
    for shift in range(1, 11):
        time.sleep(0.4)
        names = {seat: f"site-{(seat + shift - 1) % len(SEATS) + 1:02d}" for seat in SEATS}
        for seat in SEATS:
            allowed[seat] = allowed[seat] | {names[seat]}
        routes = [Route(seat, RouteState.OPEN, lab.addresses[names[seat]]) for seat in SEATS]
        started = time.monotonic()
        lab.gateway.switch(routes)
        times.append((time.monotonic() - started) * 1000)
        for seat in SEATS:
            allowed[seat] = {names[seat]}
        assert lab.gateway.serving() == routes
    time.sleep(0.2)
    stop.set()
    for thread in pollers:
        thread.join()
    record_property("requests", served)
    record_property("switch_ms", [round(item, 1) for item in times])
    print(
        f"{served} requests, switch of twenty under load: {sorted(times)[5]:.1f} ms median, {max(times):.1f} ms worst"
    )
    assert failures == []
    assert served > 500


def test_a_quiet_switch_is_quick(lab: Lab) -> None:
    """Twenty seats change in far less than what a candidate notices, files synced and read back."""
    times = []
    for state in (RouteState.OVER, RouteState.OPEN) * 10:
        started = time.monotonic()
        lab.gateway.switch(lab.straight(state))
        times.append((time.monotonic() - started) * 1000)
    print(f"switch of twenty, quiet: {sorted(times)[10]:.1f} ms median, {max(times):.1f} ms worst")
    assert sorted(times)[10] < 250


def kill(lab: Lab) -> None:
    os.kill(lab.container.attrs["State"]["Pid"], 9)


def restart(lab: Lab) -> None:
    lab.container.restart()


@pytest.mark.parametrize("end", [kill, restart])
def test_a_gateway_that_starts_again_serves_what_was_stored(lab: Lab, end: Callable[[Lab], None]) -> None:
    """Killed or restarted, the gateway comes back by itself with the routes of the last switch."""
    routes = lab.straight()
    routes[2] = Route(3, RouteState.OVER, lab.addresses["site-03"])
    routes[3] = Route(4, RouteState.OPEN, lab.addresses["site-09"])
    lab.gateway.switch(routes)
    before = lab.container.id
    started = time.monotonic()
    end(lab)
    while lab.gateway.serving() is None:
        assert time.monotonic() < started + 20
        time.sleep(0.02)
    print(f"{end.__name__}: back after {time.monotonic() - started:.2f} s")
    assert lab.container.id == before
    assert lab.gateway.serving() == routes
    assert lab.own(3).page == "over"
    assert lab.own(4).site == "site-09"


def test_a_switch_meets_a_gateway_that_is_starting(lab: Lab) -> None:
    """A switch right after the gateway was killed waits for it, and holds."""
    kill(lab)
    routes = lab.straight(RouteState.OVER)
    lab.gateway.switch(routes)
    assert lab.gateway.serving() == routes
    assert lab.own(3).page == "over"


def test_a_switch_without_gateway_says_so_and_is_stored(lab: Lab) -> None:
    """Without a gateway a switch fails aloud, and the gateway serves it as soon as it runs."""
    lab.container.stop()
    assert lab.gateway.serving() is None
    routes = lab.straight(RouteState.OVER)
    with pytest.raises(EnvironmentFailed):
        lab.gateway.switch(routes)
    lab.container.start()
    while lab.gateway.serving() is None:
        time.sleep(0.02)
    assert lab.gateway.serving() == routes


# Ensure


def test_ensure_twice_changes_nothing(lab: Lab) -> None:
    """A second ensure finds the gateway as it should be, and only serves the routes it is given."""
    before = lab.container.id
    assert lab.gateway.ensure(lab.straight(RouteState.WAITING)) is False
    assert lab.container.id == before
    assert lab.gateway.serving() == lab.straight(RouteState.WAITING)
    assert len(list(lab.settings.gateway_folder.glob("config-*"))) == 1


def test_ensure_from_two_commands_at_once(lab: Lab) -> None:
    """Two commands that find no gateway end with one gateway."""
    lab.container.remove(force=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        started = [pool.submit(HaproxyGateway(lab.client, lab.settings).ensure, lab.straight()) for _ in range(2)]
        assert sorted(item.result() for item in started) == [False, True]
    assert lab.own(1).site == "site-01"


def test_ensure_replaces_what_other_settings_made(lab: Lab) -> None:
    """When the settings change the gateway is replaced, on the same ports, and the new settings hold."""
    before = lab.container.id
    gateway = lab.settings.gateway.model_copy(update={"staff": ()})
    changed = HaproxyGateway(lab.client, lab.settings.model_copy(update={"gateway": gateway}))
    assert ask(lab.port(1), STAFF).site == "site-01"
    assert changed.ensure(lab.straight()) is True
    assert lab.container.id != before
    assert ask(lab.port(1), STAFF).page == "unknown-workstation"
    assert len(list(lab.settings.gateway_folder.glob("config-*"))) == 1
    assert lab.gateway.ensure(lab.straight()) is True


def test_ensure_replaces_one_that_shows_the_documents_of_another_folder(lab: Lab, folder: Path) -> None:
    """Who corrects centre.memory unlocks again: the candidates see what is in the folder that is named now."""
    before = lab.container.id
    elsewhere = lab.settings.centre.model_copy(update={"memory": folder / "elsewhere"})
    changed = HaproxyGateway(lab.client, lab.settings.model_copy(update={"centre": elsewhere}))
    assert changed.ensure(lab.straight()) is True
    assert lab.container.id != before
    sources = {mount["Destination"]: mount["Source"] for mount in lab.container.attrs["Mounts"]}
    assert str(folder / "elsewhere") in sources["/e5b/documents"]
    assert lab.gateway.ensure(lab.straight()) is True


def test_ensure_starts_a_gateway_that_stopped(lab: Lab) -> None:
    """A gateway that somebody stopped runs again."""
    lab.container.stop()
    assert lab.gateway.ensure(lab.straight()) is True
    assert lab.own(1).site == "site-01"


def test_ensure_puts_the_walls_up_again(lab: Lab) -> None:
    """Walls that somebody took down (a reload of the host's firewall) stand again after ensure."""
    for family in ("inet", "bridge"):
        subprocess.run(["nft", "delete", "table", family, f"e5b_{lab.settings.centre.id}"], check=True)
    assert lab.gateway.ensure(lab.straight()) is False
    assert tables(lab.settings) == {"inet", "bridge"}


def test_a_configuration_that_fails_its_check_changes_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HAProxy refuses never comes near the running gateway, and its own words are passed on."""

    def broken(settings: Settings, owner: int) -> dict[str, str]:
        files = render(settings, owner)
        return {**files, "haproxy.cfg": files["haproxy.cfg"] + "    nonsense\n"}

    before = lab.container.id
    live = {path: path.read_bytes() for path in lab.settings.gateway_folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(haproxy, "render", broken)
    with pytest.raises(EnvironmentFailed) as failure:
        lab.gateway.ensure(lab.straight(RouteState.OVER))
    assert any("unknown keyword 'nonsense'" in line for line in failure.value.details)
    assert lab.container.id == before
    assert {path: path.read_bytes() for path in lab.settings.gateway_folder.rglob("*") if path.is_file()} == live
    assert lab.gateway.serving() == lab.straight()


def test_a_foreign_container_of_that_name_is_left_alone(client: docker.DockerClient, tmp_path: Path) -> None:
    """Somebody else's container with the gateway's name is neither started over nor removed."""
    settings = make_settings(tmp_path / "etat", free_ports(len(SEATS)))
    foreign = client.containers.create(IMAGE, name=naming.gateway_name(settings.centre.id))
    try:
        gateway = HaproxyGateway(client, settings)
        with pytest.raises(Conflict) as conflict:
            gateway.ensure([])
        assert foreign.name in conflict.value.message
        with pytest.raises(Conflict):
            gateway.remove()
        foreign.reload()
        assert foreign.status == "created"
    finally:
        foreign.remove()


def test_a_port_in_use_is_named_with_its_holder(client: docker.DockerClient, tmp_path: Path) -> None:
    """A port held by another program stops the gateway before anything is made; the program is named."""
    settings = make_settings(tmp_path / "etat", free_ports(len(SEATS)))
    gateway = HaproxyGateway(client, settings)
    with socket.create_server(("127.0.0.1", settings.seat_port(4))), pytest.raises(Conflict) as conflict:
        gateway.ensure([])
    (detail,) = conflict.value.details
    assert str(settings.seat_port(4)) in detail
    assert psutil.Process().name() in detail
    with pytest.raises(NotFound):
        client.containers.get(naming.gateway_name(settings.centre.id))


def test_a_port_that_a_container_publishes_is_named_by_the_container(
    client: docker.DockerClient, tmp_path: Path, make_network: Callable[..., Any]
) -> None:
    """Where another container holds the port, its name says more than the engine's process that listens for it."""
    settings = make_settings(tmp_path / "etat", free_ports(len(SEATS)))
    network = make_network(settings, icc=True, internal=False)
    publisher = client.containers.run(
        IMAGE,
        ["-e", "sleep 60"],
        entrypoint="perl",
        name=f"e5b-{settings.centre.id}-publisher",
        network=network.name,
        ports={"80/tcp": ("127.0.0.1", settings.seat_port(4))},
        detach=True,
    )
    try:
        with pytest.raises(Conflict) as conflict:
            HaproxyGateway(client, settings).ensure([])
        assert publisher.name in conflict.value.details[0]
    finally:
        publisher.remove(force=True)


def test_without_its_image_the_remedy_is_said(
    client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing image is said with what to do about it."""
    monkeypatch.setattr(haproxy, "IMAGE", "e5b/no-such-gateway:current")
    with pytest.raises(ImageUnusable) as failure:
        HaproxyGateway(client, make_settings(tmp_path / "etat", 1)).ensure([])
    assert failure.value.hint is not None and "e5b setup" in failure.value.hint


def test_the_socket_is_the_controller_s_alone(client: docker.DockerClient, tmp_path: Path) -> None:
    """Whoever owns the gateway's folder gives orders, nobody else; HAProxy itself is neither root nor that user."""
    settings = make_settings(tmp_path / "etat", free_ports(len(SEATS)))
    for name in ("", "routes", "run"):
        (settings.gateway_folder / name).mkdir(mode=0o700, parents=True)
        os.chown(settings.gateway_folder / name, 12345, 12345)
    gateway = HaproxyGateway(client, settings)
    try:
        gateway.ensure([])
        status = (settings.gateway_folder / "run/haproxy.sock").stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (12345, 0o600)
        container = client.containers.get(naming.gateway_name(settings.centre.id))
        process = psutil.Process(container.attrs["State"]["Pid"])
        assert process.name() == "haproxy"
        assert process.uids().effective not in {0, 12345}
        effective = re.search(r"^CapEff:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
        assert effective is not None and int(effective[1], 16) == 0
    finally:
        gateway.remove()


# The walls


def connects(container: Any, address: str, port: int) -> bool:
    script = (
        "use IO::Socket::INET; exit(IO::Socket::INET->new(PeerAddr => shift, PeerPort => shift, Timeout => 2) ? 0 : 1)"
    )
    return bool(container.exec_run(["perl", "-e", script, address, str(port)]).exit_code == 0)


def bridge_drops(settings: Settings) -> int:
    shown = subprocess.run(
        ["nft", "list", "table", "bridge", f"e5b_{settings.centre.id}"], capture_output=True, text=True, check=True
    )
    return sum(map(int, re.findall(r"counter packets (\d+)", shown.stdout)))


def test_walls_stand_between_environments_host_and_neighbours(
    client: docker.DockerClient,
    tmp_path: Path,
    make_network: Callable[..., Any],
    make_site: Callable[[str, Any], str],
) -> None:
    """An environment reaches neither the host, nor its neighbour, nor the outside; without the walls it would.

    The network lets containers talk here, so that only our own rules can be what stops them.
    """
    settings = make_settings(tmp_path / "etat", free_ports(len(SEATS)))
    network = make_network(settings, icc=True)
    addresses = {name: make_site(name, network) for name in ("one", "two")}
    one = client.containers.get(f"{network.name}-one")
    network.reload()
    host = network.attrs["IPAM"]["Config"][0].get("Gateway") or re.sub(r"\d+$", "1", addresses["one"])
    outside = next(
        address.address
        for name, known in psutil.net_if_addrs().items()
        for address in known
        if address.family == socket.AF_INET and name not in {"lo", naming.bridge_name(settings.centre.id)}
    )
    gateway = HaproxyGateway(client, settings)
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        assert connects(one, host, port), "the control: open without the walls"
        assert connects(one, addresses["two"], 80), "the control: open without the walls"
        try:
            gateway.ensure([Route(1, RouteState.OPEN, addresses["one"])])
            for _gateway_lives in (True, False):
                started = time.monotonic()
                assert not connects(one, host, port)
                assert time.monotonic() - started < 1, "refused, not left waiting"
                before = bridge_drops(settings)
                assert not connects(one, addresses["two"], 80)
                assert bridge_drops(settings) > before, "stopped on the bridge itself, whatever iptables sees"
                assert not connects(one, outside, port)
                if _gateway_lives:
                    assert ask(settings.seat_port(1), workstation(1)).site == "one"
                    client.containers.get(naming.gateway_name(settings.centre.id)).remove(force=True)
        finally:
            gateway.remove()
            subprocess.run(["nft", "delete", "table", "inet", f"e5b_{settings.centre.id}"], check=True)
            subprocess.run(["nft", "delete", "table", "bridge", f"e5b_{settings.centre.id}"], check=True)


# What is rendered


def sample(**gateway: Any) -> Settings:
    return make_settings(Path("/var/lib/e5b"), 8001, centre="essai", listen="192.0.2.10", **gateway)


CASES: Sequence[tuple[dict[str, Any], str, str]] = [
    ({}, "seats.map", "8001 01\n8002 02\n"),
    ({}, "owners.map", "127.0.17.1 01\n127.0.17.2 02\n"),
    ({"host": "192.0.2.10"}, "urls.map", "01 http://192.0.2.10:8001\n02 http://192.0.2.10:8002\n"),
    ({}, "staff.acl", "127.0.18.1/32\n"),
    ({"staff": []}, "staff.acl", ""),
    ({"staff": ["10.1.0.0/16", "10.2.3.4"]}, "staff.acl", "10.1.0.0/16\n10.2.3.4/32\n"),
    ({"addressing": "host"}, "seats.map", "poste-01.e5b.lan 01\nposte-02.e5b.lan 02\n"),
    ({"addressing": "host", "domain": "lycee.fr"}, "seats.map", "poste-01.lycee.fr 01\n"),
    ({"addressing": "host"}, "urls.map", "01 http://poste-01.e5b.lan\n"),
]


@pytest.mark.parametrize(("gateway", "name", "start"), CASES)
def test_what_the_settings_say_is_in_the_files(gateway: dict[str, Any], name: str, start: str) -> None:
    """Each setting of the gateway is found in the file that HAProxy looks it up in."""
    content = render(sample(**gateway), 0)[name]
    assert content.startswith(start) and (start or not content)


def test_what_is_listened_on() -> None:
    """One port per seat, or one port for all."""
    assert listen(sample())[:2] == [("192.0.2.10", 8001), ("192.0.2.10", 8002)]
    assert len(listen(sample())) == len(SEATS)
    assert listen(sample(addressing="host")) == [("192.0.2.10", 80)]

"""What leads past a guard, tried from a seat: all of it works without one, none of it with ours.

The issue's table of attempts is orchestrator/domain/probes.py; the made-up Internet is tests/guard/lab.py.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from orchestrator.domain import probes
from orchestrator.domain.probes import HOST, Matrix, Port, Verdict, matrix, script_plan
from orchestrator.services.centre import PROBE
from tests.guard import lab
from tests.guard.behind import Guarded
from tests.guard.conftest import PLANS, SEATED
from tests.guard.lab import Answer, Lab

NOTED = {
    "gateway": {
        "dns": ("dns", "drive.test"),
        "tls-pinned": ("name", "drive.test"),
        "tcp-8443": ("network", f"{lab.OWN}:8443/tcp"),
    },
    "proxy": {"proxy-http-blocked": ("name", "drive.test")},
}
"""Probes, and how they are noted."""

ALWAYS_CLOSED = ("v6-", "seat-", "host-", "other-site", "proxy-host-", "proxy-seat", "proxy-v6", "direct-")
"""What begins so is closed for an open seat too."""


@pytest.mark.parametrize("mode", PLANS)
def test_everything_is_reached_without_a_guard(mode: str, reached: dict[str, Answer]) -> None:
    """A probe that is closed when nothing closes it would show nothing later."""
    results = reached[mode]["results"]
    assert {id_: item["detail"] for id_, item in results.items() if not item["reached"]} == {}


def test_a_locked_seat_reaches_its_site_and_the_web_and_nothing_else(
    guarded: Guarded, reached: dict[str, Answer]
) -> None:
    """Refused aloud and at once: a page that waits for a blocked part of it would seem broken. There is no answer where
    nobody asks for a name, or for a neighbour at all; and in mode proxy this machine is not on the way."""
    guarded.lock(1)
    answer = guarded.probe(PLANS[guarded.mode], earlier=reached[guarded.mode])
    found = matrix(PLANS[guarded.mode], reached[guarded.mode]["results"], answer["results"])
    assert faults(found) == []
    assert found.green
    slow = {id_ for id_, item in answer["results"].items() if item["seconds"] > 2}
    assert {id_ for id_ in slow if not id_.startswith(("ssh-80", "ssh-443", "seat-", "direct-v6-"))} == set()


def test_what_was_refused_is_written_down(guarded: Guarded) -> None:
    """Which seat, what, and on which layer; nothing of what was allowed."""
    guarded.lock(1)
    plan = [probe for probe in PLANS[guarded.mode] if probe.id in NOTED[guarded.mode]]
    guarded.probe(plan, earlier={"pins": {"drive.test": [lab.DRIVE], "own.test": [lab.OWN]}})

    def noted() -> set[tuple[str, str]]:
        return {(item.layer, item.what) for item in guarded.guard.attempts() if item.seat == 1}

    guarded.lab.until(lambda: noted() >= set(NOTED[guarded.mode].values()), f"not all were noted: {noted()}")
    assert not any("search.test" in what for _layer, what in noted() if not what.startswith(("drive.", "docs.")))


def test_an_open_seat_reaches_what_its_network_offers(guarded: Guarded, reached: dict[str, Answer]) -> None:
    """Outside the waves a school works as always."""
    guarded.lock()
    answer = guarded.probe(PLANS[guarded.mode], earlier=reached[guarded.mode])
    closed = [id_ for id_, item in answer["results"].items() if not item["reached"]]
    # The proxy reads the name in any case, and opens tunnels to nothing but the Web.
    beside = ("ssh-", "tcp-", "doh-address", "proxy-address", "proxy-no-name", "proxy-sni-records", "proxy-uri")
    allowed = (*ALWAYS_CLOSED, *(beside if guarded.mode == "proxy" else ()))
    assert [id_ for id_ in closed if not id_.startswith(allowed)] == []


def test_an_unknown_machine_gets_nothing(guarded: Guarded, reached: dict[str, Answer]) -> None:
    """In mode proxy it gets nothing from the proxy: the rest of the school's network is not the guard's."""
    with as_seat_1(guarded.lab, guarded.lab.unknown):
        answer = guarded.probe(PLANS[guarded.mode], earlier=reached[guarded.mode])
    beside = ("direct-", "own-site", "other-site", "seat-", "host-", "pac") if guarded.mode == "proxy" else ()
    got = [id_ for id_, item in answer["results"].items() if item["reached"]]
    assert [id_ for id_ in got if not id_.startswith(beside)] == []


@pytest.mark.parametrize("stolen", ["address", "hardware address"])
def test_a_locked_seat_that_takes_something_of_an_open_one_gets_nothing(
    routed: Guarded, reached: dict[str, Answer], stolen: str
) -> None:
    """The guard knows a seat by both."""
    routed.lock(1)
    thief, victim = routed.lab.seats[1], routed.lab.seats[3]
    # The victim's machine is off: otherwise there would be two answers to every question.
    victim.run("ip", "link", "set", "eth0", "down")
    try:
        if stolen == "address":
            own_again = moved(routed.lab, 1, address=lab.address(3))
        else:
            own_again = moved(routed.lab, 1, mac=lab.mac(3))
        with own_again:
            answer = routed.probe(PLANS["gateway"], earlier=reached["gateway"])
        assert [id_ for id_, item in answer["results"].items() if item["reached"]] == []
    finally:
        back_on(routed.lab, 3)
    assert thief.run("ip", "-br", "address", "show", "eth0")


def test_a_machine_that_takes_both_is_that_seat_and_no_more(routed: Guarded, reached: dict[str, Answer]) -> None:
    """No network can tell them apart without a rule for each socket in the wall. A locked seat is worth nothing."""
    routed.lock(1, 3)
    routed.lab.seats[3].run("ip", "link", "set", "eth0", "down")
    try:
        with moved(routed.lab, 1, address=lab.address(3), mac=lab.mac(3)):
            answer = routed.probe(PLANS["gateway"], earlier=reached["gateway"])
        found = matrix(PLANS["gateway"], reached["gateway"]["results"], answer["results"])
        assert [line.probe.id for line in found.of(Verdict.OPEN)] in ([], ["other-site"])
    finally:
        back_on(routed.lab, 3)


def test_a_name_whose_addresses_rotate_works_every_time(routed: Guarded) -> None:
    """The guard connects to the address that it was given itself, which is another one than the seat's."""
    routed.lock(1)
    urls = [f"https://rotating.test/?{number}" for number in range(40)]
    shown = routed.lab.seats[1].run(
        *("curl", "-sS", "--fail", "--cacert", routed.lab.folder / "ca.pem", "--no-keepalive"),
        *("--parallel", "--parallel-max", "8", "-w", "%{http_code}\n", "-o", "/dev/null"),
        *[part for url in urls for part in ("-o", "/dev/null", url)][2:],
    )
    assert shown.split() == ["200"] * 40


def test_no_name_leads_inside(routed: Guarded) -> None:
    """A candidate's own name server could give any name the address of another seat, which serves pages here."""
    routed.lock(1)
    host = ("-H", "Host: inside.test", "--resolve", f"inside.test:80:{lab.ENCYCLO}", "http://inside.test/inside")
    shown = routed.lab.seats[1].run("curl", "-s", "-w", "%{http_code}", "-o", "/dev/null", *host)
    assert shown == "403"
    assert not any(note.get("path") == "/inside" for note in routed.lab.noted("neighbour"))
    assert routed.lab.exam.run("curl", "-s", f"http://{lab.address(2)}/inside")


def test_what_stays_possible_is_what_the_documentation_says(routed: Guarded) -> None:
    """No guard that decrypts nothing sees it: another host's name inside the connection to an allowed one, and an own
    server on a name that no list knows."""
    routed.lock(1)
    seat, headers = routed.lab.seats[1], ("curl", "-sk", "-o", "/dev/null", "-D", "-")
    inner = seat.run(*headers, "-H", "Host: shared.drive.test", "https://search.test/")
    assert "x-lab-host: shared.drive.test" in inner.lower()
    assert f"x-lab-server: {lab.OWN}" in seat.run(*headers, "https://own.test/").lower()


def test_only_what_is_allowed(routed: Guarded) -> None:
    """Then an own server on a name that nobody knows is closed as well, and with it the last line of the table."""
    routed.lock(1)
    curl = ("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}")
    names = ("search.test", "own.test", "encyclo.test")
    seat = routed.lab.seats[1]
    assert [seat.run(*curl, f"https://{name}/", check=False) for name in names] == ["200", "200", "200"]
    routed.guard.ensure(lab.policy(only_allowed=True, version="only-allowed"), {1})
    try:
        assert [seat.run(*curl, f"https://{name}/", check=False) for name in names] == ["200", "000", "000"]
    finally:
        routed.guard.ensure(lab.policy(), {1})


def test_an_open_connection_to_a_platform_ends_with_the_lock(routed: Guarded) -> None:
    """What was begun before the wave does not go on in it; the seat's own site does."""
    routed.lock()
    curl = ("curl", "-sSkN", "--max-time", "20", "-o", "/dev/null", "-w", "%{size_download}")
    seat = routed.lab.seats[1]
    platform = seat.start(*curl, "https://drive.test/drip/2000", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    site = seat.start(
        *curl, f"http://{lab.HOST}:{lab.SITE_PORTS[0]}/drip/50", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        until_noted(routed.lab, "internet", "/drip/2000")
        until_noted(routed.lab, "exam", "/drip/50")
        routed.lock(1)
        assert site.wait(20) == 0
        assert platform.wait(20) not in {0, 28}, "the connection went on, or died of its own age"
    finally:
        for process in (platform, site):
            process.kill()
            process.communicate()


def test_twenty_seats_at_once(guarded: Guarded) -> None:
    guarded.lock(*range(1, SEATED + 1))
    through = ("--proxy", f"http://{lab.HOST}:{lab.PROXY.port}") if guarded.mode == "proxy" else ()
    urls = ["https://search.test/", "https://encyclo.test/", "http://search.test/", "https://rotating.test/"] * 5
    asked = [part for url in urls for part in ("-o", "/dev/null", url)]
    ca = guarded.lab.folder / "ca.pem"
    curl = ("curl", "-sS", "--fail", "--cacert", ca, *through, "-w", "%{http_code}\n", *asked)
    running = [seat.start(*curl, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for seat in guarded.lab.seats.values()]
    outputs = [process.communicate(timeout=60) for process in running]
    assert {(out, err) for out, err in outputs} == {("200\n" * len(urls), "")}


def test_the_guard_is_probed_from_a_seat_of_its_own(guarded: Guarded) -> None:
    """As `e5b guard probe` does it: nobody's seat, and the addresses as they were while it was unlocked."""
    seen = replace(
        lab.TARGETS,
        site=Port(HOST, lab.SITE_PORTS[0]),
        other_site=None,
        neighbour=None,
        host=tuple(Port(HOST, port, "LAB") for port in lab.HOST_PORTS),
    )
    proxied = guarded.mode == "proxy"
    plan = probes.proxy(seen, Port(HOST, lab.PAC.port)) if proxied else probes.gateway(seen)
    resolver, proxy = (lab.RESOLVER, f"{HOST}:{lab.PROXY.port}") if proxied else (HOST, None)
    source = lab.SCRIPT.read_text(encoding="utf-8")
    guarded.lock()
    unlocked = guarded.guard.probe(source, script_plan(plan, resolver=resolver, proxy=proxy))
    guarded.lock(PROBE)
    pins = unlocked["pins"]
    locked = guarded.guard.probe(source, script_plan(plan, resolver=resolver, proxy=proxy, pins=pins))
    found = matrix(plan, unlocked["results"], locked["results"])
    assert [item for item in faults(found) if "does not count" not in item] == [] and found.green


# Seats that are not what they seem


@contextmanager
def as_seat_1(made: Lab, machine: lab.Namespace) -> Iterator[None]:
    """The probes are run at *machine*."""
    seats = made.seats
    made.seats = {**seats, 1: machine}
    try:
        yield
    finally:
        made.seats = seats


@contextmanager
def moved(made: Lab, seat: int, address: str | None = None, mac: str | None = None) -> Iterator[None]:
    """The seat has another's *address*, or *mac*, or both."""
    configure(made, seat, address or lab.address(seat), mac or lab.mac(seat))
    try:
        yield
    finally:
        back_on(made, seat)


def back_on(made: Lab, seat: int) -> None:
    configure(made, seat, lab.address(seat), lab.mac(seat))


def configure(made: Lab, seat: int, address: str, mac: str) -> None:
    lines = ["link set eth0 down", f"link set eth0 address {mac}", "address flush dev eth0"]
    lines += [f"address add {address}/24 dev eth0", f"address add {lab.address_v6(seat)}/64 dev eth0 nodad"]
    lines += ["link set eth0 up", f"route add default via {lab.HOST}", f"route add ::/0 via {lab.HOST_V6}"]
    made.seats[seat].run("ip", "-batch", "-", input="\n".join(lines))
    # What the others remember of who has which address would keep the wrong ones apart for a while.
    made.exam.run("ip", "neighbour", "flush", "dev", lab.SEATS)
    with suppress(AssertionError):
        made.seats[seat].run(sys.executable, "-c", f"import socket; socket.create_connection(('{lab.HOST}', 1), 0.2)")


def until_noted(made: Lab, name: str, path: str) -> None:
    log = made.folder / f"{name}.log"
    made.until(lambda: path in log.read_text(), f"nobody asked for {path}")


def faults(found: Matrix) -> list[str]:
    """The lines of a matrix that are not as they should be."""
    return [
        f"{line.probe.id}: {line.verdict} ({line.unlocked.detail} / {line.locked.detail})"
        for line in found.lines
        if line.verdict not in {Verdict.CLOSED, Verdict.WORKS}
    ]

"""What is tried from a seat to get past the guard, and what comes of it.

A plan is made of :class:`Targets`: public services in the field (policy/probes.toml), the servers of a made-up Internet
in the tests. Every probe is tried twice, with the seat unlocked and with the seat locked. One that should be closed
counts only when it reached its goal while nothing closed it: what is "closed" anyway shows nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.i18n import N_

HOST = "@host"
"""The exam host, wherever it is for the one who asks."""

STUN = "000100002112a442" + "653562" * 4
"""A binding request (RFC 8489): what a video meeting begins with."""


@dataclass(frozen=True, slots=True)
class Service:
    """*proof*: what its certificate or its page holds one of, so that another server that answers in its place is not
    taken for it. Empty: any answer is its own."""

    name: str
    proof: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """*address* may be a name. *says*: what the server's first words begin with."""

    address: str
    port: int
    says: str = ""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a plan is made of; what is None or empty is not tried.

    *search* and *allowed* are open, on servers of their own. *blocked* is a platform, *deep* a name below it, *beside*
    a platform under an allowed parent (``drive.`` of a search engine), *shared* one that is served at the address of
    *search*. *platforms* are others, tried by name only. *resolver* is not the guard's, *odd_resolver* one on another
    port; *doh* a resolver over HTTPS. *own_server* answers anything. *site* is the seat's own,
    *other_site* another seat's, *host* the exam host's other ports, *neighbour* another seat's. A *site* that has no
    first words only has to be connected to: whoever is no candidate's seat has none."""

    search: Service
    allowed: Service
    blocked: Service
    deep: Service | None = None
    beside: Service | None = None
    shared: Service | None = None
    platforms: tuple[str, ...] = ()
    alias: str | None = None
    resolver: str | None = None
    odd_resolver: Port | None = None
    dot: str | None = None
    doh: Service | None = None
    doh_address: str | None = None
    records: Mapping[str, str] = field(default_factory=dict)
    own_server: Service | None = None
    proxies: tuple[Port, ...] = ()
    ssh: tuple[Port, ...] = ()
    ports: tuple[Port, ...] = ()
    datagrams: tuple[Port, ...] = ()
    quic: tuple[str, ...] = ()
    v6: Service | None = None
    v6_address: str | None = None
    ping: str | None = None
    site: Port | None = None
    other_site: Port | None = None
    neighbour: Port | None = None
    host: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """*attempt* is for people. *open*: it must reach its goal, locked or not. *what*: the kind and its arguments, as
    orchestrator/probe.py takes them."""

    id: str
    attempt: str
    what: Mapping[str, Any]
    open: bool = False


class Verdict(StrEnum):
    WORKS = "works"
    BROKEN = "broken"
    CLOSED = "closed"
    OPEN = "open"
    UNPROVED = "does not count"


@dataclass(frozen=True, slots=True)
class Reached:
    """*detail* in the script's own words; *seconds* that it took."""

    reached: bool
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the matrix."""

    probe: Probe
    unlocked: Reached
    locked: Reached

    @property
    def verdict(self) -> Verdict:
        if self.probe.open:
            return Verdict.WORKS if self.unlocked.reached and self.locked.reached else Verdict.BROKEN
        if self.locked.reached:
            return Verdict.OPEN
        return Verdict.CLOSED if self.unlocked.reached else Verdict.UNPROVED


@dataclass(frozen=True, slots=True)
class Matrix:
    lines: tuple[Line, ...]

    def of(self, verdict: Verdict) -> list[Line]:
        return [line for line in self.lines if line.verdict is verdict]

    @property
    def green(self) -> bool:
        """What has to work works, nothing that should be closed is open, and closed things were shown to be closed."""
        return not self.of(Verdict.BROKEN) and not self.of(Verdict.OPEN) and bool(self.of(Verdict.CLOSED))


def matrix(
    probes: Sequence[Probe], unlocked: Mapping[str, Mapping[str, Any]], locked: Mapping[str, Mapping[str, Any]]
) -> Matrix:
    """*unlocked* and *locked*: the ``results`` that the script answered. What one of them does not hold was not
    reached."""
    return Matrix(tuple(Line(probe, _reached(unlocked, probe), _reached(locked, probe)) for probe in probes))


def _reached(results: Mapping[str, Mapping[str, Any]], probe: Probe) -> Reached:
    found = results.get(probe.id, {})
    return Reached(found.get("reached") is True, str(found.get("detail", "")), float(found.get("seconds", 0)))


def script_plan(
    probes: Sequence[Probe],
    *,
    host: str | None = None,
    resolver: str | None,
    page: str | None = None,
    proxy: str | None = None,
    pins: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The plan as the script reads it. *host* is the exam host, None for the router of the machine on which the script
    runs: HOST stands for it in the targets. *resolver* as the seats are given it; *page*: the address that a blocked
    name is answered with; *pins* of an earlier answer."""
    names = {str(probe.what["to"]) for probe in probes if probe.what.get("to")}
    return {
        "host": host,
        "resolver": resolver,
        "page": page,
        "proxy": proxy,
        "pin": sorted(name for name in names if not _is_address(name)),
        "pins": dict(pins or {}),
        "probes": [{"id": probe.id, **probe.what} for probe in probes],
    }


def _is_address(text: str) -> bool:
    return text == HOST or ":" in text or text.replace(".", "").isdigit()


def targets(data: Mapping[str, Any]) -> Targets:
    """Targets from tables and lists, as TOML has them. Raises TypeError or ValueError for what is not as above."""

    def service(item: Mapping[str, Any]) -> Service:
        return Service(item["name"], tuple(item.get("proof", ())))

    made: dict[str, Any] = {}
    for key, value in data.items():
        if key in {"search", "allowed", "blocked", "deep", "beside", "shared", "doh", "own_server", "v6"}:
            made[key] = service(value)
        elif key in {"odd_resolver", "site", "other_site", "neighbour"}:
            made[key] = Port(**value)
        elif key in {"proxies", "ssh", "ports", "datagrams", "host"}:
            made[key] = tuple(Port(**item) for item in value)
        else:
            made[key] = tuple(value) if isinstance(value, list) else value
    return Targets(**made)


# The attempts, through a router


def gateway(t: Targets) -> list[Probe]:
    """Where the exam host is the seats' router."""
    return [*_works(t), *_names(t), *_tls(t), *_http(t), *_other_ways(t), *_inside(t)]


def proxy(t: Targets, pac: Port) -> list[Probe]:
    """Where the seats' browsers use the exam host as their proxy: through it, and past it."""
    return [*_works(t), *_pac(pac), *_through_proxy(t), *_past_proxy(t), *_inside(t)]


def _works(t: Targets) -> Iterator[Probe]:
    for id_, service in (("search", t.search), ("allowed", t.allowed)):
        yield Probe(f"{id_}-https", N_("an allowed site, HTTPS"), _to("tls", service), open=True)
        yield Probe(f"{id_}-http", N_("an allowed site, HTTP"), {"kind": "http", "name": service.name}, open=True)
    if t.site:
        where = {"to": t.site.address, "port": t.site.port, "direct": True}
        site = {"kind": "http", "name": t.site.address, **where} if t.site.says else {"kind": "tcp", **where}
        yield Probe("own-site", N_("the seat's own site"), site, open=True)


def _names(t: Targets) -> Iterator[Probe]:
    asked = {"kind": "dns", "name": t.blocked.name}
    yield Probe("dns", N_("a platform's name"), asked)
    for id_, service in (("deep", t.deep), ("beside", t.beside), ("shared", t.shared)):
        if service:
            yield Probe(f"dns-{id_}", N_("a platform's name"), {"kind": "dns", "name": service.name})
    for name in t.platforms:
        yield Probe(f"dns-{name}", N_("a platform's name"), {"kind": "dns", "name": name})
    if t.alias:
        yield Probe("dns-alias", N_("a platform's name, after an alias of it"), {**asked, "first": t.alias})
    if t.resolver:
        other = {**asked, "server": t.resolver}
        yield Probe("resolver-udp", N_("another name server"), other)
        yield Probe("resolver-tcp", N_("another name server"), {**other, "transport": "tcp"})
    if t.odd_resolver:
        odd: dict[str, Any] = {**asked, "server": t.odd_resolver.address, "port": t.odd_resolver.port}
        yield Probe("resolver-odd-udp", N_("another name server on another port"), odd)
        yield Probe("resolver-odd-tcp", N_("another name server on another port"), {**odd, "transport": "tcp"})
    if t.dot:
        dot = {**asked, "server": t.dot, "port": 853, "transport": "tls"}
        yield Probe("resolver-tls", N_("another name server, over TLS"), dot)
    for kind, name in t.records.items():
        record = {"kind": "dns", "name": name, "type": kind}
        yield Probe(f"dns-{kind.lower()}", N_("a record that hides or carries something"), record)


def _tls(t: Targets) -> Iterator[Probe]:
    yield Probe("tls", N_("a platform, HTTPS"), _to("tls", t.blocked))
    for name in t.platforms:
        yield Probe(f"tls-{name}", N_("a platform, HTTPS"), {"kind": "tls", "name": name, "to": name})
    if t.beside:
        yield Probe("tls-beside", N_("a platform, HTTPS"), _to("tls", t.beside))
    yield from _hellos(t, N_("a platform's address and name"))
    if t.shared:
        vhost = _to("tls", t.shared, t.search.name)
        yield Probe("tls-shared", N_("a platform at an allowed site's address"), vhost)
        for split in ("records", "segments"):
            parts = N_("a platform's name in parts, at an allowed site's address")
            yield Probe(f"tls-shared-{split}", parts, {**vhost, "split": split})
    nameless = N_("an address without a name, HTTPS")
    yield Probe("tls-no-name", nameless, {**_to("tls", t.blocked, t.blocked.name), "sni": None})
    yield Probe("tls-no-name-allowed", nameless, {**_to("tls", t.search, t.search.name), "sni": None})
    # The name is allowed: what counts is which server answers.
    elsewhere = N_("an allowed name at another server's address, HTTPS")
    yield Probe("tls-elsewhere", elsewhere, {**_to("tls", t.blocked, t.blocked.name), "sni": t.allowed.name})
    if t.own_server:
        yield Probe("tls-own", elsewhere, {**_to("tls", t.own_server, t.own_server.name), "sni": t.allowed.name})


def _hellos(t: Targets, attempt: str) -> Iterator[Probe]:
    pinned = _to("tls", t.blocked, t.blocked.name)
    yield Probe("tls-pinned", attempt, pinned)
    yield Probe("tls-upper", attempt, {**pinned, "sni": t.blocked.name.upper()})
    yield Probe("tls-dot", attempt, {**pinned, "sni": t.blocked.name + "."})
    yield Probe("tls-deep", attempt, {**pinned, "sni": t.deep.name if t.deep else "a.b.c.d." + t.blocked.name})
    yield Probe("tls-records", attempt, {**pinned, "split": "records"})
    yield Probe("tls-segments", attempt, {**pinned, "split": "segments"})


def _http(t: Targets) -> Iterator[Probe]:
    yield Probe("http", N_("a platform, HTTP"), {"kind": "http", "name": t.blocked.name, "proof": _proof(t.blocked)})
    pinned = {"kind": "http", "name": t.blocked.name, "to": t.blocked.name, "proof": _proof(t.blocked)}
    yield Probe("http-pinned", N_("a platform, HTTP"), pinned)
    yield Probe("http-upper", N_("a platform, HTTP"), {**pinned, "host": t.blocked.name.upper()})
    yield Probe("http-dot", N_("a platform, HTTP"), {**pinned, "host": t.blocked.name + "."})
    yield Probe("http-port", N_("a platform, HTTP"), {**pinned, "host": t.blocked.name + ":80"})
    if t.shared:
        vhost = {"kind": "http", "name": t.shared.name, "to": t.search.name, "proof": _proof(t.shared)}
        yield Probe("http-shared", N_("a platform at an allowed site's address"), vhost)
        absolute = {**vhost, "host": t.search.name, "target": f"http://{t.shared.name}/"}
        yield Probe("http-absolute", N_("a platform's whole URL, and an allowed host"), absolute)
        second = {**vhost, "before": t.search.name}
        yield Probe("http-second", N_("a platform in the second request of a connection"), second)
    elsewhere = N_("an allowed name at another server's address, HTTP")
    yield Probe("http-elsewhere", elsewhere, {**pinned, "host": t.allowed.name})
    if t.own_server:
        own = {"kind": "http", "name": t.allowed.name, "to": t.own_server.name, "proof": _proof(t.own_server)}
        yield Probe("http-own", elsewhere, own)


def _other_ways(t: Targets) -> Iterator[Probe]:
    for item in t.proxies:
        connect = {"kind": "connect", "to": item.address, "port": item.port, "target": f"{t.blocked.name}:443"}
        yield Probe(f"connect-{item.port}", N_("a proxy elsewhere"), connect)
    yield from _ports(t)
    yield from _doh(t)
    for number, name in enumerate(t.quic, 1):
        yield Probe(f"quic-{number}", N_("QUIC"), {"kind": "quic", "to": name})
    if t.v6 and t.v6_address:
        yield Probe("v6-https", N_("IPv6"), _to("tls", t.v6, t.v6_address))
        http = {"kind": "http", "name": t.v6.name, "to": t.v6_address, "proof": _proof(t.v6)}
        yield Probe("v6-http", N_("IPv6"), http)
    for item in t.datagrams:
        datagram = {"kind": "udp", "to": item.address, "port": item.port, "payload": STUN}
        yield Probe(f"udp-{item.port}", N_("a VPN's or a meeting's port"), datagram)
    if t.ping:
        yield Probe("ping", N_("ping"), {"kind": "ping", "to": t.ping})


def _ports(t: Targets) -> Iterator[Probe]:
    for item in t.ssh:
        yield Probe(f"ssh-{item.port}", N_("SSH, whatever its port"), _port(item))
    for item in t.ports:
        yield Probe(f"tcp-{item.port}", N_("another port"), _port(item))


def _doh(t: Targets) -> Iterator[Probe]:
    if t.doh:
        doh = {"kind": "doh", "name": t.doh.name, "asked": t.blocked.name}
        yield Probe("doh", N_("a name server over HTTPS"), doh)
        yield Probe("doh-pinned", N_("a name server over HTTPS"), {**doh, "to": t.doh.name})
    if t.doh_address:
        by_address = {"kind": "doh", "name": t.doh_address, "to": t.doh_address, "asked": t.blocked.name, "sni": None}
        yield Probe("doh-address", N_("a name server over HTTPS, by its address"), by_address)


def _inside(t: Targets) -> Iterator[Probe]:
    if t.other_site:
        other = {"kind": "http", "name": t.other_site.address, "to": t.other_site.address, "port": t.other_site.port}
        yield Probe("other-site", N_("another seat's site"), {**other, "direct": True})
    if t.neighbour:
        where = {"to": t.neighbour.address, "port": t.neighbour.port, "direct": True}
        yield Probe("seat-tcp", N_("another seat"), {"kind": "tcp", **where, "says": t.neighbour.says})
        yield Probe("seat-udp", N_("another seat"), {"kind": "udp", **where, "payload": STUN})
        yield Probe("seat-ping", N_("another seat"), {"kind": "ping", "to": t.neighbour.address})
    for item in t.host:
        yield Probe(f"host-{item.port}", N_("the exam host's other ports"), {**_port(item), "direct": True})


# The attempts, through a proxy


def _pac(pac: Port) -> Iterator[Probe]:
    fetch = {"kind": "http", "name": pac.address, "to": pac.address, "port": pac.port, "target": "/proxy.pac"}
    attempt = N_("the browsers' proxy settings")
    yield Probe("pac", attempt, {**fetch, "direct": True, "proof": ["FindProxyForURL"]}, open=True)


def _through_proxy(t: Targets) -> Iterator[Probe]:
    platform = N_("a platform through the proxy")
    for id_, service in (("blocked", t.blocked), ("deep", t.deep), ("beside", t.beside), ("shared", t.shared)):
        if service:
            yield Probe(f"proxy-{id_}", platform, _to("tls", service))
            yield Probe(f"proxy-http-{id_}", platform, {"kind": "http", "name": service.name, "proof": _proof(service)})
    for name in t.platforms:
        yield Probe(f"proxy-{name}", platform, {"kind": "tls", "name": name})
    for id_, name in (("upper", t.blocked.name.upper()), ("dot", t.blocked.name + ".")):
        yield Probe(f"proxy-{id_}", platform, {**_to("tls", t.blocked), "name": name, "sni": t.blocked.name})
    by_address = {**_to("tls", t.blocked, t.blocked.name), "by_address": True}
    yield Probe("proxy-address", N_("an address through the proxy"), by_address)
    yield Probe("proxy-address-no-name", N_("an address through the proxy"), {**by_address, "sni": None})
    if t.shared:
        # CONNECT to what is allowed, and another name in the ClientHello.
        within = _to("tls", t.shared, t.search.name)
        attempt = N_("a platform's name behind an allowed one")
        yield Probe("proxy-sni", attempt, within)
        for split in ("records", "segments"):
            yield Probe(f"proxy-sni-{split}", attempt, {**within, "split": split})
        http = {"kind": "http", "proof": _proof(t.shared)}
        yield Probe("proxy-uri", attempt, {**http, "name": t.shared.name, "host": t.search.name})
        second = {**http, "name": t.shared.name, "before": t.search.name}
        yield Probe("proxy-second", N_("a platform in the second request of a connection"), second)
    nameless = {**_to("tls", t.search), "sni": None}
    yield Probe("proxy-no-name", N_("an allowed site without its name in the ClientHello"), nameless)
    if t.v6 and t.v6_address:
        yield Probe("proxy-v6", N_("IPv6"), {**_to("tls", t.v6, t.v6_address), "by_address": True})
    yield from _ports(t)
    yield from _doh(t)
    for item in t.host:
        yield Probe(f"proxy-host-{item.port}", N_("the exam host's other ports"), _port(item))
    if t.neighbour:
        yield Probe("proxy-seat", N_("another seat"), _port(t.neighbour))


def _past_proxy(t: Targets) -> Iterator[Probe]:
    """What the network itself must close in this mode: the exam host is not on the way."""
    ways = [*_names(t), *_hellos(t, N_("past the proxy")), *_http(t), *_other_ways(t)]
    for probe in ways:
        if probe.what["kind"] == "dns" and not probe.what.get("server"):
            # The seats' own resolver is not the guard here, and a name is not yet a way.
            continue
        yield Probe(f"direct-{probe.id}", N_("past the proxy"), {**probe.what, "direct": True})


def _to(kind: str, service: Service, to: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "name": service.name, **({"to": to} if to else {}), "proof": _proof(service)}


def _proof(service: Service) -> list[str]:
    return list(service.proof)


def _port(item: Port) -> dict[str, Any]:
    return {"kind": "tcp", "to": item.address, "port": item.port, "says": item.says}

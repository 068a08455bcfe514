"""What the guard's engines have in common: ports, addresses, folders, and who a seat is to them."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import jinja2

from orchestrator.adapters.haproxy import templates
from orchestrator.settings import Settings

# Folders as the container sees them.
CONFIG, STATE, NET = "/e5b/config", "/e5b/guard", "/e5b/net"

PORTS: Mapping[str, int] = MappingProxyType(
    {
        "open_dns": 3151,
        "exam_dns": 3152,
        "exam_dns_next": 3153,
        "tls": 3154,
        "web": 3155,
        "tunnels": 3156,
        "proxy_open": 3157,
        "tls_open": 3158,
    }
)
"""Ports of this machine that the engines listen on, besides those of the settings."""

CLOSED = "192.0.2.1"
"""What a closed name is told to be: nobody's (RFC 5737), so that all that goes there comes to the guard."""

PROBE_SEAT, PROBE_INTERFACE = 0, "e5b-probe0"
PROBE_ADDRESS, PROBE_ROUTER, PROBE_MAC = "192.0.2.6", "192.0.2.5", "02:e5:0b:00:00:00"
"""The seat that is no workstation, from which the guard is probed: a network of two addresses (RFC 5737)."""

HOPS = "127.0.1."
"""Address by which a tunnel says whose it is: this, and the seat's number."""


@dataclass(frozen=True)
class GuardedSeat:
    """*mac* is empty where the mode does not need it and the settings do not give it. *port* is its own site's."""

    number: int
    address: str
    mac: str
    port: int


def seats(settings: Settings) -> list[GuardedSeat]:
    """Seats as the guard knows them, with the one that probes."""
    known = [
        GuardedSeat(seat.number, str(seat.address), seat.mac or "", settings.seat_port(seat.number))
        for seat in settings.seats.values()
    ]
    # The gateway answers the seat that probes, though with no site.
    probe = GuardedSeat(PROBE_SEAT, PROBE_ADDRESS, PROBE_MAC, own_ports(settings)[0])
    return [probe, *sorted(known, key=lambda seat: seat.number)]


def own_ports(settings: Settings) -> list[int]:
    """Where the candidates' own sites are."""
    return sorted({settings.seat_port(seat) for seat in settings.seats})


def own_names(settings: Settings) -> list[str]:
    """Names of this machine, which no policy closes and which may lead into the school's network."""
    gateway = settings.gateway
    if gateway.addressing == "host":
        return [gateway.domain]
    try:
        ipaddress.ip_address(gateway.host)
    except ValueError:
        return [gateway.host.lower()]
    return []


def template(name: str) -> jinja2.Template:
    return templates().get_template(f"guard-{name}.j2")

"""The guard's reader of names: HAProxy, and in mode `proxy` tinyproxy behind it, which opens the tunnels."""

from collections.abc import Iterator

from orchestrator.adapters.guard_layout import CONFIG, HOPS, PORTS, STATE, own_names, own_ports, seats, template
from orchestrator.domain import naming
from orchestrator.domain.guard import Policy
from orchestrator.settings import Settings

LABELS = 20
"""Labels of the longest name that a rule may have."""

PRIVATE = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "224.0.0.0/3",
)
"""Where no name of the Internet leads (RFC 6890)."""


def render(settings: Settings) -> dict[str, str]:
    """The files that depend on the settings alone, by name."""
    guard, proxy = settings.guard, settings.guard.mode == "proxy"
    judged, free = ("tls", PORTS["tls"], True), ("tls-open", PORTS["tls_open"], False)
    context = {
        "mode": guard.mode,
        "ports": PORTS,
        "page_port": guard.page_port,
        "proxy_port": guard.proxy_port,
        "socket": f"{STATE}/run/haproxy.sock",
        "names": "${E5B_POLICY}/names.map",
        "depth": LABELS,
        "private": [*PRIVATE, settings.network.subnet],
        "hops": HOPS,
        "seats": f"{CONFIG}/seats.map",
        "urls": f"{CONFIG}/urls.map",
        "own_ports": own_ports(settings),
        "pac": f"{CONFIG}/proxy.pac",
        "tls": [judged, free] if proxy else [judged],
        "proxies": [
            ("proxy", guard.proxy_port, True, PORTS["tls"]),
            ("proxy-open", PORTS["proxy_open"], False, PORTS["tls_open"]),
        ]
        if proxy
        else [],
    }
    files = {
        "haproxy.cfg": template("haproxy.cfg").render(context),
        "urls.map": "".join(f"{seat.address} {settings.seat_url(number)}\n" for number, seat in settings.seats.items()),
    }
    if proxy:
        files["seats.map"] = "".join(f"{seat.address} {seat.number}\n" for seat in seats(settings))
        files["proxy.pac"] = template("proxy.pac").render(direct=_direct(settings), proxy_port=guard.proxy_port)
        files["tinyproxy.conf"] = template("tinyproxy.conf").render(
            ports=PORTS, onward=[PORTS["tls"], PORTS["tls_open"]]
        )
    return files


def names(policy: Policy) -> Iterator[str]:
    """What the policy says, as lines of HAProxy's map; `*` is every name without a rule."""
    yield f"* {'refused:none' if policy.only_allowed else 'allowed'}\n"
    for rule in policy.rules.values():
        yield f"{rule.name} refused:{rule.category or 'none'}\n" if rule.blocked else f"{rule.name} allowed\n"


def _direct(settings: Settings) -> list[str]:
    """Hosts that browsers reach without the proxy."""
    gateway = settings.gateway
    if gateway.addressing == "port":
        return [gateway.host, *(name for name in own_names(settings) if name != gateway.host)]
    return [naming.seat_host(seat, gateway.domain) for seat in settings.seats]

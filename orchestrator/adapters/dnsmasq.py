"""The guard's name servers: dnsmasq, one for open seats and the guard itself, one for locked seats."""

from collections.abc import Iterator

from orchestrator.adapters.guard_layout import CLOSED, PORTS, own_names, seats, template
from orchestrator.domain import naming
from orchestrator.domain.guard import Policy
from orchestrator.settings import Settings

CANARY = "use-application-dns.net"
"""What Firefox asks to know whether it may use a resolver of its own; it may where an address is the answer."""


def render(settings: Settings) -> dict[str, str]:
    """The files that depend on the settings alone, by name."""
    by_host = settings.gateway.addressing == "host" and settings.guard.mode == "gateway"
    context = {
        "own": own_names(settings),
        "seat_hosts": [naming.seat_host(seat.number, settings.gateway.domain) for seat in seats(settings)[1:]]
        if by_host
        else [],
        "canary": CANARY,
        "interface": settings.guard.interface,
        "resolvers": settings.guard.resolvers,
    }
    conf = template("dns.conf")
    files = {"open.conf": conf.render(context, exam=False, port=PORTS["open_dns"])}
    if settings.guard.mode == "gateway":
        files["exam.conf"] = conf.render(context, exam=True)
    return files


def names(policy: Policy) -> Iterator[str]:
    """What the policy says, as lines: the most specific name decides here as well."""
    if policy.only_allowed:
        yield f"address=/#/{CLOSED}\n"
    for rule in policy.rules.values():
        if rule.name == CANARY:
            continue
        yield f"address=/{rule.name}/{CLOSED}\n" if rule.blocked else f"server=/{rule.name}/#\n"

"""The guard's rules in the kernel, for the whole life of the policy: nftables."""

from orchestrator.adapters.guard_layout import PORTS, PROBE_INTERFACE, own_ports, seats, template
from orchestrator.settings import Settings

TABLE = "e5b_guard"
LOG_GROUP = 45
"""Netfilter's log group that ulogd listens to."""

MARK = "0x0e5b0000"
"""Mark of what Docker's own firewall lets pass, on whatever else is marked."""


def render(settings: Settings) -> str:
    guard = settings.guard
    ports = own_ports(settings)
    return template("rules.nft").render(
        table=TABLE,
        mode=guard.mode,
        seats=seats(settings),
        sides=f'"{guard.interface}", "{PROBE_INTERFACE}"',
        probe=f'"{PROBE_INTERFACE}"',
        uplink=guard.uplink,
        staff=settings.gateway.staff,
        own_ports=ports,
        staff_ports=sorted({*ports, settings.evidence.port}),
        page_port=guard.page_port,
        proxy_port=guard.proxy_port,
        ports=PORTS,
        group=LOG_GROUP,
        mark=MARK,
    )

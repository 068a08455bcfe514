"""The guard's policy, read from its lists, and what it says of one name."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from orchestrator.domain.guard import Policy, Rule, canonical, merge, suffixes
from orchestrator.errors import InputInvalid
from orchestrator.i18n import _
from orchestrator.ports import PolicyFiles, PolicyLists
from orchestrator.settings import Settings

_PORTS = frozenset({80, 443})
"""What a seat may ask of the Internet besides names."""


class Layer(StrEnum):
    """Where the guard decides, in the order in which a request meets them."""

    DNS = "dns"
    NAME = "name"
    NETWORK = "network"


@dataclass(frozen=True)
class Explanation:
    """What a seat gets that asks for *asked*. *name* is None for an address, *rule* None when none decides. *own*: it
    is the seats' own sites. *layers* are those that see to it, the first that is met first."""

    asked: str
    name: str | None
    blocked: bool
    rule: Rule | None
    own: bool
    layers: tuple[Layer, ...]


def read_policy(files: PolicyFiles, settings: Settings) -> tuple[Policy, PolicyLists]:
    """The policy that the lists make, and the lists. Raises InputInvalid, SignatureInvalid."""
    lists = files.read()
    return merge(lists.rules, lists.only_allowed or settings.guard.only_allowed), lists


def explain(policy: Policy, settings: Settings, asked: str) -> Explanation:
    """What *policy* says of a name, a URL or an address. Raises InputInvalid when it is none of these."""
    host, port = _target(asked)
    address = _address(host)
    if address is not None:
        own = str(address) == settings.gateway.host
        return Explanation(asked, None, not own, None, own, (Layer.NETWORK,))
    name = canonical(host)
    if name is None:
        raise InputInvalid(
            _("{text} is neither a name, nor a URL, nor an address.").format(text=asked),
            hint=_("For instance: drive.google.com, https://docs.google.com/document or 192.0.2.1."),
        )
    gateway = settings.gateway
    if name == gateway.host or (gateway.addressing == "host" and gateway.domain in suffixes(name)):
        return Explanation(asked, name, False, None, True, (Layer.NETWORK,))
    decision = policy.decide(name)
    if port is not None and port not in _PORTS and not decision.blocked:
        return Explanation(asked, name, True, None, False, (Layer.NETWORK,))
    # A browser that uses a proxy asks no name server.
    layers = (Layer.NAME,) if settings.guard.mode == "proxy" else (Layer.DNS, Layer.NAME)
    return Explanation(asked, name, decision.blocked, decision.rule, False, layers)


def sentences(found: Explanation) -> list[str]:
    """*found* in words: what happens, why, and where."""
    if found.own:
        return [_("{asked}: open. These are the seats' own sites.").format(asked=found.asked)]
    if found.layers == (Layer.NETWORK,):
        return [
            _("{asked}: blocked.").format(asked=found.asked),
            _("By the network: a seat reaches no address without a name.")
            if found.name is None
            else _("By the network: a seat reaches no ports but 80 and 443."),
        ]
    rule = found.rule
    if rule is None:
        why = _("Nothing allows it, and only what is allowed is open.") if found.blocked else _("No rule names it.")
    elif rule.blocked:
        why = _("Rule: {rule}, {category} ({origin}, {place}).").format(
            rule=rule.name, category=_(str(rule.category)), origin=_(rule.origin.value), place=rule.place
        )
    else:
        why = _("Rule: {rule} is an exception ({origin}, {place}).").format(
            rule=rule.name, origin=_(rule.origin.value), place=rule.place
        )
    if not found.blocked:
        return [_("{asked}: open.").format(asked=found.asked), why]
    told = {
        Layer.DNS: _("By the name server: it answers with an address where a page of this machine explains it (http)."),
        Layer.NAME: _("By the name that a connection gives (TLS, HTTP): it is closed, whatever address it goes to."),
    }
    return [_("{asked}: blocked.").format(asked=found.asked), why, *(told[layer] for layer in found.layers)]


def _target(asked: str) -> tuple[str, int | None]:
    """Host and port in *asked*; no host where there is none."""
    text = asked.strip()
    if _address(text) is not None:
        return text, None
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        known = {"": None, "http": 80, "https": 443}
        # Another scheme has a port of its own, which is neither.
        return parts.hostname or "", parts.port or known.get(parts.scheme, 0)
    except ValueError:
        return "", None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None

"""The guard's policy: which names the seats may not reach, and which rule decides.

A rule covers its name and all names under it. The most specific rule decides (``docs.google.com`` before
``google.com``); where two rules name the same name, the one that blocks. A name without a rule is open, or blocked
where only what is allowed may be reached. Names are lower-case ASCII (IDNA), without a final dot (RFC 1035, 5890).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""A host name of at least two labels, the last of which is no number: no address is a name."""

SESSION_RULES = "academy.toml"
"""The file of the pilot academy's rules for a session; its signature lies beside it."""


class Category(StrEnum):
    """What collaborative platforms are, and what leads round the guard."""

    DOCUMENTS = "documents"
    TRANSFER = "transfer"
    MESSAGING = "messaging"
    WEBMAIL = "webmail"
    SOCIAL = "social"
    FORGES = "forges"
    MEETINGS = "meetings"
    ASSISTANTS = "assistants"
    TRANSLATION = "translation"
    REMOTE = "remote"
    VPN = "vpn"
    DOH = "doh"


class Origin(StrEnum):
    """Who made a rule. A centre's own rules block only."""

    PROJECT = "project"
    ACADEMY = "academy"
    CENTRE = "centre"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Rule:
    """*name* and all under it. *blocked* in a *category*, or allowed (an exception; its category is None).
    *where* is the file that it was read from, *line* its line there (0: not known)."""

    name: str
    blocked: bool
    category: Category | None
    origin: Origin
    where: str
    line: int = 0

    @property
    def place(self) -> str:
        """File and line, as people read them."""
        return f"{self.where}:{self.line}" if self.line else self.where


@dataclass(frozen=True)
class Decision:
    """What happens to a name. *rule* is the one that decides; None: no rule, and *blocked* only where nothing is open
    but what is allowed."""

    name: str
    blocked: bool
    rule: Rule | None


@dataclass(frozen=True)
class Policy:
    """*rules* by name, one for each. *only_allowed*: nothing is open but what a rule allows. *version* identifies the
    content: the same rules have the same version."""

    rules: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))
    only_allowed: bool = False
    version: str = ""

    def decide(self, name: str) -> Decision:
        """*name* as :func:`canonical` gives it."""
        for part in suffixes(name):
            rule = self.rules.get(part)
            if rule is not None:
                return Decision(name, rule.blocked, rule)
        return Decision(name, self.only_allowed, None)


def merge(rules: Iterable[Rule], only_allowed: bool = False) -> Policy:
    """One policy of all *rules*. Of several for one name, the first that blocks decides; without one, the first."""
    chosen: dict[str, Rule] = {}
    for rule in rules:
        known = chosen.setdefault(rule.name, rule)
        if rule.blocked and not known.blocked:
            chosen[rule.name] = rule
    digest = hashlib.sha256(b"only allowed\n" if only_allowed else b"")
    for name in sorted(chosen):
        digest.update(f"{name} {chosen[name].category or 'allowed'}\n".encode("ascii"))
    return Policy(MappingProxyType(chosen), only_allowed, digest.hexdigest())


def canonical(name: str) -> str | None:
    """*name* in lower case, in ASCII, without a final dot; None when it is no host name."""
    if NAME.fullmatch(name):
        return name
    try:
        ascii_name = name.strip().removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return ascii_name if NAME.fullmatch(ascii_name) else None


def suffixes(name: str) -> Iterator[str]:
    """*name*, then each name that it is under: ``a.b.fr``, ``b.fr``, ``fr``."""
    while name:
        yield name
        _label, _dot, name = name.partition(".")

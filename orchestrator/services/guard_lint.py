"""Contradictions in the guard's lists: what one opens and another closes, and what closes far too much."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from publicsuffixlist import PSLFILE

from orchestrator.domain.guard import Origin, Policy, Rule, suffixes
from orchestrator.i18n import _, ngettext
from orchestrator.ports import PolicyLists


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """*sentence* names the rules, with file and line."""

    severity: Severity
    sentence: str


def lint(policy: Policy, lists: PolicyLists) -> list[Finding]:
    """What is wrong in *lists*, of which *policy* is made; errors first. A name is closed where lists contradict each
    other at that very name; an exception below a closed name is open."""
    found: list[Finding] = []
    covered: Counter[str] = Counter()
    for rule in lists.rules:
        kept = policy.rules[rule.name]
        if not rule.blocked:
            found += _exception(policy, rule, kept)
            continue
        above = kept if kept is not rule else _above(policy, rule.name)
        # Under a rule of another category, a rule still decides what the candidate reads.
        if above is not None and (above is kept or above.category is rule.category):
            if rule.origin is Origin.IMPORT:
                covered[rule.where] += 1
            else:
                sentence = _("{name} ({place}) is already covered by {above} ({other}).")
                found.append(Finding(Severity.NOTE, _about(sentence, rule, above)))
        if _is_registrys(rule.name):
            sentence = _("{name} ({place}) is a registry's domain: the sites of many strangers are under it.")
            found.append(Finding(Severity.ERROR, sentence.format(name=rule.name, place=rule.place)))
    for file, count in covered.items():
        sentence = ngettext(
            "{file}: {n} name is already covered by another rule.",
            "{file}: {n} names are already covered by another rule.",
            count,
        )
        found.append(Finding(Severity.NOTE, sentence.format(file=file, n=count)))
    if policy.only_allowed and not any(not rule.blocked for rule in policy.rules.values()):
        found.append(Finding(Severity.ERROR, _("Only what is allowed is open, and nothing is allowed.")))
    found += [Finding(Severity.NOTE, note) for note in lists.notes]
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _exception(policy: Policy, rule: Rule, kept: Rule) -> list[Finding]:
    """What contradicts the exception *rule*, in place of which *kept* may decide."""
    found = []
    if kept.blocked:
        sentence = _("{name} is allowed ({place}) and blocked as {category} ({other}): it is blocked.")
        found.append(Finding(Severity.ERROR, _about(sentence, rule, kept)))
    for name in suffixes(rule.name.partition(".")[2]):
        above = policy.rules.get(name)
        if above is not None and above.blocked:
            # Who made the exception knew of the block: the academy knows the project's lists.
            known = {Origin.PROJECT} if rule.origin is Origin.PROJECT else {Origin.PROJECT, Origin.ACADEMY}
            severity = Severity.WARNING if above.origin in known else Severity.ERROR
            sentence = _("{name} is allowed ({place}) under {above}, blocked as {category} ({other}).")
            found.append(Finding(severity, _about(sentence, rule, above)))
            break
    return found


def _above(policy: Policy, name: str) -> Rule | None:
    """The rule that would decide about *name* without its own."""
    return next((policy.rules[part] for part in suffixes(name.partition(".")[2]) if part in policy.rules), None)


def _about(sentence: str, rule: Rule, other: Rule) -> str:
    return sentence.format(
        name=rule.name, place=rule.place, above=other.name, category=_(str(other.category)), other=other.place
    )


def _is_registrys(name: str) -> bool:
    """Whether the sites of strangers are under *name*: ``co.uk``, ``gouv.fr``. The algorithm of publicsuffix.org; the
    library's own takes ten times as long, for a million names."""
    domains = _registries()
    return name in domains or (f"*.{name.partition('.')[2]}" in domains and f"!{name}" not in domains)


@cache
def _registries() -> frozenset[str]:
    # The list's first part: to close what a company lets to many (github.io, in the second) may be wanted.
    text = Path(PSLFILE).read_text(encoding="utf-8").partition("===END ICANN DOMAINS===")[0]
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line.encode("idna").decode("ascii") for line in lines if line and not line.startswith("//"))

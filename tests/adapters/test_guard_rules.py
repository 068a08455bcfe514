"""What the guard's engines are given: settings and a policy in, exact files out, in tests/cases/guard/."""

import json
from pathlib import Path

import pytest

from orchestrator import settings
from orchestrator.adapters import dnsmasq, guard_proxy, nftables
from orchestrator.domain.guard import Category, Origin, Policy, Rule

CASES = Path(__file__).parents[1] / "cases" / "guard"
FACTS = {"centre.toml", "policy.json"}


def rendered(case: Path) -> dict[str, str]:
    centre = settings.load(case / "centre.toml")
    facts = json.loads((case / "policy.json").read_text(encoding="utf-8"))
    rules = {
        name: Rule(name, category is not None, Category(category) if category else None, Origin.PROJECT, "policy")
        for name, category in facts["rules"].items()
    }
    policy = Policy(rules, facts["only_allowed"], "1")
    return {
        "rules.nft": nftables.render(centre),
        **dnsmasq.render(centre),
        **guard_proxy.render(centre),
        "names.conf": "".join(dnsmasq.names(policy)),
        "names.map": "".join(guard_proxy.names(policy)),
    }


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_the_engines_are_given_exactly_this(case: Path) -> None:
    """A change of a rule is seen as a change of a file that somebody reads. What is rendered is checked by the engines
    themselves in test_guard.py."""
    expected = {path.name: path.read_text(encoding="utf-8") for path in case.iterdir() if path.name not in FACTS}
    assert rendered(case) == expected


def test_every_category_has_words_on_the_page() -> None:
    """The page says in French what kind of site is closed."""
    lines = (Path(__file__).parents[2] / "images/guard/pages/categories.map").read_text(encoding="utf-8").splitlines()
    known = dict(line.split(" ", 1) for line in lines)
    assert set(known) == {*Category, "none", "form", "port", "private"}

"""The guard's decision about a name: what holds for every policy and every name."""

import random

from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.domain.guard import NAME, Category, Origin, Rule, canonical, merge, suffixes

LABELS = st.sampled_from(["a", "b", "c", "docs", "google", "fr", "com"])
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join)


def rule(name: str, blocked: bool = True, category: Category = Category.SOCIAL, line: int = 0) -> Rule:
    return Rule(name, blocked, category if blocked else None, Origin.PROJECT, "list", line)


RULES = st.lists(st.builds(rule, NAMES, st.booleans(), st.sampled_from([Category.SOCIAL, Category.VPN])), max_size=12)


@given(RULES, NAMES, st.booleans())
def test_the_longest_suffix_decides_and_blocks_where_two_are_equal(
    rules: list[Rule], name: str, only_allowed: bool
) -> None:
    """The decision equals the one that a plain search through all rules gives."""
    above = [item for item in rules if name == item.name or name.endswith(f".{item.name}")]
    longest = max((len(item.name) for item in above), default=0)
    deciding = [item for item in above if len(item.name) == longest]
    decision = merge(rules, only_allowed).decide(name)
    assert decision.blocked == (any(item.blocked for item in deciding) if deciding else only_allowed)
    assert (decision.rule in deciding) if deciding else (decision.rule is None)


@given(RULES, st.randoms(use_true_random=False))
def test_the_order_of_the_lists_never_opens_a_name(rules: list[Rule], chance: random.Random) -> None:
    shuffled = rules.copy()
    chance.shuffle(shuffled)
    verdicts = {name: item.blocked for name, item in merge(rules).rules.items()}
    assert {name: item.blocked for name, item in merge(shuffled).rules.items()} == verdicts


@given(RULES)
def test_the_same_rules_have_the_same_version(rules: list[Rule]) -> None:
    """Wherever they are written; another verdict, category or mode is another version."""
    policy = merge(rules)
    moved = [
        Rule(item.name, item.blocked, item.category, Origin.CENTRE, "elsewhere", 7) for item in policy.rules.values()
    ]
    assert merge(reversed(moved)).version == policy.version
    assert merge(rules, only_allowed=True).version != policy.version
    assert merge([*rules, rule("new.example")]).version != policy.version
    assert merge([rule("x.fr", False)]).version != merge([rule("x.fr")]).version
    assert merge([rule("x.fr", category=Category.VPN)]).version != merge([rule("x.fr")]).version


@given(st.text(max_size=60) | NAMES | NAMES.map(str.upper))
@example("École.Example.")
@example("xn--cole-9oa.example")
@example("XN--COLE-9OA.example")
@example("ß.example")
@example("a。b.fr")
@example("a.fr..")
def test_a_canonical_name_is_a_name_and_stays_as_it_is(text: str) -> None:
    name = canonical(text)
    if name is not None:
        assert NAME.fullmatch(name)
        assert canonical(name) == name
        assert canonical(name.upper()) == name
        assert canonical(f" {name}. ") == name


def test_what_is_no_name() -> None:
    """Addresses in every form, one label, empty labels, more than 253 characters."""
    long = ".".join(["a" * 60] * 5)
    for text in (
        "",
        ".",
        "fr",
        "127.0.0.1",
        "2130706433",
        "::1",
        "0x7f.1",
        "a..fr",
        "-a.fr",
        "a-.fr",
        "a b.fr",
        "*.fr",
        long,
    ):
        assert canonical(text) is None, text


@given(NAMES)
def test_suffixes_end_at_the_top(name: str) -> None:
    found = list(suffixes(name))
    assert found[0] == name and len(found) == name.count(".") + 1
    assert all(name == item or name.endswith(f".{item}") for item in found)

"""Lint and explain: what the technician reads about the guard's lists."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.guard import Category, Origin, Rule, merge, suffixes
from orchestrator.errors import InputInvalid
from orchestrator.ports import PolicyLists
from orchestrator.services.guard_lint import Severity, lint
from orchestrator.services.guard_policy import Layer, explain, read_policy, sentences
from tests.services import fakes

LABELS = st.sampled_from(["a", "b", "google", "example", "fr"])
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")


def rule(name: str, blocked: bool = True, origin: Origin = Origin.PROJECT, line: int = 1, file: str = "list") -> Rule:
    return Rule(name, blocked, Category.DOCUMENTS if blocked else None, origin, file, line)


def found(*rules: Rule, notes: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    lists = PolicyLists(rules, False, notes)
    return [(item.severity.value, item.sentence) for item in lint(merge(rules), lists)]


def severities(*rules: Rule) -> list[Severity]:
    return [item.severity for item in lint(merge(rules), PolicyLists(rules, False, ()))]


def test_a_name_that_is_blocked_and_allowed_is_an_error() -> None:
    assert found(rule("google.fr", False, line=3), rule("google.fr", origin=Origin.IMPORT, file="ut1", line=9)) == [
        ("error", "google.fr is allowed (list:3) and blocked as documents (ut1:9): it is blocked.")
    ]


def test_a_search_engine_whose_parent_is_blocked_is_an_error() -> None:
    """Whoever blocks it; it is open, but the lists say two things."""
    for origin in (Origin.IMPORT, Origin.CENTRE, Origin.ACADEMY):
        assert found(rule("search.brave.com", False), rule("brave.com", origin=origin, line=4)) == [
            ("error", "search.brave.com is allowed (list:1) under brave.com, blocked as documents (list:4).")
        ]


def test_who_knows_of_the_block_may_make_an_exception_below_it() -> None:
    """Then it is a warning: the project in its own lists, the academy in the project's and its own."""
    assert severities(rule("x.a.fr", False), rule("a.fr")) == [Severity.WARNING]
    assert severities(rule("x.a.fr", False, Origin.ACADEMY), rule("a.fr")) == [Severity.WARNING]
    assert severities(rule("x.a.fr", False, Origin.ACADEMY), rule("a.fr", origin=Origin.IMPORT)) == [Severity.ERROR]


def test_a_blocked_name_under_an_exception_is_fine() -> None:
    assert found(rule("google.com", False), rule("drive.google.com")) == []


def test_a_rule_that_another_covers_is_a_note() -> None:
    """Imported ones are counted; one of another category says something else to the candidate, and is no finding."""
    assert found(rule("a.fr"), rule("x.a.fr", line=2)) == [
        ("note", "x.a.fr (list:2) is already covered by a.fr (list:1).")
    ]
    assert found(rule("a.fr"), *(rule(f"{name}.a.fr", origin=Origin.IMPORT, file="ut1") for name in "xyz")) == [
        ("note", "ut1: 3 names are already covered by another rule.")
    ]
    assert found(rule("a.fr"), Rule("x.a.fr", True, Category.VPN, Origin.PROJECT, "list", 2)) == []


def test_a_registrys_domain_is_an_error() -> None:
    """Also one below a wildcard of the public suffix list, and none that a company lets."""
    for name in ("co.uk", "gouv.fr", "asso.fr", "anything.ck", "xn--55qx5d.cn"):
        assert severities(rule(name)) == [Severity.ERROR], name
    assert severities(*map(rule, ("github.io", "www.ck", "example.fr", "a.co.uk"))) == []


def test_nothing_at_all_would_be_open() -> None:
    lists = PolicyLists((rule("a.fr"),), True, ())
    assert [item.severity for item in lint(merge(lists.rules, True), lists)] == [Severity.ERROR]


def test_what_was_left_out_is_a_note_and_errors_come_first() -> None:
    shown = found(rule("a.fr"), rule("x.a.fr"), rule("co.uk"), notes=("left out",))
    assert [severity for severity, _sentence in shown] == ["error", "note", "note"]


@given(st.lists(st.builds(rule, NAMES, st.booleans(), st.sampled_from(Origin)), max_size=10))
def test_no_exception_under_a_blocked_name_is_missed(rules: list[Rule]) -> None:
    """For every exception that is at or below a blocked name there is a finding that names it."""
    told = found(*rules)
    blocked = {item.name for item in rules if item.blocked}
    for item in rules:
        if not item.blocked and blocked & set(suffixes(item.name)):
            assert any(f"{item.name} is allowed" in text and level in {"error", "warning"} for level, text in told)


@pytest.mark.parametrize(
    ("asked", "blocked", "layers"),
    [
        ("drive.google.com", True, (Layer.DNS, Layer.NAME)),
        ("DRIVE.google.com.", True, (Layer.DNS, Layer.NAME)),
        ("https://x.drive.google.com/file?id=1", True, (Layer.DNS, Layer.NAME)),
        ("drive.google.com:443", True, (Layer.DNS, Layer.NAME)),
        ("http://user@www.google.com/search", False, (Layer.DNS, Layer.NAME)),
        ("https://www.google.com:8443/", True, (Layer.NETWORK,)),
        ("ftp://www.google.com/", True, (Layer.NETWORK,)),
        ("8.8.8.8", True, (Layer.NETWORK,)),
        ("https://8.8.8.8/dns-query", True, (Layer.NETWORK,)),
        ("2001:4860:4860::8888", True, (Layer.NETWORK,)),
        ("http://[2001:4860:4860::8888]/", True, (Layer.NETWORK,)),
    ],
)
def test_explain_takes_a_name_a_url_or_an_address(
    asked: str, blocked: bool, layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    policy = merge([rule("google.com", False), rule("drive.google.com")])
    result = explain(policy, fakes.settings(tmp_path), asked)
    assert (result.blocked, result.layers) == (blocked, layers)


def test_explain_names_the_rule_and_where_it_stands(tmp_path: Path) -> None:
    settings = fakes.settings(tmp_path)
    policy = merge([rule("google.com", False, line=4), rule("drive.google.com", line=7)])
    assert sentences(explain(policy, settings, "x.drive.google.com"))[:2] == [
        "x.drive.google.com: blocked.",
        "Rule: drive.google.com, documents (project, list:7).",
    ]
    assert sentences(explain(policy, settings, "www.google.com")) == [
        "www.google.com: open.",
        "Rule: google.com is an exception (project, list:4).",
    ]
    assert sentences(explain(policy, settings, "lemonde.fr")) == ["lemonde.fr: open.", "No rule names it."]
    only = merge([], only_allowed=True)
    assert "only what is allowed is open" in sentences(explain(only, settings, "lemonde.fr"))[1]


def test_a_browser_behind_a_proxy_asks_no_name_server(tmp_path: Path) -> None:
    settings = fakes.settings(tmp_path, guard={"mode": "proxy", "resolvers": ["192.0.2.53"]})
    result = explain(merge([rule("drive.google.com")]), settings, "drive.google.com")
    assert result.blocked and result.layers == (Layer.NAME,)
    assert len(sentences(result)) == 3


def test_explain_knows_the_seats_own_sites(tmp_path: Path) -> None:
    settings = fakes.settings(tmp_path, gateway={"host": "192.0.2.10"})
    policy = merge([], only_allowed=True)
    assert not explain(policy, settings, "http://192.0.2.10:8007/").blocked
    named = fakes.settings(tmp_path, gateway={"addressing": "host", "domain": "e5b.lan"})
    assert not explain(policy, named, "http://poste-07.e5b.lan/").blocked


@pytest.mark.parametrize("asked", ["", "fr", "no name", "https://", "http://[::1", "2130706433", "https://x:99999/"])
def test_explain_refuses_what_is_nothing_of_the_kind(asked: str, tmp_path: Path) -> None:
    with pytest.raises(InputInvalid):
        explain(merge([]), fakes.settings(tmp_path), asked)


def test_the_centre_or_the_academy_may_say_that_only_what_is_allowed_is_open(tmp_path: Path) -> None:
    class Lists:
        def __init__(self, only_allowed: bool) -> None:
            self.only_allowed = only_allowed

        def read(self) -> PolicyLists:
            return PolicyLists((rule("a.fr", False),), self.only_allowed, ())

    plain = fakes.settings(tmp_path)
    strict = fakes.settings(tmp_path, guard={"only_allowed": True})
    assert [
        read_policy(Lists(academy), centre)[0].only_allowed
        for academy, centre in [(False, plain), (True, plain), (False, strict)]
    ] == [False, True, True]

"""What a probe's verdict is, and what is tried in the field."""

import ast
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from orchestrator import probe as script
from orchestrator.domain import probes
from orchestrator.domain.guard import canonical
from orchestrator.domain.probes import Matrix, Port, Probe, Verdict, matrix, script_plan, targets
from orchestrator.i18n import _

FIELD = tomllib.loads((Path(__file__).parents[2] / "policy" / "probes.toml").read_text(encoding="utf-8"))

TRIED = {
    "gateway": probes.gateway(targets(FIELD)),
    "proxy": probes.proxy(targets(FIELD), Port(probes.HOST, 3129)),
}


def judged(probe: Probe, unlocked: bool, locked: bool) -> Matrix:
    return matrix([probe], {probe.id: {"reached": unlocked}}, {probe.id: {"reached": locked}})


@pytest.mark.parametrize(
    ("unlocked", "locked", "verdict"),
    [
        (True, False, Verdict.CLOSED),
        (True, True, Verdict.OPEN),
        (False, True, Verdict.OPEN),
        (False, False, Verdict.UNPROVED),
    ],
)
def test_what_should_be_closed_counts_only_when_it_was_open(unlocked: bool, locked: bool, verdict: Verdict) -> None:
    found = judged(Probe("p", "a platform", {"kind": "tls"}), unlocked, locked)
    assert [line.verdict for line in found.lines] == [verdict]
    assert found.green is (verdict is Verdict.CLOSED)


@pytest.mark.parametrize(("unlocked", "locked"), [(True, False), (False, True), (False, False)])
def test_what_should_work_works_in_both_states(unlocked: bool, locked: bool) -> None:
    probe = Probe("p", "search", {"kind": "tls"}, open=True)
    assert judged(probe, unlocked, locked).lines[0].verdict is Verdict.BROKEN
    assert judged(probe, True, True).lines[0].verdict is Verdict.WORKS


def test_a_matrix_that_shows_nothing_closed_is_not_green() -> None:
    """A network without any way out closes everything; nothing is proved by that."""
    search = Probe("search", "search", {"kind": "tls"}, open=True)
    platform = Probe("platform", "a platform", {"kind": "tls"})
    everything = {"search": {"reached": True}, "platform": {"reached": False}}
    assert not matrix([search, platform], everything, everything).green


def test_what_the_script_did_not_answer_was_not_reached() -> None:
    found = matrix([Probe("p", "a platform", {"kind": "tls"})], {}, {})
    assert found.lines[0].verdict is Verdict.UNPROVED


@pytest.mark.parametrize("mode", TRIED)
def test_the_field_plan_tries_what_the_script_knows(mode: str) -> None:
    tried = TRIED[mode]
    assert len({probe.id for probe in tried}) == len(tried) > 50
    assert {probe.what["kind"] for probe in tried} <= set(script.KINDS)
    assert {probe.id for probe in tried if probe.open} >= {"search-https", "search-http"}


def test_the_field_plan_can_be_read_by_the_script() -> None:
    """It is handed over as JSON; every name in it that stands for an address is kept while nothing is closed."""
    plan = script_plan(TRIED["gateway"], resolver=probes.HOST)
    assert set(plan["pin"]) >= {"drive.google.com", "www.google.com", "github.com"}
    assert all(canonical(name) == name for name in plan["pin"])


def test_the_script_runs_on_any_laptop() -> None:
    """Python 3.8 reads it, and it needs nothing that does not come with Python."""
    tree = ast.parse(Path(script.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {item.name for node in imported if isinstance(node, ast.Import) for item in node.names}
    names |= {str(node.module) for node in imported if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_attempts_are_said_to_people() -> None:
    assert all(_(probe.attempt) for tried in TRIED.values() for probe in tried)


@pytest.mark.parametrize("data", [{"resolvers": "9.9.9.9"}, {**FIELD, "ssh": [{"address": "a.example"}]}])
def test_targets_that_are_none_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        targets(data)

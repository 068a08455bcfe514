"""The probe: what is kept of it, that it changes nothing else, and the laptop's copy of the script."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.guard import Origin
from orchestrator.domain.probes import Verdict
from orchestrator.errors import EnvironmentFailed, InputInvalid, NotFound, Refused
from orchestrator.services import guard_probe
from orchestrator.services.centre import PROBE, Centre
from orchestrator.services.guard import apply, switch_on, was_green_today
from orchestrator.services.guard_probe import judge, laptop_script, probe_guard
from tests.services.conftest import Lab
from tests.services.fakes import GUARD, MemoryGuard, ProbedGuard, rule


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    made = new_lab(guard=GUARD, standbys={"most": 0})
    apply(made.centre())
    return made


def guarded(lab: Lab, *wrong: str, during: Callable[[], object] = lambda: None) -> tuple[Centre, ProbedGuard]:
    centre = lab.centre()
    assert isinstance(centre.guard, MemoryGuard)
    guard = ProbedGuard(centre.guard, *wrong, during=during)
    return replace(centre, guard=guard), guard


def test_a_green_probe_is_remembered_for_the_day(lab: Lab) -> None:
    centre, _guard = guarded(lab)
    assert not was_green_today(centre)
    assert probe_guard(centre).green
    assert was_green_today(centre)
    lab.world.later(minutes=24 * 60)
    assert not was_green_today(lab.centre())


@pytest.mark.parametrize(("wrong", "verdict"), [("tls-pinned", Verdict.OPEN), ("search-https", Verdict.BROKEN)])
def test_what_is_wrong_is_named_and_kept(lab: Lab, wrong: str, verdict: Verdict) -> None:
    centre, _guard = guarded(lab, wrong)
    found = probe_guard(centre)
    assert [line.id for line in found.of(verdict)] == [wrong] and not found.green
    last = centre.store.last("guard.probed")
    assert last is not None and last.data[verdict.name.lower()] == [wrong] and last.data["green"] is False
    assert not was_green_today(centre)


def test_the_seats_stay_as_they_are(lab: Lab) -> None:
    """Only the probe's own seat is locked for it, and not for longer."""
    switch_on(lab.centre(), [2])
    seen: list[set[int]] = []
    centre, guard = guarded(lab, during=lambda: seen.append(set(lab.world.kernel)))
    probe_guard(centre)
    assert seen == [{2}, {2, PROBE}] and lab.world.kernel == {2}
    # Addresses as they were while nothing was closed.
    assert not guard.plans[0]["pins"] and guard.plans[1]["pins"]["drive.google.com"] == ["192.0.2.9"]


def test_a_seat_that_is_unlocked_meanwhile_proves_nothing(lab: Lab) -> None:
    def unlock() -> None:
        lab.world.kernel = frozenset()

    centre, _guard = guarded(lab, during=unlock)
    with pytest.raises(EnvironmentFailed):
        probe_guard(centre)
    assert centre.store.last("guard.probed") is None


def test_a_script_that_fails_leaves_the_seats_as_they_should_be(lab: Lab) -> None:
    def fail() -> None:
        raise EnvironmentFailed("no answer")

    switch_on(lab.centre(), [1])
    centre, _guard = guarded(lab, during=fail)
    with pytest.raises(EnvironmentFailed):
        probe_guard(centre)
    assert lab.world.kernel == {1}


def test_what_the_academy_opens_is_no_platform(lab: Lab) -> None:
    """A rule of its own for the session, and nobody else's: a list that lost a name is found out."""
    opened = (replace(rule("padlet.com", blocked=False), origin=Origin.ACADEMY), rule("chatgpt.com", blocked=False))
    lab.world.lists += opened
    apply(lab.centre())
    centre, guard = guarded(lab)
    tried = {line.id for line in probe_guard(centre).lines}
    assert "tls-padlet.com" not in tried and {"tls-chatgpt.com", "tls-discord.com"} <= tried and guard.plans


def test_without_a_guard_nothing_is_probed(new_lab: Callable[..., Lab]) -> None:
    with pytest.raises(Refused):
        probe_guard(new_lab().centre())


def test_the_laptops_script_is_complete_in_itself(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds its plan, and needs nothing of ours. (Its plan is empty here: nothing is reached from a test.)"""
    text = laptop_script(lab.centre(), 2)
    assert "drive.google.com" in text
    monkeypatch.setattr(guard_probe, "_probes", lambda centre, targets: [])
    script = tmp_path / "probe.py"
    script.write_text(laptop_script(lab.centre(), 2), encoding="utf-8")
    run = subprocess.run([sys.executable, "-I", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(run.stdout) == {"results": {}, "pins": {}}
    with pytest.raises(NotFound):
        laptop_script(lab.centre(), 99)


def test_a_laptops_answers_are_judged(lab: Lab, tmp_path: Path) -> None:
    centre = lab.centre()
    unlocked, locked = tmp_path / "unlocked.json", tmp_path / "locked.json"
    results = {"tls": {"reached": True}, "search-https": {"reached": True}}
    unlocked.write_text(json.dumps({"results": results}))
    locked.write_text(json.dumps({"results": {**results, "tls": {"reached": False, "detail": "reset"}}}))
    found = judge(centre, 2, unlocked, locked)
    assert [line.id for line in found.of(Verdict.CLOSED)] == ["tls"]
    assert [line.id for line in found.of(Verdict.WORKS)] == ["search-https"]
    last = centre.store.last("guard.probed")
    assert last is not None and last.seat == 2 and last.data["from"] == "laptop"


@pytest.mark.parametrize("content", ["", "[]", '{"results": []}', '{"results": {"tls": 1}}'])
def test_another_file_is_no_answer(lab: Lab, tmp_path: Path, content: str) -> None:
    file = tmp_path / "answer.json"
    file.write_text(content)
    with pytest.raises(InputInvalid):
        judge(lab.centre(), 1, file, file)

"""Preflight: a verdict and a remedy per line, and one check that cannot be made does not hide the others."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.domain.exam import AlarmKind, Site
from orchestrator.errors import EngineUnavailable, EnvironmentFailed, InputInvalid
from orchestrator.ports import Entry
from orchestrator.services.alarms import raise_alarm
from orchestrator.services.guard import apply
from orchestrator.services.preflight import Check, Verdict, preflight
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import GUARD, Container, MemoryGuard, ProbedGuard, rule


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")


def checks(lab: Lab) -> dict[str, Check]:
    return {check.name: check for check in preflight(lab.centre())}


def bad(lab: Lab) -> list[str]:
    found = checks(lab).values()
    assert all(check.remedy for check in found if check.verdict is Verdict.FAILURE)
    return [check.name for check in found if check.verdict is Verdict.FAILURE]


def test_a_machine_that_is_ready(lab: Lab) -> None:
    assert bad(lab) == []
    assert set(checks(lab)) == {
        "engine", "storage", "disk limit", "processors", "memory", "disk", "clock", "image wordpress",
        "image prestashop", "network", "ports", "guard", "leftovers", "supervision", "journal",
    }  # fmt: skip


def test_it_changes_nothing(lab: Lab) -> None:
    lab.at("prepared")
    before = (dict(lab.world.containers), lab.actions())
    preflight(lab.centre())
    assert (dict(lab.world.containers), lab.actions()) == before


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda lab: setattr(lab.world, "cpus", 1), "processors"),
        (lambda lab: setattr(lab.world, "memory", 10**9), "memory"),
        (lambda lab: setattr(lab.world, "disk_free", 10**9), "disk"),
        (lambda lab: setattr(lab.world, "networks", ["10.0.0.0/8"]), "network"),
        (lambda lab: lab.world.ports.update({8002: "nginx (812)"}), "ports"),
    ],
    ids=["processors", "memory", "disk", "network", "ports"],
)
def test_what_is_missing_is_a_failure_with_a_remedy(lab: Lab, change: Callable[[Lab], None], name: str) -> None:
    change(lab)
    assert bad(lab) == [name]


def test_the_disk_says_how_much_is_missing(lab: Lab) -> None:
    lab.world.disk_free = 10**9
    assert "GB" in checks(lab)["disk"].detail and "4." in checks(lab)["disk"].remedy


def test_without_a_supervisor_it_warns_and_alarms_are_shown(lab: Lab) -> None:
    assert checks(lab)["supervision"].verdict is Verdict.WARNING
    raise_alarm(lab.centre(), AlarmKind.DEAD, 2, None, "its environment stands still")
    with lab.centre().locks.supervisor():
        assert checks(lab)["supervision"].verdict is Verdict.OK
        assert [check.detail for name, check in checks(lab).items() if check.verdict is Verdict.WARNING] != []
    assert any("its environment stands still" in check.detail for check in preflight(lab.centre()))


def test_the_port_says_who_holds_it(lab: Lab) -> None:
    lab.world.ports[8002] = "nginx (812)"
    assert "8002" in checks(lab)["ports"].detail and "nginx (812)" in checks(lab)["ports"].detail
    # Held by our own gateway it is as it must be.
    lab.at("prepared")
    assert "gateway" in checks(lab) and bad(lab) == []


def test_an_image_that_is_missing_matters_when_a_wave_needs_it(lab: Lab) -> None:
    lab.plan(site=Site.WORDPRESS)
    for site in ("wordpress", "prestashop"):
        del lab.world.images[f"e5b/{site}:current"]
    assert checks(lab)["image wordpress"].verdict is Verdict.FAILURE
    assert checks(lab)["image prestashop"].verdict is Verdict.WARNING


def test_an_image_built_anew_since_the_plan_is_a_failure(lab: Lab) -> None:
    lab.plan()
    newer = fakes.image("e5b/wordpress:current", Site.WORDPRESS, id=fakes.NEWER_IMAGE_ID)
    lab.world.images[newer.reference] = newer
    assert bad(lab) == ["image wordpress"]


def test_leftovers_are_named(lab: Lab) -> None:
    lab.at("closed")
    lab.world.containers["e5b-essai-poste-09-g4"] = Container("e5b-essai-poste-09-g4", "sha256:x", seat=9)
    lab.world.containers["theirs"] = Container("theirs", "sha256:x", ours=False)
    found = [check for check in preflight(lab.centre()) if check.name == "leftovers"]
    assert [check.verdict for check in found] == [Verdict.WARNING, Verdict.WARNING]
    assert lab.wave_id in found[0].detail
    assert "e5b-essai-poste-09-g4" in found[1].detail and "theirs" not in found[1].detail


def test_one_check_that_cannot_be_made_does_not_hide_the_others(lab: Lab) -> None:
    lab.world.faults["facts", ""] = EngineUnavailable("No Docker engine answers.", hint="Start it.")
    found = checks(lab)
    assert found["engine"].verdict is Verdict.FAILURE and found["engine"].remedy == "Start it."
    assert found["memory"].verdict is Verdict.OK


# The guard


@pytest.fixture
def guarded(new_lab: Callable[..., Lab]) -> Lab:
    """All that the guard needs is there."""
    lab = new_lab(guard=GUARD)
    apply(lab.centre())
    probed(lab)
    return lab


def probed(lab: Lab) -> None:
    """Today's probe was green."""
    centre = lab.centre()
    centre.store.save(Entry("guard.probed", data={"green": True, "policy": centre.store.policy_version()}))


def test_a_guard_that_is_ready(guarded: Lab) -> None:
    found = {name: check for name, check in checks(guarded).items() if name.startswith("guard")}
    assert {check.verdict for check in found.values()} == {Verdict.OK}
    assert set(found) == {"guard", "guard: policy", "guard: engines", "guard: probe"}
    assert "router" in found["guard"].detail


def test_it_says_which_mode_is_in_force_and_what_it_means(new_lab: Callable[..., Lab], lab: Lab) -> None:
    assert checks(lab)["guard"].verdict is Verdict.WARNING and "somebody else's" in checks(lab)["guard"].detail
    proxy = new_lab(guard={"mode": "proxy", "resolvers": ["192.0.2.253"]})
    assert checks(proxy)["guard"].verdict is Verdict.WARNING and "round it" in checks(proxy)["guard"].detail


@pytest.mark.parametrize(
    ("change", "name", "verdict", "says"),
    [
        (lambda world: setattr(world, "guard", None), "engines", Verdict.FAILURE, "does not run"),
        (lambda world: world.guard.engines.update(dnsmasq=False), "engines", Verdict.FAILURE, "dnsmasq"),
        (lambda world: world.lists.append(rule("padlet.com")), "policy", Verdict.WARNING, "not what is in place"),
        (lambda world: world.lists.append(rule("co.uk")), "policy", Verdict.FAILURE, "1 error"),
        (
            lambda world: world.faults.update({("read", "lists"): InputInvalid("1 fault.", details=["a.txt:7: x"])}),
            "policy",
            Verdict.FAILURE,
            "a.txt:7",
        ),
    ],
    ids=["gone", "stopped", "not in place", "contradiction", "lists"],
)
def test_what_the_guard_lacks(
    guarded: Lab, change: Callable[[fakes.World], None], name: str, verdict: Verdict, says: str
) -> None:
    change(guarded.world)
    check = checks(guarded)[f"guard: {name}"]
    assert check.verdict is verdict and says in check.detail and check.remedy


def test_a_proof_of_another_day_is_made_anew(guarded: Lab) -> None:
    """It is kept like one that was asked for; where no guard runs, nothing can be proved."""
    guarded.world.later(hours=24)
    centre = guarded.centre()
    assert isinstance(centre.guard, MemoryGuard)
    guard = ProbedGuard(centre.guard)
    found = {check.name: check for check in preflight(replace(centre, guard=guard))}["guard: probe"]
    assert found.verdict is Verdict.OK and "ways closed" in found.detail and len(guard.plans) == 2
    assert checks(guarded)["guard: probe"].verdict is Verdict.OK and len(guard.plans) == 2
    guarded.world.guard = None
    assert "guard: probe" not in checks(guarded)


@pytest.mark.parametrize("wrong", ["tls-pinned", "search-https"])
def test_what_the_proof_finds_open_or_broken_is_a_failure(guarded: Lab, wrong: str) -> None:
    guarded.world.later(hours=24)
    centre = guarded.centre()
    assert isinstance(centre.guard, MemoryGuard)
    centre = replace(centre, guard=ProbedGuard(centre.guard, wrong))
    for _again in range(2):
        found = {check.name: check for check in preflight(centre)}["guard: probe"]
        assert found.verdict is Verdict.FAILURE and wrong in found.detail and found.remedy


def test_a_proof_that_cannot_be_made_is_a_failure_with_its_reason(guarded: Lab) -> None:
    guarded.world.later(hours=24)
    guarded.world.faults["probe", "guard"] = EnvironmentFailed("no answer", hint="Look.")
    found = checks(guarded)
    assert found["guard: probe"].verdict is Verdict.FAILURE and found["guard: probe"].remedy == "Look."
    assert found["guard: policy"].verdict is Verdict.OK


def test_a_network_interface_that_is_not_there(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(guard={**GUARD, "interface": "lan7"})
    check = checks(lab)["guard: network"]
    assert check.verdict is Verdict.FAILURE and "lan7" in check.detail and "lan0" in check.remedy

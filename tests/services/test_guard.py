"""The guard: no seat is open that is not locked, whatever fails; by hand; its policy."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain.exam import AlarmKind, Site
from orchestrator.domain.guard import Policy
from orchestrator.errors import E5BError, EnvironmentFailed, InputInvalid, NotFound, Refused
from orchestrator.ports import Entry
from orchestrator.services.abandon import abandon
from orchestrator.services.centre import PROBE
from orchestrator.services.clock import tick
from orchestrator.services.close import close
from orchestrator.services.extend import extend
from orchestrator.services.guard import Why, apply, apply_preview, guard_status, off_preview, switch_off, switch_on
from orchestrator.services.open_wave import open_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.restore import move
from orchestrator.services.supervise import Supervisor
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import GUARD, MemoryGuard, rule

BROKEN = EnvironmentFailed("The guard does not confirm it.")


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    """Three seats in one room, with a guard."""
    return new_lab(guard=GUARD, standbys={"most": 0})


def locked(lab: Lab) -> set[int]:
    return set(lab.world.kernel)


def look(lab: Lab) -> list[E5BError]:
    return Supervisor(lab.centre(), lambda about, what: None).look_at_guard()


def alarms(lab: Lab) -> list[AlarmKind]:
    return [alarm.kind for alarm in lab.centre().store.alarms()]


# A wave


def test_a_waves_seats_are_locked_while_they_are_open(lab: Lab) -> None:
    lab.at("prepared")
    assert locked(lab) == set() and lab.world.guard is None
    open_wave(lab.centre(), lab.wave_id, [3])
    assert locked(lab) == {1, 2} and lab.world.served() == {1: "open", 2: "open", 3: "waiting"}
    lab.world.later(minutes=40)
    close(lab.centre(), lab.wave_id)
    assert locked(lab) == set()
    lab.check()


def test_the_seats_are_locked_before_the_gateway_opens_them_and_unlocked_after_it_is_shut(lab: Lab) -> None:
    lab.at("prepared")
    fuse = fakes.Fuse()
    open_wave(lab.centre(fuse), lab.wave_id)
    assert fuse.calls.index("guard.ensure") < len(fuse.calls) - 1 - fuse.calls[::-1].index("gateway.ensure")
    lab.world.later(minutes=40)
    fuse = fakes.Fuse()
    close(lab.centre(fuse), lab.wave_id)
    assert fuse.calls.index("gateway.ensure") < fuse.calls.index("guard.lock")


def test_each_seat_is_unlocked_at_the_end_of_its_own_time(lab: Lab) -> None:
    lab.at("prepared").give_time(1, 30)
    lab.at("open").world.later(minutes=26)
    assert tick(lab.centre(), lambda about, what: None) == []
    assert lab.state == "open" and locked(lab) == {2, 3}


def test_a_seat_that_is_given_more_time_is_locked_again(lab: Lab) -> None:
    lab.at("prepared").give_time(1, 30)
    lab.at("open").world.later(minutes=26)
    tick(lab.centre(), lambda about, what: None)
    extend(lab.centre(), 1, timedelta(minutes=10), "noise")
    assert locked(lab) == {1, 2, 3} and lab.world.served()[1] == "open"


def test_a_wave_that_is_abandoned_unlocks_its_seats(lab: Lab) -> None:
    lab.at("open")
    abandon(lab.centre(), lab.wave_id, "fire alarm")
    assert locked(lab) == set()


def test_whoever_is_moved_is_locked_at_the_new_seat(lab: Lab) -> None:
    lab.plan(candidates=[(1, "C001"), (2, "C002")])
    lab.at("open")
    move(lab.centre(), 2, 3)
    assert locked(lab) == {1, 3} and lab.world.served() == {1: "open", 2: "waiting", 3: "open"}


def test_the_seats_of_several_rooms_are_locked_together(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": (1, 2), "salle-2": (11, 12)}, guard=GUARD)
    first = lab.at("open").wave_id
    second = lab.plan(room="salle-2", candidates=[(11, "C011")], site=Site.PRESTASHOP).id
    lab.at("open")
    assert locked(lab) == {1, 2, 11}
    close(lab.centre(), first, early="noise")
    assert locked(lab) == {11}
    close(lab.centre(), second, early="noise")
    assert locked(lab) == set()


def test_two_rooms_that_open_and_close_at_once_lock_what_is_open(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(rooms={"salle-1": (1, 2), "salle-2": (11, 12)}, guard=GUARD)
    first = lab.at("open").wave_id
    second = lab.plan(room="salle-2", candidates=[(11, "C011"), (12, "C012")]).id
    prepare(lab.centre(), second)
    both = threading.Barrier(2)

    def at_once(command: Callable[[], object]) -> None:
        both.wait()
        command()

    with ThreadPoolExecutor(2) as pool:
        for done in (
            pool.submit(at_once, lambda: close(lab.centre(), first, early="noise")),
            pool.submit(at_once, lambda: open_wave(lab.centre(), second)),
        ):
            done.result()
    assert locked(lab) >= {11, 12} and lab.world.served()[11] == "open"
    assert look(lab) == [] and locked(lab) == {11, 12}


def test_a_seat_from_which_the_guard_is_probed_is_left_to_whoever_probes(lab: Lab) -> None:
    lab.at("open")
    lab.centre().guard.lock({PROBE, 1, 2, 3})  # type: ignore[union-attr]
    close(lab.centre(), lab.wave_id, early="noise")
    assert locked(lab) == {PROBE}
    assert look(lab) == [] and locked(lab) == {PROBE}


# A guard that cannot


@pytest.mark.parametrize("method", ["ensure", "state", "lock"])
def test_a_guard_that_cannot_lock_keeps_the_wave_shut(lab: Lab, method: str) -> None:
    lab.at("prepared")
    if method == "lock":
        apply(lab.centre())
    lab.world.faults[method, "guard"] = BROKEN
    with pytest.raises(EnvironmentFailed, match="nothing was opened") as raised:
        open_wave(lab.centre(), lab.wave_id)
    assert "--without-guard" in (raised.value.hint or "")
    assert lab.state == "prepared" and lab.wave.intent is None
    assert set(lab.world.served().values()) == {"waiting"}
    assert not any(item.touched for item in lab.centre().active().values())
    del lab.world.faults[method, "guard"]
    open_wave(lab.centre(), lab.wave_id)
    assert locked(lab) == {1, 2, 3}
    lab.check()


def test_without_guard_is_on_record_and_ends_with_the_wave(lab: Lab) -> None:
    lab.at("prepared").world.faults["ensure", "guard"] = BROKEN
    open_wave(lab.centre(), lab.wave_id, without_guard="the switch burnt")
    assert set(lab.world.served().values()) == {"open"} and locked(lab) == set()
    (line,) = (line for line in lab.centre().store.journal() if line.action == "wave.open")
    assert line.data["without_guard"] == "the switch burnt"
    lab.world.faults.clear()
    assert look(lab) == [] and locked(lab) == set()
    assert {seat.why for seat in guard_status(lab.centre()).seats} == {Why.EXCEPTED}
    lab.world.later(minutes=40)
    close(lab.centre(), lab.wave_id)
    for step in ("sealed", "reset"):
        lab.at(step)
    lab.plan(half_day="2027-05-11-pm")
    lab.at("open")
    assert locked(lab) == {1, 2, 3}


def test_an_exception_is_taken_back_when_the_guard_works_again(lab: Lab) -> None:
    lab.at("prepared").world.faults["ensure", "guard"] = BROKEN
    open_wave(lab.centre(), lab.wave_id, without_guard="the switch burnt")
    lab.world.faults.clear()
    switch_on(lab.centre())
    assert locked(lab) == {1, 2, 3}
    close(lab.centre(), lab.wave_id, early="noise")
    assert locked(lab) == set()


def test_an_opening_that_was_interrupted_opens_nothing_before_its_seats_are_locked(lab: Lab) -> None:
    lab.at("prepared")
    apply(lab.centre())
    with pytest.raises(fakes.Killed):
        open_wave(lab.centre(fakes.KilledAt("gateway.ensure")), lab.wave_id)
    assert lab.wave.intent == "open" and locked(lab) == {1, 2, 3}
    # The machine was started anew, and the guard did not come up.
    lab.world.guard, lab.world.kernel = None, frozenset()
    lab.world.faults["ensure", "guard"] = BROKEN
    lab.centre().serve()
    assert set(lab.world.served().values()) == {"waiting"}
    with pytest.raises(EnvironmentFailed):
        open_wave(lab.centre(), lab.wave_id)
    assert set(lab.world.served().values()) == {"waiting"}
    lab.world.faults.clear()
    open_wave(lab.centre(), lab.wave_id)
    assert locked(lab) == {1, 2, 3} and set(lab.world.served().values()) == {"open"}


def test_a_guard_that_dies_keeps_nobody_from_their_site_and_nothing_is_unlocked(lab: Lab) -> None:
    lab.at("open").world.guard = None
    lab.world.faults["ensure", "guard"] = BROKEN
    extend(lab.centre(), 1, timedelta(minutes=5), "noise")
    assert locked(lab) == {1, 2, 3} and set(lab.world.served().values()) == {"open"}
    assert [fault.message for fault in look(lab)] == [BROKEN.message] and alarms(lab) == [AlarmKind.GUARD]
    lab.world.later(minutes=45)
    close(lab.centre(), lab.wave_id)
    assert lab.state == "closed" and set(lab.world.served().values()) == {"over"}
    assert locked(lab) == {1, 2, 3}


def test_what_would_open_a_seat_that_cannot_be_locked_is_refused(lab: Lab) -> None:
    lab.plan(candidates=[(1, "C001"), (2, "C002")])
    lab.at("prepared").give_time(1, 30)
    lab.at("open").world.later(minutes=26)
    tick(lab.centre(), lambda about, what: None)
    lab.world.guard = None
    lab.world.faults["ensure", "guard"] = BROKEN
    for command in (
        lambda: move(lab.centre(), 2, 3),
        lambda: extend(lab.centre(), 1, timedelta(minutes=10), "noise"),
    ):
        with pytest.raises(EnvironmentFailed, match="nothing was opened"):
            command()
        assert lab.world.served() == {1: "over", 2: "open", 3: "waiting"}
        # Who was to be moved goes on where they are.
        assert lab.world.container(2).running and not lab.place(2).suspended
    lab.world.faults.clear()
    move(lab.centre(), 2, 3)
    assert locked(lab) == {3}


def test_an_exception_goes_with_a_candidate_who_is_moved(lab: Lab) -> None:
    lab.plan(candidates=[(1, "C001"), (2, "C002")])
    lab.at("open")
    switch_off(lab.centre(), [2], "wrong block")
    lab.world.guard = None
    lab.world.faults["ensure", "guard"] = BROKEN
    move(lab.centre(), 2, 3)
    lab.world.faults.clear()
    assert look(lab) == [] and locked(lab) == {1} and lab.world.served()[3] == "open"


# Supervision


@pytest.mark.parametrize("trouble", ["gone", "an engine stopped", "another policy"])
def test_a_guard_that_stopped_raises_an_alarm_and_is_started_again(lab: Lab, trouble: str) -> None:
    lab.at("open")
    before = lab.world.guard
    assert before is not None
    engines = {"haproxy": True, "dnsmasq": False}
    lab.world.guard = {
        "gone": None,
        "an engine stopped": replace(before, engines=engines),
        "another policy": replace(before, version="other"),
    }[trouble]
    # What somebody has changed in the lists since is not what comes into force.
    lab.world.lists.append(rule("padlet.com"))
    assert look(lab) == []
    assert lab.world.guard == before and locked(lab) == {1, 2, 3} and alarms(lab) == [AlarmKind.GUARD]
    assert look(lab) == [] and alarms(lab) == []
    actions = [line.action for line in lab.centre().store.journal()]
    assert actions.count("guard.started") == 1 and actions.count("guard.applied") == 1


@pytest.mark.parametrize("kernel", [{1}, set(), {1, 2, 3, 7}])
def test_what_is_locked_is_brought_to_what_is_stored(lab: Lab, kernel: set[int]) -> None:
    lab.at("open").world.kernel = frozenset(kernel)
    assert look(lab) == [] and locked(lab) == {1, 2, 3} and alarms(lab) == []


def test_the_first_start_puts_the_lists_in_place(lab: Lab) -> None:
    assert look(lab) == []
    policy = lab.centre().store.policy()
    assert policy is not None and set(policy.rules) == {"drive.google.com"}
    assert lab.world.guard is not None and lab.world.guard.version == policy.version and locked(lab) == set()


def test_lists_that_cannot_be_read_are_said(lab: Lab) -> None:
    lab.world.faults["read", "lists"] = InputInvalid("The guard's lists hold 1 fault.")
    assert [fault.message for fault in look(lab)] == ["The guard's lists hold 1 fault."]
    lab.at("prepared")
    with pytest.raises(EnvironmentFailed, match="1 fault"):
        open_wave(lab.centre(), lab.wave_id)


def test_who_shuts_a_seat_does_not_wait_for_a_guard_that_is_started(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate's time is over at its end."""
    lab.at("open").world.guard = None
    begun, shut = threading.Event(), threading.Event()
    ensure = MemoryGuard.ensure

    def slow(guard: MemoryGuard, policy: Policy, locked: Collection[int]) -> bool:
        begun.set()
        assert shut.wait(30)
        return ensure(guard, policy, locked)

    monkeypatch.setattr(MemoryGuard, "ensure", slow)
    with ThreadPoolExecutor(1) as pool:
        looked = pool.submit(look, lab)
        assert begun.wait(30)
        lab.world.later(minutes=40)
        close(lab.centre(), lab.wave_id)
        assert set(lab.world.served().values()) == {"over"}
        shut.set()
        assert looked.result() == []
    assert locked(lab) == set()


# By hand


def test_seats_locked_by_hand_stay_so_until_they_are_unlocked(lab: Lab) -> None:
    assert switch_on(lab.centre(), [2]).seats == (2,)
    assert locked(lab) == {2}
    lab.at("closed")
    assert locked(lab) == {2}
    switch_on(lab.centre())
    assert locked(lab) == {1, 2, 3}
    assert switch_off(lab.centre()).seats == (1, 2, 3)
    assert locked(lab) == set()


def test_a_seat_where_a_candidate_works_is_unlocked_only_with_a_reason(lab: Lab) -> None:
    lab.at("open")
    assert off_preview(lab.centre(), [2]).excepted == (2,)
    for reason in ("", "  "):
        with pytest.raises(Refused, match="Candidates work") as raised:
            switch_off(lab.centre(), [2], reason)
        assert len(raised.value.details) == 1 and locked(lab) == {1, 2, 3}
    assert switch_off(lab.centre(), [2], "the subject's page is blocked").excepted == (2,)
    assert locked(lab) == {1, 3}
    (line,) = (line for line in lab.centre().store.journal(lab.wave_id) if line.action == "guard.excepted")
    assert (line.seat, line.data["reason"]) == (2, "the subject's page is blocked")
    assert look(lab) == [] and locked(lab) == {1, 3}
    switch_on(lab.centre(), [2])
    assert locked(lab) == {1, 2, 3}
    lab.check()


def test_unlocking_that_is_not_confirmed_is_said(lab: Lab) -> None:
    lab.at("open").world.faults["lock", "guard"] = BROKEN
    with pytest.raises(EnvironmentFailed):
        switch_off(lab.centre(), [2], "wrong block")
    lab.world.faults.clear()
    assert look(lab) == [] and locked(lab) == {1, 3}


def test_a_way_out_when_the_guard_does_not_come_back(lab: Lab) -> None:
    lab.at("prepared").give_time(1, 30)
    lab.at("open").world.later(minutes=26)
    tick(lab.centre(), lambda about, what: None)
    lab.world.guard = None
    lab.world.faults["ensure", "guard"] = BROKEN
    for seat in (1, 2):
        with pytest.raises(EnvironmentFailed, match="not confirm"):
            switch_off(lab.centre(), [seat], "the guard is dead")
    extend(lab.centre(), 1, timedelta(minutes=10), "noise")
    assert lab.world.served() == {1: "open", 2: "open", 3: "open"}
    lab.world.faults.clear()
    assert look(lab) == [] and locked(lab) == {3}
    switch_on(lab.centre())
    assert locked(lab) == {1, 2, 3}


def test_a_seat_that_is_none(lab: Lab) -> None:
    for switch in (switch_on, switch_off):
        with pytest.raises(NotFound):
            switch(lab.centre(), [77])


def test_a_centre_without_a_guard(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab()
    for command in (switch_on, switch_off, apply, apply_preview, guard_status):
        with pytest.raises(Refused, match="no guard"):
            command(lab.centre())
    assert look(lab) == []


# The policy


def test_what_applying_changes_is_shown_first(lab: Lab) -> None:
    lab.world.lists = [rule("a.fr"), rule("b.fr"), rule("c.fr")]
    first = apply(lab.centre())
    assert (first.added, first.removed, first.started) == (("a.fr", "b.fr", "c.fr"), (), True)
    lab.world.lists = [rule("b.fr"), rule("c.fr", blocked=False), rule("d.fr")]
    preview = apply_preview(lab.centre())
    assert (preview.added, preview.removed, preview.changed) == (("d.fr",), ("a.fr",), ("c.fr",))
    assert lab.world.guard is not None and lab.world.guard.version == first.version
    applied = apply(lab.centre())
    assert applied == preview and lab.world.guard.version == applied.version and locked(lab) == set()
    assert apply(lab.centre()).empty


def test_applying_during_a_wave_keeps_its_seats_locked(lab: Lab) -> None:
    lab.at("open").world.lists.append(rule("padlet.com"))
    apply(lab.centre())
    assert locked(lab) == {1, 2, 3}


def test_a_policy_that_is_refused_leaves_everything_as_it_was(lab: Lab) -> None:
    lab.at("open")
    before = (lab.world.guard, lab.world.kernel, lab.centre().store.policy())
    lab.world.lists.append(rule("padlet.com"))
    for place in (("ensure", "guard"), ("read", "lists")):
        lab.world.faults[place] = Refused("haproxy: line 7 is wrong")
        with pytest.raises(Refused, match="line 7"):
            apply(lab.centre())
        del lab.world.faults[place]
        assert (lab.world.guard, lab.world.kernel, lab.centre().store.policy()) == before
        assert look(lab) == [] and alarms(lab) == []


# What is shown


def test_the_status_says_what_is_locked_and_why(lab: Lab) -> None:
    lab.plan(candidates=[(1, "C001"), (2, "C002")])
    lab.at("open")
    switch_on(lab.centre(), [3])
    switch_off(lab.centre(), [2], "wrong block")
    status = guard_status(lab.centre())
    assert [(seat.seat, seat.desired, seat.locked, seat.why) for seat in status.seats] == [
        (1, True, True, Why.WAVE),
        (2, False, False, Why.EXCEPTED),
        (3, True, True, Why.HAND),
    ]
    assert status.seats[1].reason == "wrong block" and status.names == 1
    lab.world.guard = None
    assert {seat.locked for seat in guard_status(lab.centre()).seats} == {None}


def test_whether_a_probe_was_green_today(lab: Lab) -> None:
    def probed() -> bool:
        return guard_status(lab.centre()).probed

    def note(*, green: bool) -> None:
        centre = lab.centre()
        centre.store.save(Entry("guard.probed", data={"green": green, "policy": centre.store.policy_version()}))

    assert not probed()
    note(green=True)
    assert probed()
    note(green=False)
    assert not probed()
    note(green=True)
    lab.world.later(hours=24)
    assert not probed()
    note(green=True)
    lab.world.lists.append(rule("padlet.com"))
    apply(lab.centre())
    assert not probed(), "what was proved is another policy"

"""Each command is killed at every one of its calls to the world; the same command again finishes it."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.exam import EnvironmentRole
from orchestrator.domain.lifecycle import FINISHED
from orchestrator.domain.time import OF_COMMANDS
from orchestrator.errors import EnvironmentFailed, NotFound, NotProved, Refused
from orchestrator.ports import Noted
from orchestrator.services.abandon import abandon
from orchestrator.services.centre import Centre
from orchestrator.services.clock import tick
from orchestrator.services.close import close
from orchestrator.services.extend import extend
from orchestrator.services.guard import apply, switch_off, switch_on
from orchestrator.services.incident import close_incident, open_incident
from orchestrator.services.open_wave import open_wave
from orchestrator.services.points import take_points
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset, reset_seat, seal_seat
from orchestrator.services.restore import move, restore
from orchestrator.services.seal import seal
from orchestrator.services.standbys import make_standby
from orchestrator.services.supervise import Supervisor
from orchestrator.settings import Standbys
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import GUARD, Fuse, Killed, KilledAt


@dataclass(frozen=True)
class Command:
    name: str
    given: Callable[[Lab], object]
    run: Callable[[Centre, str], object]
    seats: int = 3
    otherwise: bool = True
    """Whether something else than this command may come next."""
    again: bool = True
    """Whether the same command again is to lead to the same end."""
    then: Callable[[Lab], None] | None = None
    """What happens by itself afterwards."""
    guarded: bool = False
    """Whether the centre has a guard."""


def other_image(lab: Lab) -> None:
    """Environments of an abandoned wave stand behind the seats; the image has been built anew since."""
    lab.at("open")
    abandon(lab.centre(), lab.wave_id, "fire alarm")
    newer = fakes.image("e5b/wordpress:current", fakes.Site.WORDPRESS, id=fakes.NEWER_IMAGE_ID)
    lab.world.images |= {newer.reference: newer, newer.id: newer}
    lab.plan(number=2)


def one_seat_over(lab: Lab) -> None:
    lab.at("prepared").give_time(1, 30)
    lab.at("open").world.later(minutes=26)


def all_over(lab: Lab) -> None:
    lab.at("open").world.later(minutes=41)


def differing(lab: Lab) -> None:
    lab.world.defective.add(2)
    lab.at("prepared").world.defective.clear()


def damaged(lab: Lab) -> None:
    lab.at("sealed").damage_evidence(2)


def with_points(lab: Lab) -> None:
    """Seat 2 has a point, and a page that was saved since."""
    lab.at("open")
    take_points(lab.centre(), [2])
    lab.world.later(minutes=1)
    lab.world.candidates_work("page after the point")


def with_standbys(lab: Lab) -> None:
    with_points(lab)
    for _seat in lab.wave.places:
        make_standby(lab.centre())


def with_a_restore(lab: Lab) -> None:
    with_points(lab)
    restore(lab.centre(), 2, "1")
    lab.world.candidates_work("page after the restore")


def with_a_spare_seat(lab: Lab) -> None:
    lab.plan(candidates=[(1, "C001"), (2, "C002")])
    with_points(lab)


def with_an_incident(lab: Lab) -> None:
    lab.at("open")
    open_incident(lab.centre(), lab.wave_id, [], "noise")
    lab.world.later(minutes=1)


def put_aside(lab: Lab) -> None:
    """A reset under a supervisor left the old environment to it."""
    lab.at("open").world.supervised = True
    reset_seat(lab.centre(), 2)
    lab.world.supervised = False
    lab.world.later(seconds=1)


def half_made(lab: Lab) -> None:
    """A restore was killed while it made the new environment."""
    with_points(lab)
    with suppress(EnvironmentFailed, Killed):
        restore(lab.centre(KilledAt("engine.ready")), 2, "1")


def stopped_and_gone(lab: Lab) -> None:
    """Seat 1's environment stands still, seat 2's was deleted."""
    with_points(lab)
    lab.world.containers[lab.active(1).name].running = False
    del lab.world.containers[lab.active(2).name]


def rebooted(lab: Lab) -> None:
    lab.at("open")
    lab.world.noted = Noted(lab.world.now, rebooted=True)
    lab.world.later(minutes=1)


def guard_gone(lab: Lab) -> None:
    """The guard was deleted; its rules are still there."""
    lab.at("open").world.guard = None


def keep_guard(centre: Centre, _wave: str) -> None:
    supervisor = Supervisor(centre, quiet)
    for _time in range(2):
        assert supervisor.look_at_guard() == []


def work(centre: Centre, _wave: str) -> None:
    assert Supervisor(centre, quiet).work() == []


def look(centre: Centre, _wave: str) -> None:
    supervisor = Supervisor(centre, quiet)
    with ThreadPoolExecutor(1) as pool:
        for _time in range(2):
            assert supervisor.look(pool) == []


def resume(centre: Centre, _wave: str) -> None:
    Supervisor(centre, quiet).resume()


def settled(lab: Lab) -> None:
    """The clock and the supervisor have had their turn: nothing of a command that was killed is left."""
    assert tick(lab.centre(), quiet) == []
    assert not any(place.has_going_on(*OF_COMMANDS) for place in lab.wave.places)
    look(lab.centre(), lab.wave_id)
    supervisor = Supervisor(lab.centre(), quiet)
    for _time in range(3):
        assert supervisor.work() == []


RESTORES = [
    Command("restore to a point", with_points, lambda centre, wave: restore(centre, 2, "1"), then=settled),
    Command(
        "restore that fails",
        lambda lab: (with_points(lab), lab.world.unready.add(2)),
        lambda centre, wave: failing(lambda: restore(centre, 2, "1")),
        otherwise=False,
        then=settled,
        seats=2,
    ),
    Command(
        "restore to the reference", with_points, lambda centre, wave: restore(centre, 2, "reference"), then=settled
    ),
    Command(
        "restore to the standby", with_standbys, lambda centre, wave: restore(centre, 2, "reference"), then=settled
    ),
    # What follows needs a supervisor, or a person: without them the loss, the incident, the silence go on.
    Command(
        "restore what is gone",
        stopped_and_gone,
        lambda centre, wave: restore(centre, 2, "last"),
        otherwise=False,
        then=settled,
    ),
    Command("undo", with_a_restore, lambda centre, wave: restore(centre, 2, "undo"), again=False),
    Command("move", with_a_spare_seat, lambda centre, wave: move(centre, 2, 3), then=settled),
    Command("seat reset, standby", with_standbys, lambda centre, wave: reset_seat(centre, 2), then=settled),
    Command(
        "extend", one_seat_over, lambda centre, wave: extend(centre, 1, timedelta(minutes=30), "noise"), then=settled
    ),
    Command("incident open", lambda lab: lab.at("open"), lambda centre, wave: open_incident(centre, wave, [], "noise")),
    Command("incident close", with_an_incident, lambda centre, wave: close_incident(centre, wave, []), otherwise=False),
    Command("make a standby", lambda lab: lab.at("open"), lambda centre, wave: make_standby(centre), seats=1),
    Command("take away", put_aside, work, seats=2),
    Command("take away what was half made", half_made, work, seats=2, then=settled),
    Command("look", stopped_and_gone, look, seats=2, otherwise=False, then=settled),
    Command("resume", rebooted, resume, seats=2, otherwise=False, then=settled),
]


def failing(attempt: Callable[[], object]) -> None:
    with suppress(NotProved):
        attempt()


COMMANDS = [
    Command("prepare", lambda lab: lab.at("planned"), prepare, otherwise=False),
    Command("prepare again", lambda lab: lab.at("prepared"), prepare, otherwise=False),
    Command("prepare over another image", other_image, prepare, seats=2, otherwise=False),
    Command("open", lambda lab: lab.at("prepared"), lambda centre, wave: open_wave(centre, wave, [3])),
    Command("close", lambda lab: lab.at("open"), lambda centre, wave: close(centre, wave, early="noise")),
    Command("seat over", one_seat_over, lambda centre, wave: tick(centre, quiet)),
    Command("clock at the end", all_over, lambda centre, wave: tick(centre, quiet), seats=2),
    Command("seal", lambda lab: lab.at("closed"), seal, seats=2),
    Command("reset", lambda lab: lab.at("sealed"), reset),
    Command("abandon", lambda lab: lab.at("open"), lambda centre, wave: abandon(centre, wave, "fire alarm"), seats=2),
    Command(
        "abandon closed", lambda lab: lab.at("closed"), lambda centre, wave: abandon(centre, wave, "noise"), seats=2
    ),
    Command("seat reset, open", lambda lab: lab.at("open"), lambda centre, wave: reset_seat(centre, 2)),
    Command("seat reset, closed", lambda lab: lab.at("closed"), lambda centre, wave: reset_seat(centre, 2)),
    Command("seat reset, sealed", lambda lab: lab.at("sealed"), lambda centre, wave: reset_seat(centre, 2)),
    Command("seat reset, differing", differing, lambda centre, wave: reset_seat(centre, 2)),
    Command("seat seal", damaged, lambda centre, wave: seal_seat(centre, 2)),
]


def after(then: Callable[[Lab], None] | None) -> Callable[[Lab], None]:
    """Besides what comes *then*, the supervisor looks at the guard."""

    def both(lab: Lab) -> None:
        if then is not None:
            then(lab)
        keep_guard(lab.centre(), lab.wave_id)

    return both


GUARDED = [
    replace(command, name=f"{command.name}, guarded", guarded=True, then=after(command.then))
    for command in COMMANDS + RESTORES
    if command.name in {"open", "close", "seat over", "clock at the end", "abandon", "move", "extend"}
] + [
    Command("guard on", lambda lab: lab.at("open"), lambda centre, _wave: switch_on(centre, [1, 3]), guarded=True),
    Command(
        "guard off",
        lambda lab: (lab.at("open"), switch_on(lab.centre())),
        lambda centre, _wave: switch_off(centre, [2], "wrong block"),
        guarded=True,
        otherwise=False,
    ),
    Command("guard apply", lambda lab: lab.at("open"), lambda centre, _wave: apply(centre), guarded=True),
    Command("guard gone", guard_gone, keep_guard, guarded=True, otherwise=False),
]


LOOKS = re.compile(
    r"store\.(?!save).*|engine\.(observe|image|facts|ready|fingerprint|describe|sizes).*"
    r"|engine\.(life|answers|layers).*|sealing\.verify.*|gateway\.serving|locks\.(room|supervised)|guard\.state"
)
"""Calls that change nothing."""


def quiet(about: str, what: str) -> None: ...


def picture(lab: Lab) -> dict[str, object]:
    """The end state, without what a kill may change: how many attempts and generations it took."""
    centre, world = lab.centre(), lab.world
    wave = centre.wave(lab.wave_id)
    environments = centre.store.environments()
    by_name = {item.name: item for item in environments}
    living = [item for item in environments if item.role is not EnvironmentRole.GONE]
    works: dict[tuple[str, int], list[bytes]] = {}
    for item in centre.store.evidence():
        works.setdefault((item.wave, item.seat), []).append(world.archives[item.archive].content)
    return {
        "state": (wave.state, wave.intent, wave.reason),
        "places": [
            (
                place.seat,
                place.absent,
                place.left_out,
                place.proof,
                place.opened_at is not None,
                place.closed_at is not None,
                by_name[place.environment].role if place.environment else None,
            )
            for place in wave.places
        ],
        "environments": sorted((item.seat, item.role, item.image, item.touched, item.wave) for item in living),
        "containers": sorted(
            (item.seat, item.image, item.running, item.held, item.work, item.altered or "")
            for item in world.containers.values()
        ),
        # How often an interruption was given back is what a kill may change.
        "credits": [(place.seat, {item.kind for item in place.credits}, place.suspended) for place in wave.places],
        "containers are those on record": sorted(world.containers) == sorted(item.name for item in living),
        "routes": world.served(),
        "locked": world.kernel,
        "routes are those of the record": world.gateway == centre.routes(),
        "evidence": {seat: max(contents, key=len) for seat, contents in works.items()},
        "locks": world.held,
    }


def lives(command: Command, lab: Lab, folder: Path) -> Iterator[tuple[str, Lab]]:
    """The world after the command was killed at each of its calls, and at first the world without a kill."""
    command.given(lab)
    whole, fuse = lab.copy(folder / "whole"), Fuse()
    command.run(whole.centre(fuse), lab.wave_id)
    yield "undisturbed", whole
    before = "nothing"
    for at, call in enumerate(fuse.calls, start=1):
        # Between two calls that only look, the world is the same: it is killed once.
        if not LOOKS.fullmatch(before):
            life = lab.copy(folder / str(at))
            with pytest.raises(Killed):
                command.run(life.centre(Fuse(at)), lab.wave_id)
            assert fakes.open_and_not_locked(life.centre(), life.world) == set(), call
            yield f"killed at call {at} of {len(fuse.calls)}, {call}, after {before}", life
        before = call


@pytest.mark.parametrize("command", COMMANDS + RESTORES + GUARDED, ids=lambda command: command.name)
def test_killed_at_any_call(command: Command, new_lab: Callable[..., Lab], tmp_path: Path) -> None:
    # What the supervisor makes in the background is a command of its own here.
    nothing_else: dict[str, Any] = {"restore_points": {"interval_minutes": 0}}
    if command.then is not None:
        nothing_else["standbys"] = {"most": 0}
    if command.guarded:
        nothing_else["guard"] = GUARD
    lab = new_lab(rooms={"salle-1": range(1, command.seats + 1)}, **nothing_else)
    if command.given is with_standbys:
        lab.settings = lab.settings.model_copy(update={"standbys": Standbys(most=3)})
    expected: dict[str, object] = {}
    for number, (when, life) in enumerate(lives(command, lab, tmp_path)):
        if not expected:
            if command.then is not None:
                command.then(life)
            expected = picture(life)
            life.check()
            continue

        if command.otherwise:
            # Nobody runs the command again: candidates go on where they can, and the wave lives on to its end.
            other = life.copy(tmp_path / f"other-{number}")
            other.world.candidates_work("second page")
            live_on(other)
            assert other.wave.state in FINISHED, when
            assert fakes.violations(other.centre(), other.world) == [], when

        if not command.again:
            continue
        # The same command again finishes it.
        with suppress(Refused, NotFound):  # killed after its last word to the store: there was nothing left to do
            command.run(life.centre(), life.wave_id)
        if command.then is not None:
            command.then(life)
        assert picture(life) == expected, when
        assert fakes.violations(life.centre(), life.world) == [], when


def live_on(lab: Lab) -> None:
    """What the technician would do next, and the clock, until the wave is over."""
    for _turn in range(8):
        wave = lab.wave
        if wave.state in FINISHED:
            return
        lab.world.later(minutes=60)
        match wave.state.value:
            case "planned":
                prepare(lab.centre(), wave.id)
            case "prepared" if wave.intent != "open" and (bad := [item for item in wave.places if not item.proved]):
                for place in bad:
                    reset_seat(lab.centre(), place.seat)
                prepare(lab.centre(), wave.id)
            case "prepared":
                open_wave(lab.centre(), wave.id)
                lab.world.candidates_work("third page")
            case "open":
                assert tick(lab.centre(), quiet) == []
            case "closed":
                seal(lab.centre(), wave.id)
            case "sealed":
                for evidence in lab.centre().store.evidence(wave.id):
                    if lab.world.archives[evidence.archive].damaged:
                        seal_seat(lab.centre(), evidence.seat)
                reset(lab.centre(), wave.id)

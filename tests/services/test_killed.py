"""Each command is killed at every one of its calls to the world; the same command again finishes it."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.domain.exam import EnvironmentRole
from orchestrator.domain.lifecycle import FINISHED
from orchestrator.errors import Refused
from orchestrator.services.abandon import abandon
from orchestrator.services.centre import Centre
from orchestrator.services.clock import tick
from orchestrator.services.close import close
from orchestrator.services.open_wave import open_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset, reset_seat, seal_seat
from orchestrator.services.seal import seal
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import Fuse, Killed


@dataclass(frozen=True)
class Command:
    name: str
    given: Callable[[Lab], object]
    run: Callable[[Centre, str], object]
    seats: int = 3
    otherwise: bool = True
    """Whether something else than this command may come next."""


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


LOOKS = re.compile(
    r"store\.(?!save).*|engine\.(observe|image|facts|ready|fingerprint|describe|sizes).*"
    r"|engine\.(life|answers|layers).*|sealing\.verify.*|gateway\.serving|locks\.(room|supervised)"
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
        "containers are those on record": sorted(world.containers) == sorted(item.name for item in living),
        "routes": world.served(),
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
            yield f"killed at call {at} of {len(fuse.calls)}, {call}, after {before}", life
        before = call


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_killed_at_any_call(command: Command, new_lab: Callable[..., Lab], tmp_path: Path) -> None:
    lab = new_lab(rooms={"salle-1": range(1, command.seats + 1)})
    expected: dict[str, object] = {}
    for number, (when, life) in enumerate(lives(command, lab, tmp_path)):
        if not expected:
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

        # The same command again finishes it.
        with suppress(Refused):  # killed after its last word to the store: there was nothing left to do
            command.run(life.centre(), life.wave_id)
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

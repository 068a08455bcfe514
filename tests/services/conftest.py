"""A centre in memory, and a wave brought to the state that a test is about."""

import copy
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from orchestrator.adapters import store
from orchestrator.adapters.store import SqliteStore
from orchestrator.domain.exam import Environment, Place, Site, Wave
from orchestrator.errors import E5BError
from orchestrator.services.centre import Centre
from orchestrator.services.close import close
from orchestrator.services.open_wave import open_wave
from orchestrator.services.plan_wave import Seated, plan_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset
from orchestrator.services.seal import seal
from orchestrator.settings import Settings
from tests.services import fakes
from tests.services.fakes import Fuse, World

STATES = ("planned", "prepared", "open", "closed", "sealed", "reset")


def unforeseen(error: Exception) -> E5BError:
    """Nothing of the kind happens where this is given."""
    raise error


class Lab:
    """A centre's world, its settings, and the wave that the test is about. Every command gets fresh ports."""

    def __init__(self, world: World, settings: Settings, wave_id: str = "") -> None:
        self.world, self.settings, self.wave_id = world, settings, wave_id
        self.template: Path | None = None
        self._store: SqliteStore | None = None

    def centre(self, fuse: Fuse | None = None) -> Centre:
        if self.template is not None and not self.settings.database.exists():
            # The migrations take longer than most tests: made once, copied.
            self.settings.database.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.template, self.settings.database)
        if fuse is not None:
            return fakes.new_centre(self.world, self.settings, fuse)
        if self._store is None:
            self._store = fakes.new_store(self.world, self.settings)
        return fakes.new_centre(self.world, self.settings, store=self._store)

    @property
    def wave(self) -> Wave:
        return self.centre().wave(self.wave_id)

    @property
    def state(self) -> str:
        return self.wave.state.value

    def place(self, seat: int) -> Place:
        return next(place for place in self.wave.places if place.seat == seat)

    def active(self, seat: int) -> Environment:
        return self.centre().active()[seat]

    def actions(self) -> list[str]:
        return [line.action for line in self.centre().store.journal(self.wave_id)]

    def plan(self, **given: Any) -> Wave:
        room = self.settings.rooms[0]
        if "candidates" in given:
            given["candidates"] = [Seated(*listed) for listed in given["candidates"]]
        wave = plan_wave(
            self.centre(),
            **{
                "half_day": "2027-05-11-am",
                "room": room.name,
                "number": 1,
                "site": Site.WORDPRESS,
                "candidates": [Seated(seat.number, f"C{seat.number:03d}") for seat in room.seats],
                **given,
            },
        )
        self.wave_id = wave.id
        return wave

    def at(self, state: str) -> "Lab":
        """Bring a wave to *state* from where it is; candidates work while they can."""
        steps: dict[str, Callable[[], object]] = {
            "planned": self.plan,
            "prepared": lambda: prepare(self.centre(), self.wave_id),
            "open": lambda: open_wave(self.centre(), self.wave_id),
            "closed": lambda: close(self.centre(), self.wave_id),
            "sealed": lambda: seal(self.centre(), self.wave_id),
            "reset": lambda: reset(self.centre(), self.wave_id),
        }
        begin = 0 if not self.wave_id else STATES.index(self.state) + 1
        for name in STATES[begin : STATES.index(state) + 1]:
            steps[name]()
            assert self.state == name
            if name == "open":
                self.world.later(minutes=5)
                self.world.candidates_work("first page")
            if name == "open" and state != "open":
                self.world.later(minutes=40)
        return self

    def give_time(self, seat: int, minutes: float) -> None:
        """A candidate with another duration than the others."""
        places = tuple(
            replace(place, duration=timedelta(minutes=minutes)) if place.seat == seat else place
            for place in self.wave.places
        )
        self.centre().store.save(waves=[replace(self.wave, places=places)])

    def damage_evidence(self, seat: int) -> None:
        for evidence in self.centre().store.evidence(self.wave_id):
            if evidence.seat == seat:
                self.world.archives[evidence.archive].damaged = True

    def check(self) -> None:
        """What must never be so is not so."""
        assert fakes.violations(self.centre(), self.world) == []

    def copy(self, folder: Path) -> "Lab":
        """Another world that has been the same so far."""
        settings = self.settings.model_copy(
            update={"centre": self.settings.centre.model_copy(update={"state": folder})}
        )
        folder.mkdir(parents=True)
        with (
            closing(sqlite3.connect(self.settings.database)) as source,
            closing(sqlite3.connect(settings.database)) as target,
        ):
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target)
        return Lab(copy.deepcopy(self.world), settings, self.wave_id)


@pytest.fixture(scope="session", autouse=True)
def disk_without_waiting() -> Iterator[None]:
    """Nobody pulls the plug here: what is stored need not reach the disk before the test goes on."""

    def configure(connection: sqlite3.Connection, record: object) -> None:
        durable(connection, record)
        connection.execute("PRAGMA synchronous = OFF")

    def create_engine(*args: Any, **kwargs: Any) -> sqlalchemy.Engine:
        # Each command of a test opens the store anew: its statements are compiled once for all of them.
        engine = sqlalchemy.create_engine(*args, **kwargs)
        engine._compiled_cache, engine.dialect = first._compiled_cache, first.dialect
        return engine

    durable, first = store._configure, sqlalchemy.create_engine("sqlite://")
    with first.connect():  # which makes the dialect ready
        pass
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_configure", configure)
        patch.setattr(store, "create_engine", create_engine)
        yield


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    fakes.new_centre(fakes.new_world(), fakes.settings(folder))
    with (
        closing(sqlite3.connect(folder / "e5b.sqlite")) as source,
        closing(sqlite3.connect(folder / "template.sqlite")) as target,
    ):
        source.backup(target)
    return folder / "template.sqlite"


@pytest.fixture
def new_lab(tmp_path: Path, empty_database: Path) -> Callable[..., Lab]:
    def make(**options: Any) -> Lab:
        lab = Lab(fakes.new_world(), fakes.settings(tmp_path / "state", **options))
        lab.template = empty_database
        return lab

    return make


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    """Three seats in one room."""
    return new_lab()

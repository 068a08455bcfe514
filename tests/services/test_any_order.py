"""Commands in any order, killed anywhere, with hands in the engine: what must never be so is never so."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.errors import E5BError
from orchestrator.services.abandon import abandon
from orchestrator.services.absent import mark_absent
from orchestrator.services.clock import tick
from orchestrator.services.close import close
from orchestrator.services.open_wave import open_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset, reset_seat, seal_seat
from orchestrator.services.seal import seal
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import Fuse, Killed

seats = st.sampled_from([1, 2])
kills = st.one_of(st.none(), st.integers(1, 60))


class Days(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.lab = Lab(fakes.new_world(), fakes.settings(Path(self._folder.name), {"salle-1": (1, 2)}))
        self.waves = self.pages = 0

    def teardown(self) -> None:
        self._folder.cleanup()

    def command(self, kill: int | None, run: Callable[..., Any], *arguments: Any, **more: Any) -> None:
        with suppress(E5BError, Killed):
            run(self.lab.centre(Fuse(kill)), *arguments, **more)

    @initialize()
    def first(self) -> None:
        self.plan()
        self.command(None, prepare, self.lab.wave_id)

    @precondition(lambda self: self.lab.state in {"reset", "abandoned"} and self.waves < 4)
    @rule()
    def plan(self) -> None:
        self.waves += 1
        self.lab.plan(number=self.waves, candidates=[(1, f"W{self.waves}1"), (2, f"W{self.waves}2")])

    @rule(kill=kills)
    def prepare(self, kill: int | None) -> None:
        self.command(kill, prepare, self.lab.wave_id)

    @rule(kill=kills, leave_out=st.sets(seats, max_size=1))
    def open(self, kill: int | None, leave_out: set[int]) -> None:
        self.command(kill, open_wave, self.lab.wave_id, leave_out)

    @rule(kill=kills)
    def close(self, kill: int | None) -> None:
        self.command(kill, close, self.lab.wave_id, early="x")

    @rule(kill=kills, waive=st.one_of(st.none(), st.none(), seats))
    def seal(self, kill: int | None, waive: int | None) -> None:
        self.command(kill, seal, self.lab.wave_id, waive=None if waive is None else (waive, "lost"))

    @rule(kill=kills)
    def reset(self, kill: int | None) -> None:
        self.command(kill, reset, self.lab.wave_id)

    @rule(kill=kills)
    def abandon(self, kill: int | None) -> None:
        self.command(kill, abandon, self.lab.wave_id, "x")

    @rule(kill=kills, seat=seats)
    def reset_seat(self, kill: int | None, seat: int) -> None:
        self.command(kill, reset_seat, seat)

    @rule(kill=kills, seat=seats)
    def seal_seat(self, kill: int | None, seat: int) -> None:
        self.command(kill, seal_seat, seat)

    @rule(seat=seats, present=st.booleans())
    def absent(self, seat: int, present: bool) -> None:
        self.command(None, mark_absent, self.lab.wave_id, seat, present=present)

    @rule(kill=kills, minutes=st.sampled_from([1, 10, 41]))
    def clock(self, kill: int | None, minutes: int) -> None:
        self.lab.world.later(minutes=minutes)
        self.command(kill, tick, lambda _about, _what: None)

    @rule()
    def candidates(self) -> None:
        self.pages += 1
        self.lab.world.later(seconds=1)
        self.lab.world.candidates_work(f"page {self.pages}")

    @rule(seat=seats, what=st.sampled_from(["stopped", "deleted", "altered", "evidence", "defective", "mended"]))
    def hands(self, seat: int, what: str) -> None:
        environment = self.lab.centre().active().get(seat)
        container = self.lab.world.containers.get(environment.name) if environment else None
        if what == "defective":
            self.lab.world.defective.add(seat)
        elif what == "mended":
            self.lab.world.defective.clear()
        elif what == "evidence":
            self.lab.damage_evidence(seat)
        elif container is not None and what == "stopped":
            container.running = False
        elif container is not None and what == "deleted":
            del self.lab.world.containers[container.name]
        elif container is not None and what == "altered" and not container.work:
            container.altered = "/var/www/site/evil.php"

    @invariant()
    def nothing_that_must_never_be(self) -> None:
        if self.lab.wave_id:
            assert fakes.violations(self.lab.centre(), self.lab.world) == []

    @invariant()
    def whoever_can_be_reached_is_on_record_as_worked_in(self) -> None:
        if self.lab.wave_id:
            touched = {item.name for item in self.lab.centre().store.environments() if item.touched}
            assert {container.name for container in self.lab.world.reachable()} <= touched


TestDays = Days.TestCase
TestDays.settings = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

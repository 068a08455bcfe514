"""Commands in any order, killed anywhere, with hands in the engine: what must never be so is never so."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.domain.lifecycle import FINISHED
from orchestrator.errors import E5BError
from orchestrator.services.abandon import abandon
from orchestrator.services.absent import mark_absent
from orchestrator.services.centre import Centre
from orchestrator.services.clock import shut_due, tick
from orchestrator.services.close import close
from orchestrator.services.extend import extend
from orchestrator.services.incident import close_incident, open_incident
from orchestrator.services.open_wave import open_wave
from orchestrator.services.points import take_points
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset, reset_seat, seal_seat
from orchestrator.services.restore import move, restore
from orchestrator.services.seal import seal
from orchestrator.services.standbys import give_up_standbys
from orchestrator.services.supervise import Supervisor
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import Fuse, Killed
from tests.services.test_killed import live_on

seats = st.sampled_from([1, 2, 3])
kills = st.one_of(st.none(), st.integers(1, 60))


class Days(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        # Seat 3 is spare.
        self.lab = Lab(fakes.new_world(), fakes.settings(Path(self._folder.name), {"salle-1": (1, 2, 3)}))
        self.waves = self.pages = 0
        self.harmed = False

    def teardown(self) -> None:
        try:
            if self.lab.wave_id and not self.harmed:
                self._comes_to_its_end()
        finally:
            self._folder.cleanup()

    def _comes_to_its_end(self) -> None:
        """Unless a container or evidence was destroyed by hand, nothing keeps a wave from its end."""
        self.lab.world.defective.clear()
        self._serve(self.lab.centre())
        self.command(None, close_incident, self.lab.wave_id, ())
        self._serve(self.lab.centre())
        self.lab.world.later(hours=24)
        live_on(self.lab)
        assert self.lab.wave.state in FINISHED
        assert fakes.violations(self.lab.centre(), self.lab.world) == []

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

    @rule(kill=kills, seat=st.one_of(st.none(), seats))
    def points(self, kill: int | None, seat: int | None) -> None:
        self.command(kill, take_points, () if seat is None else (seat,))

    @rule(kill=kills, seat=seats, to=st.sampled_from(["last", "reference", "undo", "1", "2"]), technical=st.booleans())
    def restore(self, kill: int | None, seat: int, to: str, technical: bool) -> None:
        self.command(kill, restore, seat, to, technical=technical)

    @rule(kill=kills, seat=seats, to=seats)
    def move(self, kill: int | None, seat: int, to: int) -> None:
        self.command(kill, move, seat, to)

    @rule(kill=kills, seat=seats, minutes=st.sampled_from([1, 30]))
    def extend(self, kill: int | None, seat: int, minutes: int) -> None:
        self.command(kill, extend, seat, timedelta(minutes=minutes), "x")

    @rule(kill=kills, seat=st.sets(seats, max_size=1))
    def incident(self, kill: int | None, seat: set[int]) -> None:
        self.command(kill, open_incident, self.lab.wave_id, seat, "x")

    @rule(kill=kills, seat=st.sets(seats, max_size=1))
    def incident_over(self, kill: int | None, seat: set[int]) -> None:
        self.command(kill, close_incident, self.lab.wave_id, seat)

    @rule(kill=kills, pressed=st.booleans())
    def standbys(self, kill: int | None, pressed: bool) -> None:
        self.command(kill, give_up_standbys, pressed=pressed)

    @rule(kill=kills, rebooted=st.booleans())
    def serve(self, kill: int | None, rebooted: bool) -> None:
        if self.lab.world.noted is not None:
            self.lab.world.noted = replace(self.lab.world.noted, rebooted=rebooted)
        self.command(kill, self._serve)

    def _serve(self, centre: Centre) -> None:
        supervisor = Supervisor(centre, lambda _about, _what: None)
        with centre.locks.supervisor(), ThreadPoolExecutor(1) as pool:
            supervisor.resume()
            for _time in range(3):
                self.lab.world.later(seconds=2)
                shut_due(centre, lambda _about, _what: None)
                supervisor.look(pool)
                supervisor.work()

    @rule()
    def candidates(self) -> None:
        self.pages += 1
        self.lab.world.later(seconds=1)
        self.lab.world.candidates_work(f"page {self.pages}")

    @rule(seat=seats, what=st.sampled_from(["stopped", "deleted", "altered", "evidence", "defective", "mended"]))
    def hands(self, seat: int, what: str) -> None:
        self.harmed |= what in {"deleted", "evidence"}
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

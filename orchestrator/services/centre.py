"""A centre as the services see it: its settings and the ports they act through."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestrator.domain.exam import Environment, EnvironmentRole, Place, Wave
from orchestrator.domain.lifecycle import HOLDS_SEATS, Action, WaveState, target
from orchestrator.domain.locks import locked
from orchestrator.domain.routes import Route, routes
from orchestrator.errors import E5BError, EnvironmentFailed, NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import (
    ClearText,
    Clock,
    Copies,
    Engine,
    Gateway,
    Guard,
    Host,
    JuryGateway,
    Locks,
    PolicyFiles,
    Progress,
    Sealing,
    Store,
)
from orchestrator.settings import Settings

PROBE = 0
"""The seat from which the guard is probed (ports.Guard.probe): whoever probes locks and unlocks it."""


@dataclass(frozen=True)
class Centre:
    """*guard* and *policy_files* are None where the network is somebody else's (``guard.mode = "off"``)."""

    settings: Settings
    store: Store
    engine: Engine
    gateway: Gateway
    jury: JuryGateway
    sealing: Sealing
    copies: Copies
    locks: Locks
    host: Host
    clock: Clock
    progress: Progress
    clear_text: ClearText
    guard: Guard | None = None
    policy_files: PolicyFiles | None = None

    @property
    def parallel(self) -> int:
        """How many environments are handled at the same time."""
        # Starting a site is mostly computing: a few more than there are processors fill the gaps, more only queue.
        return self.settings.limits.parallel or max(4, 2 * self.host.cpus())

    def wave(self, wave_id: str) -> Wave:
        """Raises NotFound."""
        wave = self.store.wave(wave_id)
        if wave is None:
            raise NotFound(
                _("There is no wave {wave}.").format(wave=wave_id),
                hint=_("`e5b wave list` shows the waves that exist."),
            )
        return wave

    def current_wave(self) -> Wave:
        """The one wave that a command without a name is about. Raises NotFound when there is none, or several."""
        candidates = [wave for wave in self.store.waves() if wave.state in HOLDS_SEATS or wave.intent is not None]
        candidates = candidates or [wave for wave in self.store.waves() if wave.state is WaveState.PLANNED][:1]
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            raise NotFound(_("No wave is planned."), hint=_("Plan one with `e5b wave plan`."))
        raise NotFound(
            _("Several waves are in progress: name the one you mean."), details=[wave.id for wave in candidates]
        )

    def active(self) -> dict[int, Environment]:
        """The environment that each seat's address leads to."""
        return {item.seat: item for item in self.store.environments() if item.role is EnvironmentRole.ACTIVE}

    def working(self) -> list[tuple[Wave, Place]]:
        """Every place where a candidate works now, with its wave."""
        return [
            (wave, place)
            for wave in self.store.waves()
            if wave.state is WaveState.OPEN
            for place in wave.places
            if place.working
        ]

    def routes(self, changed: Wave | None = None, *, unlocked: Collection[int] = ()) -> list[Route]:
        """What the gateway must serve, from the stored state alone, or once *changed* is stored. Seats in *unlocked*
        are not opened with a wave that is being opened."""
        # A wave that is being opened has its opening stored before its state: it counts.
        waves = [wave for wave in self._known(changed) if wave.state in HOLDS_SEATS]
        waves = [
            replace(wave, places=tuple(place for place in wave.places if place.seat not in unlocked))
            if wave.state is WaveState.PREPARED
            else wave
            for wave in waves
        ]
        return routes(self.settings.seats, waves, self.store.environments())

    def locked(self, changed: Wave | None = None) -> frozenset[int]:
        """The seats that the guard must lock, from the stored state alone, or once *changed* is stored."""
        return locked(self._known(changed), self.store.overrides())

    def _known(self, changed: Wave | None) -> list[Wave]:
        return [changed if changed is not None and wave.id == changed.id else wave for wave in self.store.waves()]

    def serve(self, changed: Wave | None = None) -> None:
        """The gateway runs and serves what is stored, or what will be once *changed* is; the guard locks what has to
        be locked before a seat opens, and unlocks after it is shut.

        A guard that fails keeps no candidate from the site that they work in: it only keeps a wave from being opened.
        """
        # Two rooms' commands may come here at once: an older state never follows a newer one.
        with self.locks.centre():
            if self.guard is None:
                self.gateway.ensure(self.routes(changed))
                return
            # Before the routes are read: what is shut meanwhile stays locked until the next look, and nothing is
            # opened meanwhile, since whoever opens a seat holds this lock while they store it. Nobody else unlocks.
            wanted = self.locked(changed)
            try:
                held = self.hold(self.guard, wanted)
            except E5BError:
                # Whoever opens a seat has locked it first and was told; the supervisor raises the alarm.
                self.gateway.ensure(self.routes(changed, unlocked=wanted))
                return
            self.gateway.ensure(self.routes(changed))
            if held - {PROBE} != wanted:
                # What stays locked is unlocked at the supervisor's next look.
                with suppress(E5BError):
                    self.guard.lock(wanted | held & {PROBE})

    def switch(self, changed: Wave | None = None, *, cut: Collection[str] = ()) -> None:
        """As :meth:`serve`, where nothing but routes has changed since it was called: no seat opens, no lock is due.
        A gateway that runs is told in milliseconds. What still waits for an address in *cut* ends: nobody is there."""
        with self.locks.centre():
            if self.gateway.serving() is not None:
                self.gateway.switch(self.routes(changed), cut)
                return
        self.serve(changed)

    def hold(self, guard: Guard, wanted: frozenset[int]) -> frozenset[int]:
        """Lock *wanted* besides what is locked; the seats that are locked then. The caller holds the centre's lock.
        Raises EnvironmentFailed when the guard does not run or does not confirm it."""
        state = guard.state()
        if state is None:
            raise EnvironmentFailed(
                _("The guard does not run."), hint=_("`e5b guard apply` starts it; `e5b guard status` says more.")
            )
        if wanted - state.locked:
            guard.lock(wanted | state.locked)
        return wanted | state.locked

    def follow_clock(self) -> None:
        """Let the exam's clock show what the system's shows, unless a candidate's time or evidence depends on it."""
        depending = {WaveState.OPEN, WaveState.CLOSED}
        if not any(wave.state in depending or wave.intent == Action.OPEN for wave in self.store.waves()):
            self.clock.follow()

    def check_allowed(self, wave: Wave, action: Action) -> WaveState:
        """The state that *action* leads to. Raises Refused with what can be done instead."""
        reached = target(wave.state, action)
        if reached is None:
            raise Refused(already(wave, action), hint=next_step(wave))
        return reached


def already(wave: Wave, action: Action) -> str:
    """Why *action* is refused in the wave's state."""
    sentences = {
        WaveState.PLANNED: _("Wave {wave} is planned and not prepared yet."),
        WaveState.PREPARED: _("Wave {wave} is prepared and not open yet."),
        WaveState.OPEN: _("Wave {wave} is already open."),
        WaveState.CLOSED: _("Wave {wave} is closed and its evidence is not sealed yet."),
        WaveState.SEALED: _("Wave {wave} is already sealed."),
        WaveState.RESET: _("Wave {wave} is over: it was sealed and reset."),
        WaveState.ABANDONED: _("Wave {wave} was abandoned."),
    }
    return sentences[wave.state].format(wave=wave.id)


def next_step(wave: Wave) -> str:
    """The command that comes next in the wave's life."""
    steps = {
        WaveState.PLANNED: _("Next: `e5b wave prepare {wave}`."),
        WaveState.PREPARED: _("Next: `e5b wave open {wave}`."),
        WaveState.OPEN: _("Next: `e5b wave close {wave}`, when the candidates' time is over."),
        WaveState.CLOSED: _("Next: `e5b wave seal {wave}`."),
        WaveState.SEALED: _("Next: `e5b wave reset {wave}`."),
        WaveState.RESET: _("Plan or prepare another wave."),
        WaveState.ABANDONED: _("Plan or prepare another wave."),
    }
    return steps[wave.state].format(wave=wave.id)

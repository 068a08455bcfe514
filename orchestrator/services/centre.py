"""A centre as the services see it: its settings and the ports they act through."""

from dataclasses import dataclass

from orchestrator.domain.exam import Environment, EnvironmentRole, Place, Wave
from orchestrator.domain.lifecycle import HOLDS_SEATS, Action, WaveState, target
from orchestrator.domain.routes import Route, routes
from orchestrator.errors import NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Clock, Copies, Engine, Gateway, Host, JuryGateway, Locks, Progress, Sealing, Store
from orchestrator.settings import Settings


@dataclass(frozen=True)
class Centre:
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

    def routes(self, changed: Wave | None = None) -> list[Route]:
        """What the gateway must serve, from the stored state alone, or once *changed* is stored."""
        known = [changed if changed is not None and wave.id == changed.id else wave for wave in self.store.waves()]
        # A wave that is being opened has its opening stored before its state: it counts.
        waves = [wave for wave in known if wave.state in HOLDS_SEATS]
        return routes(self.settings.seats, waves, self.store.environments())

    def serve(self, changed: Wave | None = None) -> None:
        """The gateway runs and serves what is stored, or what will be once *changed* is."""
        # Two rooms' commands may come here at once: an older state never follows a newer one.
        with self.locks.centre():
            self.gateway.ensure(self.routes(changed))

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

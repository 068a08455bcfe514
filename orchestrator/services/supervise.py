"""Supervise a centre: watch the time and the sites, repair what has stopped, give lost time back, and do in the
background what nobody should wait for: sealing, restore points, standbys, removals."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestrator.domain.exam import AlarmKind, Environment, EnvironmentRole, Place, PointKind, Wave
from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.time import OF_COMMANDS, Credit, CreditKind
from orchestrator.errors import Busy, E5BError, NoSpace, NotFound
from orchestrator.i18n import N_, _
from orchestrator.ports import Entry, Life
from orchestrator.services.alarms import clear_alarm, raise_alarm
from orchestrator.services.centre import PROBE, Centre
from orchestrator.services.clock import Told, seal_closed, shut_due
from orchestrator.services.environments import remove
from orchestrator.services.guard import is_whole, start
from orchestrator.services.guard_log import Reader
from orchestrator.services.points import due_points, prune_points, take_now
from orchestrator.services.prepare import DISK_RESERVE
from orchestrator.services.restore import LAST, REFERENCE, restore
from orchestrator.services.seal import seal_left_behind
from orchestrator.services.standbys import give_up_standbys, make_standby
from orchestrator.services.subject_end import remove_over
from orchestrator.services.watch import DISK_INTERVAL, is_overflowing, stop_overflow

INTERVAL = 0.5
"""Seconds between two looks at the time. A candidate's time is right to the second."""

LOOK = 1.5
"""Seconds between two looks at the sites."""

NOTE = 2.0
"""Seconds between two notes of the clock: as much as a reboot may credit too much."""

RETRY = 20.0
"""Seconds before a wave that could not be sealed is tried again, and before the same fault is said again."""

HUNG = 30.0
"""Seconds without an answer after which an environment that runs is stopped and started again."""

HUNG_AGAIN = 120.0
"""Seconds that it is then left to come round."""

MEMORY_LEAST = 384 * 2**20
"""Bytes of free memory below which there is an alarm."""

DRIFT_MOST = timedelta(seconds=3)
"""Between the system's clock and the exam's, while a wave is open."""

STATES = {"paused": N_("frozen"), "exited": N_("stopped"), "dead": N_("stopped"), "created": N_("stopped")}
"""What the engine calls the states of what stands still."""

BY_ITSELF = (CreditKind.OUTAGE, CreditKind.MACHINE, *OF_COMMANDS)
"""Credits that end when the seat's site answers again: the supervisor's own, and those of commands that were killed."""


@dataclass
class Trouble:
    """A site that does not answer: since when it is not known to have answered, and how often it was asked."""

    since: datetime
    looks: int = 0


@dataclass
class Supervisor:
    """One life of the supervisor. What must outlast it is in the store: credits, alarms, roles."""

    centre: Centre
    tell: Told
    looked_at: datetime | None = None
    answered: dict[str, datetime] = field(default_factory=dict)
    trouble: dict[str, Trouble] = field(default_factory=dict)
    restarted: dict[str, float] = field(default_factory=dict)
    owed: list[tuple[str, int, Credit]] = field(default_factory=list)
    """Credits (wave, seat) that could not be stored yet: somebody worked on the room."""
    put_off: dict[str, float] = field(default_factory=dict)
    """What has failed, and when it is tried again: it must not keep the others waiting."""
    gateway_answered: datetime | None = None
    gateway_silent: int = 0
    preferred: set[str] = field(default_factory=set)
    standby_at: float = 0.0
    refused: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.refused = Reader(self.centre, self.tell)

    # At the start

    def resume(self) -> None:
        """Take up where the last supervisor was: what stopped while nobody looked is given back."""
        centre, noted = self.centre, self.centre.clock.noted()
        self.looked_at = None if noted is None else noted.at
        for wave, place, environment in self._working():
            if noted is None or environment is None:
                continue
            began = noted.at if noted.rebooted else None
            if not noted.rebooted:
                # Where the engine does not answer now, the first look tells which sites do.
                with suppress(E5BError):
                    began = self._restarted_since(environment, noted.at)
            if began is not None and place.opened_at is not None:
                kind = CreditKind.MACHINE if noted.rebooted else CreditKind.OUTAGE
                self.owed.append((wave.id, place.seat, Credit(kind, max(began, place.opened_at))))
        self._give_what_is_owed()
        # Last: whoever is killed before finds the same moment noted.
        centre.clock.note()

    def _restarted_since(self, environment: Environment, moment: datetime) -> datetime | None:
        """When the run before the present one ended, if the present one began after *moment*; None for a first run."""
        life, drift = self.centre.engine.life(environment.name), self.centre.clock.drift()
        if life is None or life.started_at is None or life.ended_at is None or life.started_at - drift <= moment:
            return None
        return max(moment, life.ended_at - drift)

    # The sites

    def look(self, pool: ThreadPoolExecutor) -> list[E5BError]:
        """Ask every open site whether it answers; give lost time back and repair. What could not be done."""
        centre = self.centre
        faults: list[E5BError] = []
        with _collected(faults):
            self._give_what_is_owed()
        with _collected(faults):
            self._look_at_gateway()
        working = [(wave, place, environment) for wave, place, environment in self._working() if environment]
        begun = centre.clock.now()
        before, self.looked_at = self.looked_at or begun, begun
        answers = pool.map(lambda item: centre.engine.answers(item[2]), working)
        alarms = {(alarm.kind, alarm.seat) for alarm in centre.store.alarms()}
        for (wave, place, environment), fault in zip(working, answers, strict=True):
            with _collected(faults):
                if fault is None:
                    self._well(wave, place, environment, begun, alarms)
                    continue
                # One that was never asked was there, or was made, after the last look.
                since = self.answered.get(environment.name, max(before, place.opened_at or before))
                trouble = self.trouble.setdefault(environment.name, Trouble(since))
                trouble.looks += 1
                self._ill(wave, place, environment, fault, trouble)
        self._forget_alarms(alarms, {place.seat for _wave, place, _environment in working})
        return faults

    def _forget_alarms(self, alarms: Collection[tuple[AlarmKind, int | None]], seats: Collection[int]) -> None:
        """Where nobody works any more, nothing is wrong any more."""
        for kind, seat in alarms:
            if (seat is not None and seat not in seats) or (kind is AlarmKind.POINTS and not seats):
                clear_alarm(self.centre, kind, seat)

    def _well(
        self,
        wave: Wave,
        place: Place,
        environment: Environment,
        moment: datetime,
        alarms: Collection[tuple[AlarmKind, int | None]],
    ) -> None:
        centre, name = self.centre, environment.name
        self.answered[name] = moment
        trouble = self.trouble.pop(name, None)
        if place.has_going_on(*BY_ITSELF):
            self._settle(wave.id, place.seat, *BY_ITSELF)
        elif trouble is not None:
            # A short outage that was over at the second look, or one during which nothing could be stored: the engine
            # did not answer, or somebody worked on the room.
            self.owed.append((wave.id, place.seat, Credit(CreditKind.OUTAGE, trouble.since, moment)))
        for kind in (AlarmKind.DEAD, AlarmKind.SLOW, AlarmKind.OVERFLOW):
            if (kind, place.seat) in alarms and clear_alarm(centre, kind, place.seat):
                self.tell(_("seat {seat:02d}").format(seat=place.seat), _("its site answers again"))
        if name not in self.preferred:
            centre.engine.prefer(name)
            self.preferred.add(name)

    def _ill(self, wave: Wave, place: Place, environment: Environment, fault: str, trouble: Trouble) -> None:
        centre, name = self.centre, environment.name
        if self._is_put_off(name):
            return
        if trouble.looks > 1 and self._is_still(wave.id, place.seat, name):
            # Before anything else: an engine that does not answer either must not cost the candidate's time.
            self._credit(wave.id, place.seat, Credit(CreditKind.OUTAGE, trouble.since, reason=fault))
        life = centre.engine.life(name)
        if trouble.looks < 2 and life is not None and life.state == "running":
            # Once is no fault: a busy machine, a snapshot.
            return
        with centre.locks.room(wave.room, f"seat repair {place.seat}", patient=False):
            if not self._is_still(wave.id, place.seat, name):
                return
            self._credit(wave.id, place.seat, Credit(CreditKind.OUTAGE, trouble.since, reason=fault), held=True)
            if life is not None and life.state == "running":
                self.alarm(AlarmKind.SLOW, place.seat, wave.id, _("its site does not answer: {how}").format(how=fault))
                self._wake(wave, place, name, trouble)
                return
            if life is not None:
                self.alarm(
                    AlarmKind.DEAD,
                    place.seat,
                    wave.id,
                    _("its environment stands still ({state})").format(state=_(STATES.get(life.state, life.state))),
                )
                self._start(wave, place, name, life)
                return
            self.alarm(AlarmKind.DEAD, place.seat, wave.id, _("its environment is not there any more"))
        # All that is left is the last restore point. Whatever was done since is given back as time.
        with self._tried_again_later(name):
            try:
                restored = restore(centre, place.seat, LAST, technical=True)
            except NotFound:
                restored = restore(centre, place.seat, REFERENCE, technical=True)
        self.tell(
            _("seat {seat:02d}").format(seat=place.seat),
            _("its environment was gone: restored to point {number}").format(number=restored.point.number)
            if restored.point
            else _("its environment was gone before its first restore point: it has a new site"),
        )

    def _wake(self, wave: Wave, place: Place, name: str, trouble: Trouble) -> None:
        silent = (self.centre.clock.now() - trouble.since).total_seconds()
        if silent < HUNG or time.monotonic() < self.restarted.get(name, 0.0):
            return
        self.restarted[name] = time.monotonic() + HUNG_AGAIN
        self.centre.store.save(Entry("seat.restarted", wave.id, place.seat, {"environment": name, "silent_s": silent}))
        self.tell(_("seat {seat:02d}").format(seat=place.seat), _("its site is started again"))
        self.centre.engine.restart(name)

    def _start(self, wave: Wave, place: Place, name: str, life: Life) -> None:
        if life.state == "paused" and is_overflowing(self.centre, name):
            # Frozen for what it writes: it would go on writing.
            return
        self.centre.store.save(Entry("seat.started", wave.id, place.seat, {"environment": name, "was": life.state}))
        self.centre.engine.start(name)

    # The gateway

    def _look_at_gateway(self) -> None:
        centre = self.centre
        now = centre.clock.now()
        working = self._working()
        if centre.gateway.serving() is not None:
            was_silent, since = self.gateway_silent > 0, self.gateway_answered or now
            self.gateway_answered, self.gateway_silent = now, 0
            for wave, place, _environment in working:
                if place.has_going_on(CreditKind.GATEWAY):
                    self._settle(wave.id, place.seat, CreditKind.GATEWAY)
                elif was_silent:
                    began = max(since, place.opened_at or since)
                    self.owed.append((wave.id, place.seat, Credit(CreditKind.GATEWAY, began, now)))
            if clear_alarm(centre, AlarmKind.GATEWAY, None):
                self.tell(_("gateway"), _("it serves again"))
            return
        self.gateway_silent += 1
        if not working:
            return
        since = self.gateway_answered or now
        for wave, place, _environment in working:
            began = max(since, place.opened_at or since)
            with suppress(Busy):
                self._credit(wave.id, place.seat, Credit(CreditKind.GATEWAY, began))
        self.alarm(AlarmKind.GATEWAY, None, None, _("the gateway does not answer"))
        # The engine starts it again by itself; where it does not, we do.
        if self.gateway_silent >= 2:
            centre.serve()

    # The guard

    def look_at_guard(self) -> list[E5BError]:
        """See that the guard runs and locks what is stored, and count what it refused. What could not be done."""
        faults: list[E5BError] = []
        for job in (self._keep_guard, self.refused.read):
            with _collected(faults):
                job()
        return faults

    def _keep_guard(self) -> None:
        centre, guard = self.centre, self.centre.guard
        if guard is None or self._is_put_off("guard"):
            return
        state, version = guard.state(), centre.store.policy_version()
        if state is not None and state.version != version:
            # Whoever puts another policy in place holds this lock until it is stored.
            with centre.locks.centre():
                state, version = guard.state(), centre.store.policy_version()
        if state is not None and is_whole(state) and state.version == version:
            if state.locked - {PROBE} != centre.locked():
                # In the order that holds: what opens is locked first, what is locked is shut before it is unlocked.
                centre.serve()
            if clear_alarm(centre, AlarmKind.GUARD, None):
                self.tell(_("guard"), _("it runs again"))
            return
        if state is None:
            fault = _("it does not run")
        elif is_whole(state):
            fault = _("it serves another policy than the one that was applied")
        else:
            stopped = sorted(name for name, runs in state.engines.items() if not runs)
            fault = _("stopped: {engines}").format(engines=", ".join(stopped))
        self.alarm(AlarmKind.GUARD, None, None, _("the guard: {how}; what it locks stays locked").format(how=fault))
        with self._tried_again_later("guard"):
            start(centre)
        centre.serve()

    # The machine

    def look_at_machine(self) -> None:
        """What is short on the machine, or wrong with its clock; what writes too much; standbys that are of no use."""
        centre, host = self.centre, self.centre.host
        for seat in stop_overflow(centre):
            self.alarm(
                AlarmKind.OVERFLOW, seat, None, _("too much written: its site is frozen; restore or reset this seat")
            )
        free = min(host.disk_free(folder) for folder in (centre.engine.facts().root, centre.settings.centre.state))
        self._state(
            AlarmKind.DISK,
            free < DISK_RESERVE,
            _("the disk is nearly full: {free} MB are free").format(free=free // 10**6),
        )
        memory = host.memory_available()
        pressed = memory < MEMORY_LEAST
        self._state(AlarmKind.MEMORY, pressed, _("memory is short: {free} MB are free").format(free=memory // 10**6))
        give_up_standbys(centre, pressed=pressed)
        self._look_at_subject()
        drift = centre.clock.drift()
        self._state(
            AlarmKind.CLOCK,
            abs(drift) > DRIFT_MOST and bool(self._working()),
            _("the system's clock was set: it is {seconds:+.0f} s from the exam's, which does not follow it").format(
                seconds=drift.total_seconds()
            ),
        )

    def _look_at_subject(self) -> None:
        """The clear text of a half-day that is over goes; what candidates work on must be there."""
        for record in remove_over(self.centre):
            self.tell(record.half_day, _("the half-day is over: its subject is removed from memory"))
        here = self.centre.clear_text.here()
        missing = {wave.subject for wave, _place in self.centre.working() if wave.subject not in {None, *here}}
        self._state(
            AlarmKind.SUBJECT,
            bool(missing),
            _("the subject is not shown any more: unlock it again (`e5b subject unlock`)"),
        )

    def _state(self, kind: AlarmKind, on: bool, message: str) -> None:
        if on:
            self.alarm(kind, None, None, message)
        elif cleared := clear_alarm(self.centre, kind, None):
            self.tell(_("machine"), _("over: {what}").format(what=cleared.message))

    def alarm(self, kind: AlarmKind, seat: int | None, wave: str | None, message: str) -> None:
        if raise_alarm(self.centre, kind, seat, wave, message):
            about = _("machine") if seat is None else _("seat {seat:02d}").format(seat=seat)
            self.tell(about, _("ALARM: {what}").format(what=message))

    # Time given back

    def _give_what_is_owed(self) -> None:
        for item in list(self.owed):
            with suppress(Busy):
                self._credit(*item)
                self.owed.remove(item)

    def _credit(self, wave_id: str, seat: int, credit: Credit, *, held: bool = False) -> None:
        with self._room(wave_id, seat, held=held):
            wave = self.centre.wave(wave_id)
            place = wave.place(seat)
            if place is None or wave.state is not WaveState.OPEN or not place.working:
                return
            changed = place.credited(credit)
            if changed != place:
                self.centre.store.save(
                    Entry(
                        "seat.credit", wave_id, seat, {"kind": credit.kind.value, "since": credit.began_at.isoformat()}
                    ),
                    waves=[wave.with_places(changed)],
                )

    def _settle(self, wave_id: str, seat: int, *kinds: CreditKind) -> None:
        with suppress(Busy), self._room(wave_id, seat):
            wave = self.centre.wave(wave_id)
            place = wave.place(seat)
            if place is None or wave.state is not WaveState.OPEN:
                return
            changed = place.settled(self.centre.clock.now(), *kinds)
            if changed != place:
                end = changed.ends_at
                self.centre.store.save(
                    Entry("seat.credited", wave_id, seat, {"until": end.isoformat() if end else None}),
                    waves=[wave.with_places(changed)],
                )

    @contextmanager
    def _room(self, wave_id: str, seat: int, *, held: bool = False) -> Iterator[None]:
        if held:
            yield
            return
        with self.centre.locks.room(self.centre.wave(wave_id).room, f"seat time {seat}", patient=False):
            yield

    # What is desired

    def _working(self) -> list[tuple[Wave, Place, Environment | None]]:
        """Every place where a candidate works now, with its environment."""
        by_name = {item.name: item for item in self.centre.store.environments()}
        return [(wave, place, by_name.get(place.environment or "")) for wave, place in self.centre.working()]

    def _is_still(self, wave_id: str, seat: int, environment: str) -> bool:
        place = self.centre.wave(wave_id).place(seat)
        return place is not None and place.working and place.environment == environment

    # In the background, one thing at a time

    def work(self) -> list[E5BError]:
        """Do the one most urgent thing that is to be done; what has no place in an exam's second waits here. What could
        not be done."""
        faults: list[E5BError] = []
        for job in (self._take_away, self._take_point, self._prune, self._make_standby):
            with _collected(faults):
                if job():
                    break
        return faults

    def _is_put_off(self, what: str) -> bool:
        return time.monotonic() < self.put_off.get(what, 0.0)

    @contextmanager
    def _tried_again_later(self, what: str) -> Iterator[None]:
        try:
            yield
        except Busy:
            raise
        except E5BError:
            self.put_off[what] = time.monotonic() + RETRY
            raise

    def _take_away(self) -> bool:
        centre = self.centre
        rooms = {seat.number: room.name for room in centre.settings.rooms for seat in room.seats}
        for item in centre.store.environments():
            left = item.role in {EnvironmentRole.RETIRED, EnvironmentRole.NEXT}
            if not left or item.seat not in rooms or self._is_put_off(item.name):
                continue
            with (
                suppress(Busy),
                self._tried_again_later(item.name),
                centre.locks.room(rooms[item.seat], f"seat tidy {item.seat}", patient=False),
            ):
                now = next(other for other in centre.store.environments() if other.name == item.name)
                if now.role is EnvironmentRole.NEXT:
                    # Its command was killed: whoever makes one holds the lock that we hold.
                    now = replace(now, role=EnvironmentRole.RETIRED)
                    centre.store.save(environments=[now])
                if now.role is not EnvironmentRole.RETIRED:
                    continue
                seal_left_behind(centre, now)
                if remove(centre, [now], _("Removing the old environments")):
                    self.put_off[item.name] = time.monotonic() + RETRY
                    continue
                return True
        return False

    def _take_point(self) -> bool:
        centre = self.centre
        for wave, seat in due_points(centre):
            about = f"{wave.id} {seat}"
            if self._is_put_off(about):
                continue
            try:
                with (
                    self._tried_again_later(about),
                    centre.locks.room(wave.room, f"point take {seat}", patient=False),
                ):
                    take_now(centre, wave.id, seat, PointKind.SCHEDULED)
            except Busy:
                continue
            except NoSpace as error:
                self.alarm(AlarmKind.POINTS, None, wave.id, error.message)
                return False
            clear_alarm(centre, AlarmKind.POINTS, None)
            return True
        return False

    def _prune(self) -> bool:
        return bool(prune_points(self.centre))

    def _make_standby(self) -> bool:
        if time.monotonic() < self.standby_at:
            return False
        self.standby_at = time.monotonic() + RETRY
        made = make_standby(self.centre)
        self.standby_at = time.monotonic() + (LOOK if made is None else 0.0)
        return made is not None


@contextmanager
def _collected(faults: list[E5BError]) -> Iterator[None]:
    """One seat's fault does not keep the others from being looked after; a room where somebody works is looked at
    again."""
    try:
        yield
    except Busy:
        pass
    except E5BError as error:
        faults.append(error)


def run(
    centre: Centre,
    tell: Told,
    report: Callable[[E5BError], None],
    stopped: Callable[[float], bool],
    unexpected: Callable[[Exception], E5BError],
) -> None:
    """Supervise until *stopped* (called with the seconds to wait) is true. A fault is said once every RETRY seconds;
    *unexpected* makes one of an exception that nobody foresaw.

    Raises Busy when the centre is supervised already.
    """
    said: dict[str, float] = {}

    def is_news(fault: str) -> bool:
        if time.monotonic() < said.get(fault, 0.0):
            return False
        said[fault] = time.monotonic() + RETRY
        return True

    def attempt(what: Callable[[], Sequence[E5BError] | None]) -> bool:
        """Whether there was a fault; it is said."""
        faults: list[E5BError] = []
        try:
            with _collected(faults):
                faults += what() or ()
        except Exception as error:
            # A fault of the program's own in one job: the candidates' time and sites are looked after all the same.
            if is_news(repr(error)):
                report(unexpected(error))
            return True
        for fault in faults:
            if is_news(fault.message):
                report(fault)
        return bool(faults)

    def note() -> None:
        centre.follow_clock()
        centre.clock.note()

    def seal() -> list[E5BError]:
        faults = seal_closed(centre, tell)
        for fault in faults:
            supervisor.alarm(AlarmKind.EVIDENCE, None, None, fault.message)
        if not faults:
            clear_alarm(centre, AlarmKind.EVIDENCE, None)
        return faults

    supervisor = Supervisor(centre, tell)
    with (
        centre.locks.supervisor(),
        ThreadPoolExecutor(20, thread_name_prefix="look") as lookers,
        # Sealing takes its time, and what cannot be sealed is tried again: meanwhile other seats are looked after.
        ThreadPoolExecutor(5, thread_name_prefix="background") as background,
    ):
        attempt(supervisor.resume)
        # What, how often, and how soon again after a fault.
        jobs: dict[str, tuple[Callable[[], Sequence[E5BError] | None], float, float]] = {
            "look": (lambda: supervisor.look(lookers), LOOK, LOOK),
            "machine": (supervisor.look_at_machine, DISK_INTERVAL, DISK_INTERVAL),
            "guard": (supervisor.look_at_guard, LOOK, LOOK),
            "work": (supervisor.work, INTERVAL, INTERVAL),
            "seal": (seal, INTERVAL, RETRY),
        }
        running: dict[str, Future[bool]] = {}
        due = dict.fromkeys(jobs, 0.0)
        note_at = 0.0
        while True:
            if time.monotonic() >= note_at:
                note_at = time.monotonic() + NOTE
                attempt(note)
            attempt(lambda: shut_due(centre, tell))
            for name, (job, interval, again) in jobs.items():
                if name in running and running[name].done():
                    due[name] = time.monotonic() + (again if running.pop(name).result() else interval)
                if name not in running and time.monotonic() >= due[name]:
                    running[name] = background.submit(attempt, job)
            if stopped(INTERVAL):
                return

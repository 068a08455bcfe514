"""The guard: which seats it locks, by the waves and by hand, and the policy that it serves."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.exam import Wave
from orchestrator.domain.guard import Category, Policy, Rule
from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.locks import Override
from orchestrator.errors import E5BError, EnvironmentFailed, NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry, Guard, GuardState
from orchestrator.services.centre import PROBE, Centre
from orchestrator.services.guard_log import tried_in
from orchestrator.services.guard_policy import read_policy


def guard_of(centre: Centre) -> Guard:
    """Raises Refused where the network is somebody else's."""
    if centre.guard is None:
        raise no_guard()
    return centre.guard


def no_guard() -> Refused:
    return Refused(
        _("This centre has no guard: its seats' network is somebody else's."),
        hint=_("guard.mode in centre.toml turns it on."),
    )


def _read(centre: Centre) -> Policy:
    """What the lists say now. Raises InputInvalid, SignatureInvalid."""
    if centre.policy_files is None:
        raise no_guard()
    return read_policy(centre.policy_files, centre.settings)[0]


def was_green_today(centre: Centre) -> bool:
    """Whether the last probe of this day found what it should, under the policy that is in force."""
    last = centre.store.last("guard.probed")
    if last is None or last.data.get("policy") != centre.store.policy_version():
        return False
    today = centre.clock.now().astimezone().date()
    return last.at.astimezone().date() == today and last.data.get("green") is True


# What is locked


def start(centre: Centre) -> bool:
    """The guard runs as it was last put in place; True when it had to be started or repaired. It then locks every seat,
    until Centre.serve unlocks those that need not be: so nobody who opens or shuts a seat has to wait for it.

    Raises Refused, Conflict, EnvironmentFailed, EngineUnavailable; InputInvalid when nothing was put in place yet and
    the lists cannot be read.
    """
    guard = guard_of(centre)
    state = guard.state()
    if state is not None and is_whole(state) and state.version == centre.store.policy_version():
        return False
    # What was put in place last, not what somebody has changed in a file since.
    stored = centre.store.policy()
    if stored is None:
        _put_in_place(centre, guard, _read(centre), centre.settings.seats)
        return True
    guard.ensure(stored, centre.settings.seats)
    centre.store.save(Entry("guard.started", data={"policy": stored.version}))
    return True


def is_whole(state: GuardState) -> bool:
    """Whether each of its engines runs."""
    return all(state.engines.values())


@contextmanager
def opening(centre: Centre, changed: Wave, seats: Collection[int]) -> Iterator[None]:
    """What is inside stores *changed*, which opens *seats*: they are locked before. The centre's lock is held.

    Raises EnvironmentFailed when they cannot be locked: what is inside is not done then.
    """
    guard = centre.guard
    if guard is None or not centre.locked(changed) & set(seats):
        with centre.locks.centre():
            yield
        return
    with ExitStack() as stack:
        try:
            start(centre)
            stack.enter_context(centre.locks.centre())
            centre.hold(guard, centre.locked(changed))
        except E5BError as error:
            raise EnvironmentFailed(
                _("The guard cannot lock the seats, so nothing was opened: {how}").format(how=error.message),
                hint=_(
                    "`e5b guard status` says more. To open all the same: `e5b wave open --without-guard REASON`; one "
                    "seat: `e5b guard off SEAT --reason REASON`."
                ),
                details=error.details,
            ) from error
        yield


# By hand


@dataclass(frozen=True)
class Switched:
    """The *seats* that a command locked or unlocked; *excepted* are those of them where a candidate works, in spite of
    their wave."""

    seats: tuple[int, ...]
    excepted: tuple[int, ...] = ()


def switch_on(centre: Centre, seats: Collection[int] = ()) -> Switched:
    """Lock *seats*, or all of the centre, until :func:`switch_off`. Where a candidate works, an exception is taken back
    instead: their wave locks the seat.

    Raises NotFound, Refused without a guard, EnvironmentFailed when the guard does not confirm it: it is stored all the
    same, and the supervisor tries again.
    """
    guard_of(centre)
    named = _named(centre, seats)
    with centre.locks.centre():
        working = _working(centre)
        now = centre.clock.now()
        centre.store.save(
            Entry("guard.on", data={"seats": list(named)}),
            overrides={seat: None if seat in working else Override(seat, True, now) for seat in named},
        )
    start(centre)
    _settle(centre)
    return Switched(named)


def switch_off(centre: Centre, seats: Collection[int] = (), reason: str = "") -> Switched:
    """Unlock *seats*, or all of the centre. Where a candidate works, only with a *reason*, and only until their wave is
    over.

    Raises NotFound, Refused without a guard or where a candidate works and no reason is given, EnvironmentFailed when
    the guard does not confirm it.
    """
    guard_of(centre)
    named = _named(centre, seats)
    with centre.locks.centre():
        working, waves = _working(centre), _opened(centre)
        at_work = [seat for seat in named if seat in working]
        if at_work and not reason.strip():
            raise Refused(
                _("Candidates work at these seats: they stay locked."),
                hint=_("To unlock one all the same, give the reason: `e5b guard off SEAT --reason REASON`."),
                details=[
                    _("seat {seat:02d}: wave {wave}").format(seat=seat, wave=working[seat].id) for seat in at_work
                ],
            )
        # One that is shut may be given more time: it opens without being locked then.
        excepted = tuple(seat for seat in named if seat in waves) if reason.strip() else ()
        now = centre.clock.now()
        centre.store.save(
            Entry("guard.off", data={"seats": list(named), "reason": reason} if reason else {"seats": list(named)}),
            *(Entry("guard.excepted", waves[seat].id, seat, {"reason": reason}) for seat in excepted),
            overrides={
                seat: Override(seat, False, now, reason, waves[seat].id) if seat in excepted else None for seat in named
            },
        )
    with suppress(E5BError):
        start(centre)
    # It also opens the seats that waited for nothing but this.
    _settle(centre)
    return Switched(named, excepted)


def _settle(centre: Centre) -> None:
    """Lock and unlock what has to be. Raises EnvironmentFailed when the guard does not confirm it."""
    centre.serve()
    state = guard_of(centre).state()
    if state is None or state.locked - {PROBE} != centre.locked():
        raise EnvironmentFailed(
            _("The guard does not confirm which seats are locked."),
            hint=_("It is stored, and holds as soon as the guard runs: `e5b guard status` says what is wrong."),
        )


def off_preview(centre: Centre, seats: Collection[int] = ()) -> Switched:
    """What :func:`switch_off` would unlock, and the seats of it for which it needs a reason; nothing is done."""
    guard_of(centre)
    named = _named(centre, seats)
    working = _working(centre)
    return Switched(named, tuple(seat for seat in named if seat in working))


def exceptions(centre: Centre, wave: Wave, reason: str) -> dict[int, Override | None]:
    """What is to be stored so that no seat of *wave* is locked in it."""
    now = centre.clock.now()
    return {place.seat: Override(place.seat, False, now, reason, wave.id) for place in wave.places if place.taking_part}


def _opened(centre: Centre) -> dict[int, Wave]:
    """The wave of each seat that was opened in a wave that is open, or being opened."""
    return {
        place.seat: wave
        for wave in centre.store.waves()
        if wave.state in {WaveState.PREPARED, WaveState.OPEN}
        for place in wave.places
        if place.taking_part and place.opened_at is not None
    }


def _working(centre: Centre) -> dict[int, Wave]:
    """The wave of each seat where a candidate works now, or is let in."""
    places = ((seat, wave, wave.place(seat)) for seat, wave in _opened(centre).items())
    return {seat: wave for seat, wave, place in places if place is not None and place.working}


def _named(centre: Centre, seats: Collection[int]) -> tuple[int, ...]:
    known = centre.settings.seats
    for seat in seats:
        if seat not in known:
            raise NotFound(_("There is no seat {seat} in centre.toml.").format(seat=seat))
    return tuple(sorted(set(seats) or known))


# The policy


@dataclass(frozen=True)
class PolicyChange:
    """What putting the lists in place changes: names that are *added* or *removed*, and those whose rule is another.
    *started* says that the guard did not run."""

    version: str
    names: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    only_allowed: bool
    started: bool = False

    @property
    def empty(self) -> bool:
        return not (self.added or self.removed or self.changed)


def apply_preview(centre: Centre) -> PolicyChange:
    """What :func:`apply` would change. Raises InputInvalid when the lists cannot be used."""
    guard_of(centre)
    return _change(centre.store.policy(), _read(centre))


def apply(centre: Centre) -> PolicyChange:
    """Read the lists anew and put them in place; start the guard if it does not run. No connection that stays allowed
    is lost.

    Raises InputInvalid when the lists cannot be used, Refused when an engine's own checker refuses them, Conflict,
    EnvironmentFailed: the former policy stays.
    """
    guard = guard_of(centre)
    policy = _read(centre)
    state = guard.state()
    if state is None:
        change = replace(_put_in_place(centre, guard, policy, centre.settings.seats), started=True)
    else:
        with centre.locks.centre():
            change = _put_in_place(centre, guard, policy, centre.locked() | state.locked)
    centre.serve()
    return change


def _put_in_place(centre: Centre, guard: Guard, policy: Policy, locked: Collection[int]) -> PolicyChange:
    """*locked* are those that must not be unlocked by it."""
    change = _change(centre.store.policy(), policy)
    guard.ensure(policy, locked)
    # Only now: what the checkers refuse is not what is desired. Killed before this, the supervisor brings the former
    # one back, and the command is run again.
    centre.store.save(
        Entry(
            "guard.applied",
            data={
                "policy": policy.version,
                "names": len(policy.rules),
                "added": len(change.added),
                "removed": len(change.removed),
                "changed": len(change.changed),
                "only_allowed": policy.only_allowed,
            },
        ),
        policy=policy,
    )
    return change


def _change(former: Policy | None, policy: Policy) -> PolicyChange:
    old = former.rules if former else {}
    new = policy.rules
    return PolicyChange(
        version=policy.version,
        names=len(new),
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in new.keys() & old.keys() if _verdict(new[name]) != _verdict(old[name]))),
        only_allowed=policy.only_allowed,
    )


def _verdict(rule: Rule) -> tuple[bool, Category | None]:
    return rule.blocked, rule.category


# What is shown


class Why(StrEnum):
    """Why a seat is locked, or not locked although a candidate works there."""

    WAVE = "wave"
    HAND = "hand"
    EXCEPTED = "excepted"


@dataclass(frozen=True)
class SeatGuard:
    """*desired* is what is stored, *locked* what the running guard does (None when it does not run). *reason* is that
    of an exception; *tried* counts what was refused in *wave*."""

    seat: int
    desired: bool
    locked: bool | None
    why: Why | None
    wave: str | None
    reason: str
    tried: int


@dataclass(frozen=True)
class GuardStatus:
    """*policy* is the version that was put in place last, of *names* rules; None before the first time. *state* is None
    when the guard does not run. *probed* says whether a probe was green today."""

    mode: str
    state: GuardState | None
    policy: str | None
    applied_at: datetime | None
    names: int | None
    seats: tuple[SeatGuard, ...]
    probed: bool


def guard_status(centre: Centre) -> GuardStatus:
    """Raises Refused without a guard."""
    state = guard_of(centre).state()
    applied = centre.store.last("guard.applied")
    desired = centre.locked()
    overrides = {item.seat: item for item in centre.store.overrides()}
    working = _working(centre)
    counts = tried_in(centre, {wave.id for wave in working.values()})
    seats = []
    for seat in sorted(centre.settings.seats):
        wave, override = working.get(seat), overrides.get(seat)
        excepted = wave is not None and override is not None and not override.locked and override.wave == wave.id
        by_hand = override is not None and override.locked
        why = Why.EXCEPTED if excepted else Why.HAND if by_hand else Why.WAVE if wave is not None else None
        seats.append(
            SeatGuard(
                seat=seat,
                desired=seat in desired,
                locked=None if state is None else seat in state.locked,
                why=why,
                wave=wave.id if wave else None,
                reason=override.reason if override is not None and excepted else "",
                tried=counts.get((wave.id, seat), 0) if wave else 0,
            )
        )
    return GuardStatus(
        mode=centre.settings.guard.mode,
        state=state,
        policy=centre.store.policy_version(),
        applied_at=applied.at if applied else None,
        names=applied.data["names"] if applied else None,
        seats=tuple(seats),
        probed=was_green_today(centre),
    )

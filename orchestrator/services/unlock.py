"""Unlock the half-day's subject: the jury has its documents at once, the environments their fixtures, the candidates
nothing before their wave is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.domain.bank import Role, SealedBank, SealedEntry, Unlocked
from orchestrator.domain.lifecycle import Action, WaveState
from orchestrator.domain.subject import SubjectRecord, current, key_of
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import E5BError, NotFound, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry, SealedBanks
from orchestrator.services.centre import Centre
from orchestrator.services.prepare import Report, prepare
from orchestrator.services.subject_end import remove_over
from orchestrator.services.subjects import is_given

FREE_TRIES = 3
"""Wrong codes in a row before there is a delay."""

FIRST_DELAY = timedelta(seconds=30)
"""It doubles with each wrong code more."""

LONGEST_DELAY = timedelta(minutes=10)
"""To try all codes at that pace takes hundreds of millions of years; a person who has the right one at last must not
wait longer than candidates can."""

NOON = 12


@dataclass(frozen=True)
class Foreseen:
    """The sealed subject that could be unlocked now. *record* is that of an earlier unlocking; *here* says that its
    clear text is still in memory, *permitted* that it is the hour for it; *zone_time* is that on the wall."""

    entry: SealedEntry
    record: SubjectRecord | None
    here: bool
    permitted: bool
    zone_time: datetime

    @property
    def needs_confirmation(self) -> bool:
        """An unlocking outside the permitted hours; not the one that a reboot makes necessary again."""
        return not self.permitted and self.record is None


@dataclass(frozen=True)
class UnlockReport:
    """*waves* are the prepared ones that were proved again with the fixtures, *faults* what could not be done of it."""

    record: SubjectRecord
    waves: tuple[Report, ...]
    faults: tuple[str, ...]


def loaded_bank(centre: Centre) -> SealedBank:
    """Raises NotFound when no bank is loaded."""
    bank = centre.store.bank()
    if bank is None:
        raise NotFound(
            _("No national bank is loaded in this centre."), hint=_("Load the one that was received: `e5b bank load`.")
        )
    return bank


def current_half_day(centre: Centre, bank: SealedBank) -> SealedEntry | None:
    """The subject of the half-day that it is now, by the exam's clock and the centre's zone: today's first that is not
    over; an afternoon's from noon on, or from its permitted hours on if they begin earlier."""
    zone = centre.settings.centre.zone
    now = centre.clock.now()
    local = now.astimezone(zone.timezone)
    noon = local.replace(hour=NOON, minute=0, second=0, microsecond=0)
    for entry in sorted(bank.entries, key=lambda item: item.half_day):
        if (entry.zone, entry.role) != (zone, Role.SUBJECT) or entry.half_day[:10] != local.date().isoformat():
            continue
        begins = min(noon, entry.window.unlock_from) if entry.half_day.endswith("pm") else now
        if not entry.window.over(now) and begins <= now:
            return entry
    return None


def foreseen(centre: Centre, half_day: str | None = None, role: Role | None = None) -> Foreseen:
    """What can be unlocked now: without a *role*, what a reboot has taken from memory, or the half-day's subject.
    Raises NotFound when no bank is loaded, Refused for another half-day than the present one, and for one that is
    over."""
    bank = loaded_bank(centre)
    centre.follow_clock()
    zone, now = centre.settings.centre.zone, centre.clock.now()
    found = current_half_day(centre, bank)
    wanted = found if half_day is None else bank.entry(half_day, zone)
    if half_day is not None and wanted is None:
        raise Refused(
            _("The national calendar has no subject for {half_day}.").format(half_day=half_day),
            hint=_("`e5b subject status` shows the half-days."),
        )
    if wanted is not None and wanted.window.over(now):
        raise Refused(
            _("The half-day {half_day} is over: its subject is not unlocked any more.").format(
                half_day=wanted.half_day
            ),
            hint=_("`e5b subject status` shows the half-days."),
        )
    if wanted is None or found is None or wanted.half_day != found.half_day:
        raise Refused(
            _("It is not the half-day of that subject: {half_day}.").format(half_day=wanted.half_day)
            if wanted is not None
            else _("No subject is foreseen for now ({now}).").format(
                now=now.astimezone(zone.timezone).strftime("%Y-%m-%d %H:%M")
            ),
            hint=_("`e5b subject status` shows the half-days and their hours."),
        )
    entry = bank.entry(found.half_day, zone, role or _needed(centre, found.half_day))
    if entry is None:
        raise Refused(_("The bank has no spare subject for {half_day}.").format(half_day=found.half_day))
    record = next((item for item in centre.store.subjects() if item.key == key_of(entry)), None)
    return Foreseen(
        entry=entry,
        record=record,
        here=record is not None and record.key in centre.clear_text.here(),
        permitted=entry.window.permits(now),
        zone_time=now.astimezone(zone.timezone),
    )


def _needed(centre: Centre, half_day: str) -> Role:
    records, here = centre.store.subjects(), centre.clear_text.here()
    given = {wave.subject for wave in centre.store.waves() if is_given(wave)}
    now = current(records, half_day)
    wanted = [item for item in records if item.half_day == half_day and (item == now or item.key in given)]
    gone = [item for item in wanted if item.key not in here]
    return (gone or wanted)[-1].role if wanted else Role.SUBJECT


def check_delay(centre: Centre) -> None:
    """Raises Refused while wrong codes are to be followed by a delay. It is counted in the journal, and so survives
    whatever is restarted."""
    wrong: list[datetime] = []
    for line in centre.store.journal():
        if line.action == "subject.wrong_code":
            wrong.append(line.at)
        elif line.action == "subject.unlocked":
            wrong.clear()
    if len(wrong) < FREE_TRIES:
        return
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (len(wrong) - FREE_TRIES))
    left = wrong[-1] + delay - centre.clock.now()
    if left > timedelta():
        raise Refused(
            _("{count} wrong codes in a row: the next try is possible in {seconds} s.").format(
                count=len(wrong), seconds=int(left.total_seconds()) + 1
            ),
            hint=_("Read the letter again, and its half-day. If the code is lost, call the academy."),
        )


def unlock(
    centre: Centre, banks: SealedBanks, what: Foreseen, code: UnlockCode | None, *, reason: str | None = None
) -> UnlockReport:
    """Unlock *what* with *code* (not needed where its clear text is still in memory), show the jury its documents, and
    prepare the waves again that are prepared. *reason* is given for a spare. The caller has seen to the confirmation.

    A run that was interrupted is finished by the same command. Raises Refused for a wrong code, within a delay, and
    when the machine has no place in memory; SignatureInvalid when the loaded file is not as it was.
    """
    with centre.locks.subject():
        # A place first: a code is not asked for nothing.
        centre.clear_text.check()
        remove_over(centre)
        record = what.record
        if record is None or not what.here:
            check_delay(centre)
            if code is None:
                raise Refused(_("The subject is sealed: its code is needed."))
            record = _opened(centre, banks, what, code, reason)
        centre.serve()
    waves, faults = _apply(centre, record)
    return UnlockReport(record, tuple(waves), tuple(faults))


def _opened(centre: Centre, banks: SealedBanks, what: Foreseen, code: UnlockCode, reason: str | None) -> SubjectRecord:
    entry = what.entry
    content = banks.unlock(centre.settings.bank_file, entry, code)
    about = {"half_day": entry.half_day, "role": entry.role.value}
    if content is None:
        centre.store.save(Entry("subject.wrong_code", data=about))
        raise Refused(
            _("This is not the code of the subject of {half_day}.").format(half_day=entry.half_day),
            hint=_("It is written without a mistake: it is another half-day's, or one of two codes (--second-code)."),
        )
    record = what.record or _record(centre, entry, content, reason)
    centre.store.save(
        Entry(
            "subject.unlocked",
            data={
                **about,
                "key": record.key,
                "permitted_hours": what.permitted,
                **({"again": True} if what.record is not None else {}),
                **({"reason": reason} if reason is not None else {}),
            },
        ),
        subjects=[record],
    )
    centre.clear_text.put(record.key, entry.half_day, content)
    return record


def _record(centre: Centre, entry: SealedEntry, content: Unlocked, reason: str | None) -> SubjectRecord:
    return SubjectRecord(
        key=key_of(entry),
        half_day=entry.half_day,
        role=entry.role,
        site=entry.site,
        fixtures=content.fixtures is not None,
        ends_at=entry.window.ends_at,
        unlocked_at=centre.clock.now(),
        reason=reason,
    )


def _apply(centre: Centre, record: SubjectRecord) -> tuple[list[Report], list[str]]:
    """Prepare every wave of the half-day again that is prepared: fixtures are put in, fingerprints proved."""
    reports, faults = [], []
    if current(centre.store.subjects(), record.half_day) != record:
        return [], []
    for wave in centre.store.waves():
        if wave.half_day != record.half_day or wave.state is not WaveState.PREPARED or wave.intent == Action.OPEN:
            continue
        try:
            report = prepare(centre, wave.id)
        except E5BError as error:
            faults.append(f"{wave.id}: {error.message}")
            continue
        reports.append(report)
        faults += [f"{wave.id}: " + _seat(item.seat, item.fault) for item in report.faults]
    return reports, faults


def _seat(seat: int, how: str | None) -> str:
    return _("seat {seat:02d}: {how}").format(seat=seat, how=how or "")


@dataclass(frozen=True)
class HalfDayStatus:
    """A half-day of the centre's zone. *state* is ``sealed``, ``unlocked``, ``gone`` (unlocked, and a reboot has taken
    it from memory) or ``over``; *spare* says that it has switched to its spare, for *reason*."""

    half_day: str
    site: str
    unlock_from: datetime
    enter: datetime
    leave: datetime
    ends_at: datetime
    state: str
    spare: bool
    reason: str | None


def subject_status(centre: Centre) -> list[HalfDayStatus]:
    """Raises NotFound when no bank is loaded."""
    bank, zone, now = loaded_bank(centre), centre.settings.centre.zone, centre.clock.now()
    records, here = centre.store.subjects(), centre.clear_text.here()
    found = []
    for entry in sorted(bank.entries, key=lambda item: item.half_day):
        if (entry.zone, entry.role) != (zone, Role.SUBJECT):
            continue
        record = current(records, entry.half_day)
        window = entry.window
        found.append(
            HalfDayStatus(
                half_day=entry.half_day,
                site=entry.site.value,
                unlock_from=window.unlock_from,
                enter=window.enter,
                leave=window.leave,
                ends_at=window.ends_at,
                state=_state(record, here, over=window.over(now)),
                spare=record is not None and record.role is Role.SPARE,
                reason=None if record is None else record.reason,
            )
        )
    return found


def _state(record: SubjectRecord | None, here: Sequence[str], *, over: bool) -> str:
    if record is not None and record.key in here:
        return "unlocked"
    if over:
        return "over"
    return "sealed" if record is None else "gone"

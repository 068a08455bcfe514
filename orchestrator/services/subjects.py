"""The subject of a half-day in this centre: which one it is, whether it is here in clear, and its end."""

from dataclasses import replace

from orchestrator.domain.exam import Environment, EnvironmentRole, Wave
from orchestrator.domain.lifecycle import Action, WaveState
from orchestrator.domain.subject import SubjectRecord, current, subject_of
from orchestrator.errors import Busy, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre


def begins_with(centre: Centre, wave: Wave) -> str | None:
    """The subject whose fixtures a new environment of *wave* has besides the reference; None for none.

    Before the unlocking, or when a reboot has taken the clear text away, the next candidates' environments have none:
    it is put into them at the (next) unlocking, and until then the wave is not opened.
    """
    records = centre.store.subjects()
    record = subject_of(wave, records) if records else None
    if record is None or (not is_given(wave) and record.key not in centre.clear_text.here()):
        return None
    return record.begins_with


def is_given(wave: Wave) -> bool:
    """Whether candidates work on the wave's subject now."""
    return wave.subject is not None and (wave.state is WaveState.OPEN or wave.intent == Action.OPEN)


def check_site(centre: Centre, wave: Wave) -> None:
    """Raises Refused when the national calendar has a subject for another site, or none, for the wave's half-day; never
    in a centre without a bank."""
    bank = centre.store.bank()
    if bank is None:
        return
    entry = bank.entry(wave.half_day, centre.settings.centre.zone)
    if entry is None:
        raise Refused(
            _("The national calendar has no subject for {half_day}.").format(half_day=wave.half_day),
            hint=_("`e5b subject status` shows the half-days. For a rehearsal, load a bank made for it."),
        )
    if entry.site is not wave.site:
        raise Refused(
            _("The subject of {half_day} is for {subject}; wave {wave} is on {site}.").format(
                half_day=wave.half_day, subject=entry.site.value, wave=wave.id, site=wave.site.value
            ),
            hint=_("Plan the wave again with --site {site}.").format(site=entry.site.value),
        )


def subject_to_give(centre: Centre, wave: Wave) -> SubjectRecord | None:
    """The subject that the wave's candidates get when it is opened now; None in a centre without a bank. Raises Refused
    when it is not for the wave's site, or not unlocked."""
    if centre.store.bank() is None:
        return None
    check_site(centre, wave)
    record = current(centre.store.subjects(), wave.half_day)
    if record is None or record.key not in centre.clear_text.here():
        raise Refused(
            _("The subject of {half_day} is not unlocked: the wave was not opened.").format(half_day=wave.half_day),
            hint=_("Unlock it: `e5b subject unlock`."),
        )
    return record


def check_here(centre: Centre, wave: Wave) -> None:
    """Raises Refused when the subject that the wave was given is not in memory any more."""
    if wave.subject is not None and wave.subject not in centre.clear_text.here():
        raise Refused(
            _("The subject of wave {wave} is not in this machine's memory any more.").format(wave=wave.id),
            hint=_("Unlock it again: `e5b subject unlock`, with the same code."),
        )


def remove_over(centre: Centre) -> list[SubjectRecord]:
    """Remove the clear text of every half-day that is over, and the environments that nobody has worked in and that
    have its fixtures; the subjects that were removed now. A subject that candidates still work on stays until they have
    ended. Can be run at any time, by anybody.
    """
    now = centre.clock.now()
    records = centre.store.subjects()
    given = {wave.subject for wave in centre.store.waves() if is_given(wave)}
    over = [item for item in records if item.removed_at is None and item.ends_at <= now and item.key not in given]
    staying = {item.key for item in records if item.removed_at is None} - {item.key for item in over}
    unwanted = [key for key in centre.clear_text.here() if key not in staying]
    if unwanted:
        centre.clear_text.remove(unwanted)
    if over:
        removed = [replace(item, removed_at=now) for item in over]
        centre.store.save(
            *(
                Entry("subject.removed", data={"half_day": item.half_day, "role": item.role.value, "key": item.key})
                for item in removed
            ),
            subjects=removed,
        )
    _retire(centre, {item.key for item in records} - staying)
    return over


def _retire(centre: Centre, keys: set[str]) -> None:
    """Retire the environments that begin with a subject that is over."""

    def stale() -> list[Environment]:
        return [
            item
            for item in centre.store.environments()
            if item.subject in keys
            and not item.touched
            and item.role in {EnvironmentRole.ACTIVE, EnvironmentRole.STANDBY}
        ]

    seats = {item.seat for item in stale()}
    for room in centre.settings.rooms:
        if seats & {seat.number for seat in room.seats}:
            try:
                with centre.locks.room(room.name, "subject removed", patient=False), centre.locks.centre():
                    mine = [item for item in stale() if item.seat in {seat.number for seat in room.seats}]
                    centre.store.save(environments=[replace(item, role=EnvironmentRole.RETIRED) for item in mine])
            except Busy:
                # Somebody works there: at the next look.
                continue

"""The subject of a half-day in this centre: which one it is, and whether it is here in clear."""

from orchestrator.domain.exam import Wave
from orchestrator.domain.lifecycle import Action, WaveState
from orchestrator.domain.subject import SubjectRecord, current, subject_of
from orchestrator.errors import Refused
from orchestrator.i18n import _
from orchestrator.services.centre import Centre, next_step


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


def next_step_here(centre: Centre, wave: Wave) -> str:
    """What comes next in the wave's life, in this centre: before the opening, its subject is unlocked."""
    if wave.state is WaveState.PREPARED:
        try:
            subject_to_give(centre, wave)
        except Refused as refused:
            return refused.hint or refused.message
    return next_step(wave)


def check_here(centre: Centre, wave: Wave) -> None:
    """Raises Refused when the subject that the wave was given is not in memory any more."""
    if wave.subject is not None and wave.subject not in centre.clear_text.here():
        raise Refused(
            _("The subject of wave {wave} is not in this machine's memory any more.").format(wave=wave.id),
            hint=_("Unlock it again: `e5b subject unlock`, with the same code."),
        )

"""Does a bank keep its rules? Every fault at once, then the fixtures in real environments."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain import naming
from orchestrator.domain.bank import (
    GROUP,
    MINUTES,
    TO_WRITE,
    Bank,
    BankFault,
    BankFinding,
    Finding,
    Subject,
    findings_of,
)
from orchestrator.domain.calendar import CalendarFault, CalendarFinding, Zone
from orchestrator.domain.exam import Site
from orchestrator.domain.fingerprint import Fingerprint, differences
from orchestrator.errors import EnvironmentFailed
from orchestrator.i18n import N_, _
from orchestrator.ports import Aside, BankFiles, Engine, Progress

READY = 120.0
"""Seconds."""

ZONES = {
    Zone.METROPOLE: N_("metropolitan France"),
    Zone.REUNION: N_("Réunion"),
    Zone.MAYOTTE: N_("Mayotte"),
}

_SENTENCES = {
    BankFault.UNREADABLE: N_("{where}: {what}"),
    BankFault.NOT_BALANCED: N_("as many WordPress as PrestaShop subjects are needed ({what})"),
    BankFault.DURATION: N_("{where}: a duration of {what} minutes; the exam's is {minutes}"),
    BankFault.NO_COMPETENCE: N_("{where}: no competence is named"),
    BankFault.DOCUMENT_MISSING: N_("{where}: {what} is missing or empty"),
    BankFault.CRITERION_MISSING: N_("{where}: the evaluation sheet lacks the criterion “{what}”"),
    BankFault.GRID_TOO_SMALL: N_("{where}: the observation grid has no table for {group} candidates"),
    BankFault.PICTURE_MISSING: N_("{where}: the picture {what} is missing"),
    BankFault.PICTURE_ELSEWHERE: N_("{where}: the picture {what} is not in the subject's own folder"),
    BankFault.FIXTURE_UNKNOWN: N_("{where}: fixtures/{what} is nothing that an image can apply"),
    BankFault.TO_BE_WRITTEN: N_("{where}: {what} still says “{to_write}”"),
    BankFault.UNKNOWN_SUBJECT: N_("{where}: there is no subject {what}"),
    BankFault.SPARE_SITE: N_("{where}: the spare {what} is for another site than the subject"),
    CalendarFault.NO_HALF_DAY: N_("the calendar has no half-day"),
    CalendarFault.LISTED_TWICE: N_("{where}: this half-day is listed twice; it has exactly one subject"),
    CalendarFault.HOURS: N_("hours.{where}: unlock, enter and end are not in this order"),
    CalendarFault.USED_TWICE: N_("the subject {where} is used twice in the calendar"),
    CalendarFault.HELD_TOO_LONG: N_(
        "{where}, {zone}: candidates would be held {held} minutes until all zones have entered; this zone needs a "
        "subject of its own, or other hours"
    ),
    CalendarFault.OVER_BEFORE_LEAVING: N_(
        "{where}, {zone}: the half-day is over before all zones have entered; this zone needs a subject of its own"
    ),
    CalendarFault.ZONE_UNUSED: N_("{where}: {zone} has a subject of its own and is not among the calendar's zones"),
}


@dataclass(frozen=True)
class Checked:
    """*faults* are sentences. *applied* are the subjects whose fixtures were applied to a real environment."""

    bank: Bank
    faults: tuple[str, ...]
    applied: tuple[str, ...] = ()


def check(
    files: BankFiles, folder: Path, progress: Progress, engine: Engine | None, images: dict[Site, str]
) -> Checked:
    """Check the bank in *folder*; with an *engine*, apply the fixtures to *images* as well.

    Raises InputInvalid when the folder is none, EngineUnavailable.
    """
    bank = files.read(folder)
    faults = [said(finding) for finding in findings_of(bank)]
    if engine is None:
        return Checked(bank, tuple(faults))
    with_fixtures = [subject for subject in bank.subjects if subject.fixtures]
    applied = []
    progress.begin(_("Applying the fixtures"), len(with_fixtures))
    try:
        for subject in with_fixtures:
            fault = _apply(engine, files, subject, images[subject.site])
            if fault is None:
                applied.append(subject.id)
            else:
                faults.append(f"{subject.id}: {fault}")
            progress.step(subject.id)
    finally:
        progress.end()
    return Checked(bank, tuple(faults), tuple(applied))


def said(finding: Finding) -> str:
    """The finding as a sentence."""
    values: dict[str, object] = {"where": finding.where}
    if isinstance(finding, BankFinding):
        values |= {"what": finding.what, "minutes": MINUTES, "group": GROUP, "to_write": TO_WRITE}
    elif isinstance(finding, CalendarFinding):
        values |= {"held": finding.minutes, "zone": "" if finding.zone is None else _(ZONES[finding.zone])}
    return _(_SENTENCES[finding.fault]).format(**values)


def _apply(engine: Engine, files: BankFiles, subject: Subject, image: str) -> str | None:
    """What is wrong with the subject's fixtures in two environments of their own; None when nothing is."""
    if engine.image(image) is None:
        return _("there is no image {image} to apply the fixtures to").format(image=image)
    found: list[Fingerprint] = []
    for _time in ("first", "second"):
        name = naming.reference_name("bank", subject.id)
        try:
            engine.create_aside(Aside(name, naming.ROLE_REFERENCE, image))
            engine.ready(name, READY)
            engine.load(name, iter([files.fixtures(subject) or b""]))
            engine.ready(name, READY)
            found.append(engine.fingerprint(name))
        except EnvironmentFailed as error:
            return _("the fixtures do not apply: {reason}").format(reason=error.message)
        finally:
            engine.remove(name)
    names = _names(item.name for item in differences(*found))
    if names:
        return _("the fixtures leave something else each time: {names}").format(names=names)
    return None


def _names(names: Iterable[str], most: int = 5) -> str:
    listed = sorted(names)
    return ", ".join([*listed[:most], *(["…"] if len(listed) > most else [])])

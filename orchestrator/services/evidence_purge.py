"""Purge evidence that has been kept long enough, and prove what was removed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.domain import naming
from orchestrator.domain.exam import EnvironmentRole, Evidence
from orchestrator.errors import E5BError, EngineUnavailable, InputInvalid, Refused
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre

AGE = re.compile(r"(\d{1,4})([dmy])")


@dataclass(frozen=True)
class Purged:
    """*removed* are the records whose archive and layer are gone, *bytes* what the archives took; *leftovers* other
    files that went with them; *faults* maps archives that were not removed to why."""

    sealed_before: datetime
    removed: tuple[Evidence, ...]
    bytes: int
    leftovers: tuple[str, ...]
    faults: dict[str, str]


def sealed_before(now: datetime, age: str) -> datetime:
    """The moment that lies *age* (``1y``, ``18m``, ``400d``) before *now*.

    Raises InputInvalid when it cannot be read, Refused below one year: evaluation sheets, and what they judge, are
    kept one year (the exam's rule).
    """
    match = AGE.fullmatch(age)
    if match is None:
        raise InputInvalid(
            _("{text} is not an age.").format(text=age), hint=_("Write it as 1y (years), 18m (months) or 400d (days).")
        )
    number, unit = int(match[1]), match[2]
    try:
        limit = (
            now - timedelta(days=number) if unit == "d" else _months_before(now, number * (12 if unit == "y" else 1))
        )
    except (ValueError, OverflowError):
        raise InputInvalid(_("{text} is too long ago.").format(text=age)) from None
    if limit > _months_before(now, 12):
        raise Refused(
            _("Evidence is kept one year: {age} is less.").format(age=age), hint=_("Nothing younger is ever purged.")
        )
    return limit


def _months_before(now: datetime, months: int) -> datetime:
    """The same day; the last of a shorter month."""
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    for day in range(now.day, 27, -1):
        try:
            return now.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    return now.replace(year=year, month=month + 1)


def purge_preview(centre: Centre, age: str) -> tuple[datetime, list[Evidence]]:
    """The limit, and the evidence that :func:`purge` would remove; nothing is done."""
    limit = sealed_before(centre.clock.now(), age)
    return limit, _old(centre, limit)


def purge(centre: Centre, age: str) -> Purged:
    """Remove the archives and layers of what was sealed longer ago than *age*, and look that they are gone.

    What could not be removed is among the faults; the same command tries it again. Raises InputInvalid, Refused,
    EngineUnavailable, Busy.
    """
    limit, old = purge_preview(centre, age)
    removed: list[Evidence] = []
    leftovers: list[str] = []
    faults: dict[str, str] = {}
    freed = 0
    centre.progress.begin(_("Purging"), len(old))
    try:
        for wave_id in sorted({item.wave for item in old}):
            with centre.locks.room(centre.wave(wave_id).room, "evidence purge"):
                mine = [item for item in _old(centre, limit) if item.wave == wave_id]
                centre.store.save(
                    Entry(
                        "evidence.purge",
                        wave_id,
                        data={"sealed_before": limit.isoformat(), "archives": [item.archive for item in mine]},
                    )
                )
                found = _purge_wave(centre, wave_id, mine, limit)
                removed += found.removed
                leftovers += found.leftovers
                faults |= found.faults
                freed += found.bytes
    finally:
        centre.progress.end()
    return Purged(limit, tuple(removed), freed, tuple(leftovers), faults)


def _old(centre: Centre, limit: datetime) -> list[Evidence]:
    return [item for item in centre.store.evidence() if item.purged_at is None and item.sealed_at < limit]


def _purge_wave(centre: Centre, wave_id: str, old: Sequence[Evidence], limit: datetime) -> Purged:
    needed = {item.name for item in centre.store.environments() if item.role is not EnvironmentRole.GONE}
    faults: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for item in old:
        if item.environment in needed:
            faults[item.archive] = _("its environment is still there: reset or abandon its wave first")
            continue
        sizes[item.archive] = centre.sealing.size(item.archive) or 0
        try:
            centre.sealing.remove(item.archive)
            centre.engine.remove_layer(
                naming.evidence_tag(centre.settings.centre.id, item.wave, item.seat, item.attempt)
            )
        except EngineUnavailable:
            raise
        except E5BError as error:
            faults[item.archive] = error.message.rstrip(".")
        centre.progress.step(_("seat {seat:02d}").format(seat=item.seat))
    # Only after all of them: one that was sealed again has the layer of the one before.
    for item in old:
        if item.archive not in faults and (left := _left(centre, item)) is not None:
            faults[item.archive] = left
    now = centre.clock.now()
    removed = tuple(replace(item, purged_at=now) for item in old if item.archive not in faults)
    kept = {item.archive for item in centre.store.evidence(wave_id) if item.purged_at is None}
    leftovers = _purge_rest(centre, wave_id) if kept == {item.archive for item in removed} else ()
    centre.store.save(
        *(
            Entry(
                "evidence.purged",
                wave_id,
                item.seat,
                {
                    "archive": item.archive,
                    "sha256": item.sha256,
                    "size": item.size,
                    "layer": item.layer,
                    "sealed_at": item.sealed_at.isoformat(),
                },
            )
            for item in removed
        ),
        *([Entry("evidence.leftovers_purged", wave_id, data={"files": leftovers})] if leftovers else []),
        evidence=removed,
    )
    return Purged(limit, removed, sum(sizes[item.archive] for item in removed), leftovers, faults)


def _left(centre: Centre, item: Evidence) -> str | None:
    """What is still there of a record whose archive and layer were removed."""
    if centre.sealing.size(item.archive) is not None:
        return _("its archive is still there")
    if centre.engine.image(item.layer) is not None:
        return _("its layer {layer} is still there: an image or a container was made of it").format(layer=item.layer)
    return None


def _purge_rest(centre: Centre, wave_id: str) -> tuple[str, ...]:
    """What attempts that were interrupted, repairs and restore points left of a wave nothing of which is to be kept."""
    files = centre.sealing.leftovers(wave_id)
    for name in files:
        centre.sealing.remove(name)
    points = [item for item in centre.store.points(wave_id) if item.pruned_at is None]
    for point in points:
        centre.engine.remove_layer(point.tag)
    centre.store.save(points=[replace(item, pruned_at=centre.clock.now()) for item in points])
    return (*files, *(item.tag for item in points))

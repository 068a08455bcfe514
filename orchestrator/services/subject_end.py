"""The end of a half-day: its subject's clear text is removed, and what was made with its fixtures for nobody."""

from dataclasses import replace

from orchestrator.domain.exam import Environment, EnvironmentRole
from orchestrator.domain.subject import SubjectRecord
from orchestrator.errors import Busy
from orchestrator.i18n import _
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.environments import remove
from orchestrator.services.subjects import is_given


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
    centre.clear_text.keep_only(staying)
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
    """Take the environments away that begin with a subject that is over."""

    def stale(seats: set[int]) -> list[Environment]:
        return [
            item
            for item in centre.store.environments()
            if item.subject in keys
            and item.seat in seats
            and not item.touched
            and item.role in {EnvironmentRole.ACTIVE, EnvironmentRole.STANDBY}
        ]

    for room in centre.settings.rooms:
        seats = {seat.number for seat in room.seats}
        if not stale(seats):
            continue
        try:
            with centre.locks.room(room.name, "subject removed", patient=False):
                with centre.locks.centre():
                    retired = [replace(item, role=EnvironmentRole.RETIRED) for item in stale(seats)]
                    centre.store.save(environments=retired)
                centre.serve()
                # A supervisor does it where there is one.
                if not centre.locks.supervised():
                    remove(centre, retired, _("Removing what is no longer needed"))
        except Busy:
            # Somebody works there: at the next look.
            continue

"""What evidence there is."""

from dataclasses import dataclass

from orchestrator.domain.exam import Evidence
from orchestrator.errors import NotFound
from orchestrator.i18n import _
from orchestrator.services.centre import Centre


@dataclass(frozen=True)
class Kept:
    """A record, and whether its archive and its layer are there. *put_aside*: it was damaged, and sealed again."""

    evidence: Evidence
    archive_there: bool
    layer_there: bool
    put_aside: bool


def list_evidence(centre: Centre, wave_id: str | None = None) -> list[Kept]:
    """The evidence of one wave or of all, in the order of waves, seats and attempts; no archive is read.

    Raises NotFound when there is no such wave.
    """
    if wave_id is not None:
        centre.wave(wave_id)
    return [
        Kept(
            item,
            archive_there=centre.sealing.size(item.archive) is not None,
            layer_there=centre.engine.image(item.layer) is not None,
            put_aside=is_put_aside(item),
        )
        for item in centre.store.evidence(wave_id)
    ]


def is_put_aside(evidence: Evidence) -> bool:
    """Whether the archive was damaged and its state sealed again from the layer: it is kept, and proves nothing."""
    return not evidence.archive.endswith(".tar.gz")


def holding(centre: Centre, wave_id: str | None = None, seat: int | None = None) -> list[Evidence]:
    """The evidence that must hold: neither purged nor put aside.

    Raises NotFound when there is no such wave, or none of that seat.
    """
    if wave_id is not None:
        centre.wave(wave_id)
    found = [
        item
        for item in centre.store.evidence(wave_id)
        if item.purged_at is None and not is_put_aside(item) and seat in {None, item.seat}
    ]
    if seat is not None and not found:
        raise NotFound(
            _("There is no evidence of seat {seat:02d}.").format(seat=seat),
            hint=_("`e5b evidence list` shows what there is."),
        )
    return found

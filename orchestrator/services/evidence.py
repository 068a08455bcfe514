"""Whether a candidate's work is in safety: the question before anything is wiped."""

from datetime import datetime

from orchestrator.domain.exam import Environment, PointKind
from orchestrator.errors import E5BError
from orchestrator.services.centre import Centre


def has_evidence(centre: Centre, environment: Environment, since: datetime | None) -> bool:
    """Whether the environment's end state is sealed and its archive holds, read now.

    *since* is when its candidate could work in it no longer: what was sealed before that (a seat's reset that was
    not completed) is not its end state.
    """
    found = [
        item
        for item in centre.store.evidence(environment.wave)
        if item.environment == environment.name
        and item.purged_at is None
        and (since is None or item.sealed_at >= since)
    ]
    if not found:
        return False
    latest = max(found, key=lambda item: item.attempt)
    try:
        centre.sealing.verify(latest.archive, latest.sha256)
    except E5BError:
        return False
    return True


def is_waived(centre: Centre, environment: Environment) -> bool:
    """Whether a person typed out that this environment needs no evidence."""
    wave = centre.store.wave(environment.wave) if environment.wave is not None else None
    place = wave.place(environment.seat) if wave is not None else None
    return place is not None and place.environment == environment.name and place.waived is not None


def is_kept(centre: Centre, environment: Environment) -> bool:
    """Whether a restore or a move put the environment's state aside, where it still is."""
    return any(
        point.environment == environment.name
        and point.kind is PointKind.UNDO
        and point.pruned_at is None
        and centre.engine.image(point.layer) is not None
        for point in centre.store.points(environment.wave)
    )


def is_safe(centre: Centre, environment: Environment, since: datetime | None = None) -> bool:
    """Whether the environment may be wiped."""
    return (
        not environment.touched
        or is_waived(centre, environment)
        or is_kept(centre, environment)
        or has_evidence(centre, environment, since)
    )

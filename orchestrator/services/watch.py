"""Watch what the environments write, so that one candidate cannot fill the disk of all."""

from orchestrator.domain.lifecycle import WaveState
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre

DISK_INTERVAL = 5.0
"""Seconds between two looks. At a slow disk's 100 MB/s the reserve that preflight asks for outlasts it."""


def stop_overflow(centre: Centre) -> list[int]:
    """Freeze every environment of an open wave that wrote more than limits.disk_mb; the seats that were frozen.

    Where the engine bounds the layer itself (xfs with project quotas) this never happens. A frozen environment keeps
    all its work: it can be sealed, and its seat reset.
    """
    seats = {
        place.seat: wave.id for wave in centre.store.waves() if wave.state is WaveState.OPEN for place in wave.places
    }
    if not seats:
        return []
    sizes = centre.engine.sizes()
    observed = centre.engine.observe()
    frozen = []
    for seat, environment in centre.active().items():
        size = sizes.get(environment.name, 0)
        seen = observed.get(environment.name)
        if seat in seats and size > _allowance(centre) and seen is not None and seen.running:
            centre.engine.pause(environment.name)
            centre.store.save(Entry("seat.disk_overflow", seats[seat], seat, {"bytes": size}))
            frozen.append(seat)
    return frozen


def is_overflowing(centre: Centre, environment: str) -> bool:
    """Whether it has written more than limits.disk_mb."""
    return centre.engine.sizes().get(environment, 0) > _allowance(centre)


def _allowance(centre: Centre) -> int:
    """Bytes."""
    return centre.settings.limits.disk_mb * 2**20

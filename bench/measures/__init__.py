"""One measurement per module: ``measure(run)`` adds its figures to the run."""

from collections.abc import Callable

from bench.measures import context, growth, guard, memory, point, prepare, reset, restore, seal, subject, working
from bench.run import Run

MEASURES: dict[str, Callable[[Run], None]] = {
    "prepare": prepare.measure,
    "memory": memory.measure,
    "seal": seal.measure,
    "reset": reset.measure,
    "point": point.measure,
    "restore": restore.measure,
    "working": working.measure,
    "subject": subject.measure,
    "context": context.measure,
    "guard": guard.measure,
    "growth": growth.measure,
}
"""By name, in the order in which a whole run takes them."""

"""What to do so that what is observed becomes what is desired. No I/O: (desired, observed) -> steps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.exam import Environment, EnvironmentRole


@dataclass(frozen=True)
class Observed:
    """A container in the engine. *ours* says whether it carries our centre's label; *seat* is None for the
    gateway and throw-away containers."""

    name: str
    ours: bool
    running: bool
    image: str
    address: str | None = None
    seat: int | None = None


class StepKind(StrEnum):
    CREATE = "create"
    START = "start"
    REMOVE = "remove"
    FORGET = "forget"
    """It is gone already: record it."""
    ALARM = "alarm"
    """Its container was deleted with a candidate's work in it: only a person can decide what comes next."""
    CONFLICT = "conflict"
    """Somebody else's container has our name: it is not touched."""


@dataclass(frozen=True)
class Step:
    kind: StepKind
    environment: str


def plan(desired: Iterable[Environment], observed: Mapping[str, Observed]) -> list[Step]:
    """The steps that bring the engine to the desired state, in the order of the environments' names.

    *observed* maps container names to what the engine shows; it holds ours and any foreign one whose name is
    one of ours. A container of ours that no environment desires is left alone here: `preflight` shows it.
    """
    steps: list[Step] = []
    for environment in sorted(desired, key=lambda item: item.name):
        step = _step(environment, observed.get(environment.name))
        if step is not None:
            steps.append(Step(step, environment.name))
    return steps


def _step(environment: Environment, seen: Observed | None) -> StepKind | None:
    if environment.role is EnvironmentRole.GONE:
        return None
    if seen is not None and not seen.ours:
        return StepKind.FORGET if environment.role is EnvironmentRole.RETIRED else StepKind.CONFLICT
    if environment.role is EnvironmentRole.RETIRED:
        return StepKind.FORGET if seen is None else StepKind.REMOVE
    if seen is None:
        return StepKind.ALARM if environment.touched else StepKind.CREATE
    return None if seen.running else StepKind.START

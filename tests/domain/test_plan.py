"""From (desired, observed) to steps: the cases of tests/cases/plan.json, and what holds for every centre."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.exam import Environment, EnvironmentRole, Site
from orchestrator.domain.plan import Observed, Step, StepKind, plan

CASES = json.loads((Path(__file__).parents[1] / "cases/plan.json").read_text(encoding="utf-8"))

NEEDS_A_PERSON = {StepKind.ALARM, StepKind.CONFLICT}


def environment(name: str, role: str = "active", touched: bool = False) -> Environment:
    return Environment(
        name, 1, 1, Site.WORDPRESS, "sha256:1", "10.0.0.2", "http://x", EnvironmentRole(role), touched=touched
    )


def container(name: str, ours: bool = True, running: bool = True) -> Observed:
    return Observed(name, ours, running, "sha256:1")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_steps(case: dict[str, Any]) -> None:
    desired = [environment(name, **facts) for name, facts in case["environments"].items()]
    observed = {name: container(name, **facts) for name, facts in case["containers"].items()}
    assert [f"{step.kind.value} {step.environment}" for step in plan(desired, observed)] == case["steps"]


def apply(
    steps: list[Step], desired: list[Environment], observed: dict[str, Observed]
) -> tuple[list[Environment], dict[str, Observed]]:
    """What the world is like after *steps*."""
    roles = {item.name: item for item in desired}
    seen = dict(observed)
    for step in steps:
        name = step.environment
        if step.kind in {StepKind.CREATE, StepKind.START}:
            seen[name] = container(name)
        elif step.kind is StepKind.REMOVE:
            del seen[name]
        if step.kind in {StepKind.REMOVE, StepKind.FORGET}:
            roles[name] = environment(name, "gone", roles[name].touched)
    return list(roles.values()), seen


names = st.sampled_from([f"e5b-essai-poste-{seat:02d}-g{generation}" for seat in (1, 2, 3) for generation in (1, 2)])
centres = st.tuples(
    st.lists(
        st.builds(environment, names, st.sampled_from([role.value for role in EnvironmentRole]), st.booleans()),
        unique_by=lambda item: item.name,
    ),
    st.dictionaries(names, st.tuples(st.booleans(), st.booleans())),
)


@given(centres)
def test_planning_again_after_the_steps_gives_none(
    centre: tuple[list[Environment], dict[str, tuple[bool, bool]]],
) -> None:
    desired, shown = centre
    observed = {name: container(name, *facts) for name, facts in shown.items()}
    steps = plan(desired, observed)
    again = plan(*apply(steps, desired, observed))
    # What only a person can settle is said each time.
    assert again == [step for step in steps if step.kind in NEEDS_A_PERSON]


@given(centres)
def test_what_is_not_ours_is_never_touched(centre: tuple[list[Environment], dict[str, tuple[bool, bool]]]) -> None:
    desired, shown = centre
    observed = {name: container(name, *facts) for name, facts in shown.items()}
    for step in plan(desired, observed):
        seen = observed.get(step.environment)
        if seen is not None and not seen.ours:
            assert step.kind in {StepKind.CONFLICT, StepKind.FORGET}


@given(centres)
def test_work_is_never_removed_or_made_anew_unless_it_was_retired(
    centre: tuple[list[Environment], dict[str, tuple[bool, bool]]],
) -> None:
    desired, shown = centre
    observed = {name: container(name, *facts) for name, facts in shown.items()}
    roles = {item.name: item for item in desired}
    for step in plan(desired, observed):
        item = roles[step.environment]
        if item.touched and item.role is not EnvironmentRole.RETIRED:
            assert step.kind not in {StepKind.CREATE, StepKind.REMOVE}

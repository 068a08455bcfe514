"""What the gateway answers at each seat: the cases of tests/cases/routes.json, and what holds for every wave."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.exam import Environment, EnvironmentRole, Place, Site, Wave
from orchestrator.domain.lifecycle import HOLDS_SEATS, WaveState
from orchestrator.domain.routes import RouteState, routes

CASES = json.loads((Path(__file__).parents[1] / "cases/routes.json").read_text(encoding="utf-8"))

MOMENT = datetime(2027, 5, 11, 8, 0, tzinfo=UTC)


def environment(seat: int, role: str = "active", address: str | None = None) -> Environment:
    return Environment(
        f"{seat}-{role}",
        seat,
        1,
        Site.WORDPRESS,
        "sha256:1",
        address or f"10.213.0.{10 + seat}",
        "http://x",
        EnvironmentRole(role),
    )


def place(seat: int, absent: bool = False, left_out: bool = False, opened: bool = False, closed: bool = False) -> Place:
    return Place(
        seat,
        f"C{seat}",
        absent=absent,
        left_out=left_out,
        opened_at=MOMENT if opened else None,
        closed_at=MOMENT if closed else None,
    )


def wave(places: list[Place], state: str, intent: str | None = None, subject: str | None = None) -> Wave:
    return Wave(
        *("w", "2027-05-11-am", "salle", 1, Site.WORDPRESS, "i"),
        *(WaveState(state), intent, None, subject, tuple(places)),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_routes(case: dict[str, Any]) -> None:
    waves = [
        wave([place(**facts) for facts in item["places"]], item["state"], item.get("intent"), item.get("subject"))
        for item in case["waves"]
    ]
    found = routes(case["seats"], waves, [environment(**facts) for facts in case["environments"]])
    shown = [f" {route.subject}" if route.subject else "" for route in found]
    lines = [f"{route.seat} {route.state.value} {route.address or '-'}" for route in found]
    assert [line + subject for line, subject in zip(lines, shown, strict=True)] == case["routes"]


SEATS = range(1, 6)
places = st.tuples(
    *(st.builds(place, st.just(seat), st.booleans(), st.booleans(), st.booleans(), st.booleans()) for seat in SEATS)
)
states = st.sampled_from(sorted(state.value for state in HOLDS_SEATS))


@given(places, states)
def test_never_open_for_absent_left_out_closed_or_not_opened(of: tuple[Place, ...], state: str) -> None:
    found = routes(SEATS, [wave(list(of), state)], [environment(seat) for seat in SEATS])
    assert [route.seat for route in found] == list(SEATS)
    for item, route in zip(of, found, strict=True):
        if route.state is RouteState.OPEN:
            assert item.taking_part and item.opened_at and not item.closed_at
            assert state in {"open", "prepared"}


@given(places, states)
def test_each_seat_leads_to_its_own_environment(of: tuple[Place, ...], state: str) -> None:
    standing = [environment(seat) for seat in SEATS if seat != 3]
    addresses = {item.seat: item.address for item in standing}
    for route in routes(SEATS, [wave(list(of), state)], standing):
        assert route.address == addresses.get(route.seat)

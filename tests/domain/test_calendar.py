"""The calendar: local half-days, what is held back until all have entered, and what is refused."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.calendar import Calendar, CalendarFault, HalfDay, Hours, Pair, Zone, faults_of

HOURS = {
    "am": Hours(time(7, 30), time(8, 15), time(12, 30)),
    "pm": Hours(time(13, 0), time(13, 45), time(18, 0)),
}
CASES = json.loads((Path(__file__).parents[1] / "cases/bank/windows.json").read_text(encoding="utf-8"))

half_days = st.builds(
    lambda day, part: f"{day.isoformat()}-{part}",
    st.dates(date(2020, 1, 1), date(2040, 12, 31)),
    st.sampled_from(["am", "pm"]),
)


def calendar(*listed: HalfDay, zones: tuple[Zone, ...] = tuple(Zone), longest: int = 150) -> Calendar:
    return Calendar("2027", 1, zones, HOURS, timedelta(minutes=longest), listed)


def one(half_day: str) -> HalfDay:
    return HalfDay(half_day, Pair(f"{half_day}-s", f"{half_day}-r"))


def faults(of: Calendar) -> list[tuple[CalendarFault, str, Zone | None]]:
    return [(item.fault, item.where, item.zone) for item in faults_of(of)]


@pytest.mark.parametrize("case", CASES, ids=[case["half_day"] for case in CASES])
def test_windows_in_summer_and_in_winter_time(case: dict[str, str]) -> None:
    """UTC moments worked out by hand: Paris is UTC+1 or +2, Mayotte +3, Réunion +4 all year."""
    windows = calendar().windows(one(case["half_day"]))
    for zone, expected in case["windows"].items():  # type: ignore[attr-defined]
        window = windows[Zone(zone)]
        moments = (window.unlock_from, window.enter, window.leave, window.ends_at)
        assert [moment.strftime("%H:%M") for moment in moments] == expected


@given(half_days)
def test_a_half_day_is_the_same_local_half_day_everywhere(half_day: str) -> None:
    for zone, window in calendar().windows(one(half_day)).items():
        hours = HOURS[half_day[11:]]
        local = [moment.astimezone(zone.timezone) for moment in (window.unlock_from, window.enter, window.ends_at)]
        assert [moment.time() for moment in local] == [hours.unlock, hours.enter, hours.end]
        assert {moment.date().isoformat() for moment in local} == {half_day[:10]}


@given(half_days, st.sets(st.sampled_from(list(Zone)), min_size=1))
def test_nobody_leaves_before_everybody_has_entered(half_day: str, zones: set[Zone]) -> None:
    windows = calendar(zones=tuple(zones)).windows(one(half_day))
    assert min(window.leave for window in windows.values()) >= max(window.enter for window in windows.values())
    assert all(window.hold >= timedelta() for window in windows.values())
    assert min(window.hold for window in windows.values()) == timedelta()


@given(half_days)
def test_reunion_is_held_two_hours_in_summer_time_and_three_in_winter_time(half_day: str) -> None:
    held = calendar().windows(one(half_day))[Zone.REUNION].hold
    paris = datetime.combine(date.fromisoformat(half_day[:10]), time(12), Zone.METROPOLE.timezone)
    assert held == timedelta(hours=2 if paris.dst() else 3)
    found = faults(calendar(one(half_day)))
    assert found == ([] if paris.dst() else [(CalendarFault.HELD_TOO_LONG, half_day, Zone.REUNION)])


@given(half_days)
def test_a_zone_with_a_subject_of_its_own_is_not_held(half_day: str) -> None:
    own = HalfDay(half_day, Pair("a", "b"), {Zone.REUNION: Pair("c", "d")})
    windows = calendar(own).windows(own)
    assert windows[Zone.REUNION].hold == timedelta()
    assert windows[Zone.METROPOLE].leave == windows[Zone.MAYOTTE].leave == windows[Zone.METROPOLE].enter


def test_a_spare_that_another_zone_has_as_its_subject_holds_back_as_well() -> None:
    crossed = HalfDay("2027-05-11-am", Pair("a", "b"), {Zone.REUNION: Pair("b", "c")})
    assert calendar().windows(crossed)[Zone.REUNION].hold == timedelta(hours=2)


@given(half_days, st.integers(-24 * 60, 48 * 60))
def test_what_is_permitted_is_before_the_end_and_not_before_the_beginning(half_day: str, minutes: int) -> None:
    window = calendar().windows(one(half_day))[Zone.METROPOLE]
    now = window.unlock_from + timedelta(minutes=minutes)
    assert window.permits(now) == (window.unlock_from <= now < window.ends_at)
    assert window.over(now) == (now >= window.ends_at)
    assert not (window.permits(now) and window.over(now))


def test_no_window_of_a_half_day_meets_another_ones() -> None:
    windows = [calendar().windows(one(f"2027-05-{day}-{part}")) for day in (10, 11) for part in ("am", "pm")]
    for zone in Zone:
        own = [item[zone] for item in windows]
        assert all(first.ends_at <= second.unlock_from for first, second in pairwise(own))


def test_the_hour_that_does_not_exist_and_the_one_that_is_twice() -> None:
    """Hours in the night of a change of time still give one moment each, in order."""
    night = replace(calendar(zones=(Zone.METROPOLE,)), hours={"am": Hours(time(1, 30), time(2, 30), time(3, 30))})
    for day in ("2027-03-28", "2027-10-31"):
        window = night.windows(one(f"{day}-am"))[Zone.METROPOLE]
        assert window.unlock_from < window.enter <= window.ends_at
        assert window.enter.tzinfo is UTC


def test_a_faultless_calendar() -> None:
    assert faults(calendar(one("2027-05-11-am"), one("2027-05-11-pm"))) == []


def test_all_faults_at_once() -> None:
    wrong = Calendar(
        "2027",
        1,
        (Zone.METROPOLE, Zone.REUNION),
        {"am": Hours(time(9), time(8), time(12)), "pm": HOURS["pm"]},
        timedelta(minutes=60),
        (
            HalfDay("2027-05-11-pm", Pair("a", "a")),
            HalfDay("2027-05-11-pm", Pair("b", "c"), {Zone.MAYOTTE: Pair("d", "e")}),
        ),
    )
    assert set(faults(wrong)) == {
        (CalendarFault.LISTED_TWICE, "2027-05-11-pm", None),
        (CalendarFault.HOURS, "am", None),
        (CalendarFault.USED_TWICE, "a", None),
        (CalendarFault.ZONE_UNUSED, "2027-05-11-pm", Zone.MAYOTTE),
        (CalendarFault.HELD_TOO_LONG, "2027-05-11-pm", Zone.REUNION),
    }
    assert faults(calendar()) == [(CalendarFault.NO_HALF_DAY, "", None)]


@given(st.lists(half_days, min_size=1, max_size=6), st.data())
def test_a_subject_that_comes_twice_is_named(listed: list[str], data: st.DataObject) -> None:
    unique = [one(half_day) for half_day in dict.fromkeys(listed)]
    assert CalendarFault.USED_TWICE not in {item.fault for item in faults_of(calendar(*unique))}
    again = data.draw(st.sampled_from([name for item in unique for name in item.pair]))
    more = HalfDay("2041-01-01-am", Pair(again, "nothing-else"))
    assert (CalendarFault.USED_TWICE, again, None) in faults(calendar(*unique, more))


def test_a_half_day_that_is_over_before_all_have_entered() -> None:
    short = replace(calendar(one("2027-01-12-am")), hours={"am": Hours(time(7), time(8), time(10))})
    assert (CalendarFault.OVER_BEFORE_LEAVING, "2027-01-12-am", Zone.REUNION) in faults(short)

"""A candidate's time: adjustments, the ledger of what is given back, and the end that they lead to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.exam import Place, Site, Wave
from orchestrator.domain.time import LONGEST, Credit, CreditKind, adjusted, end_of, ledger

OPENED = datetime(2027, 5, 11, 8, 0, tzinfo=UTC)
FORTY = timedelta(minutes=40)


def at(minutes: float, seconds: float = 0) -> datetime:
    return OPENED + timedelta(minutes=minutes, seconds=seconds)


def interval(begun: float, ended: float | None, kind: CreditKind = CreditKind.OUTAGE) -> Credit:
    """In minutes from the opening."""
    return Credit(kind, at(begun), None if ended is None else at(ended))


def extension(minutes: float, when: float = 0) -> Credit:
    return Credit(CreditKind.EXTENSION, at(when), given=timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("minutes", "adjustment", "expected"),
    [
        (40, None, timedelta(minutes=40)),
        (40, "4/3", timedelta(minutes=53, seconds=20)),
        (40, "1/1", timedelta(minutes=40)),
        (40, "5/4", timedelta(minutes=50)),
        (1, "10/9", timedelta(seconds=67)),  # 66.67 s: in the candidate's favour
        (40, "+10", timedelta(minutes=50)),
        (40, "+0", timedelta(minutes=40)),
        (40, "+200", LONGEST),
        (180, "4/3", LONGEST),
    ],
)
def test_an_adjustment_gives_time_to_the_second(minutes: int, adjustment: str | None, expected: timedelta) -> None:
    assert adjusted(timedelta(minutes=minutes), adjustment) == expected


@pytest.mark.parametrize(
    "adjustment",
    ["", "3/4", "4/0", "0/1", "4", "10", "-10", "+", "4/", "/3", "4 / 3", "4,3", "+10 ", "+201", "99/1", "x", "4/3\n"],
)
def test_what_is_no_adjustment_or_takes_time_away_is_refused(adjustment: str) -> None:
    with pytest.raises(ValueError):
        adjusted(FORTY, adjustment)


@given(st.integers(1, 240), st.integers(0, 99), st.integers(0, 99))
def test_an_adjustment_never_shortens(minutes: int, above: int, below: int) -> None:
    duration = timedelta(minutes=minutes)
    try:
        assert duration <= adjusted(duration, f"{above}/{below}") <= LONGEST
    except ValueError:
        assert below == 0 or above < below or minutes * above > 240 * below


@pytest.mark.parametrize(
    ("credits", "adds"),
    [
        ([], []),
        ([interval(10, 12)], [120]),
        ([interval(10, 12), interval(20, 21)], [120, 60]),
        ([interval(10, 12), interval(11, 13)], [120, 60]),  # an overlap counts once
        ([interval(10, 15), interval(11, 13)], [300, 0]),  # inside another
        ([interval(10, 12), interval(10, 12, CreditKind.INCIDENT)], [120, 0]),
        ([interval(-5, -1)], [0]),  # over before the opening
        ([interval(-5, 2)], [120]),  # counts from the opening
        ([interval(39, 50)], [660]),  # begun in time: all of it
        ([interval(40, 50)], [0]),  # begun at the end
        ([interval(55, 60)], [0]),
        ([interval(38, 41), interval(42, 44)], [180, 120]),  # the first moves the end to 43
        ([interval(38, 39), interval(42, 44)], [60, 0]),
        ([extension(5)], [300]),
        ([extension(5, when=60)], [300]),
        ([extension(5, when=60), interval(40, 60, CreditKind.SHUT)], [1200, 300]),  # shut for 20, then 5 more
        ([interval(10, 10)], [0]),
        ([interval(10, 11.5), interval(10, 12)], [120, 0]),  # begun together: the longer one covers the other
        ([interval(10, 10 + 0.1 / 60)], [1]),  # a tenth of a second is a second
        ([interval(10, 11 + 0.1 / 60)], [61]),
        ([interval(12, 11)], [0]),  # a clock that went back takes nothing
    ],
)
def test_each_line_says_what_it_adds(credits: list[Credit], adds: list[int]) -> None:
    lines = ledger(OPENED, FORTY, credits)
    assert [line.adds for line in lines] == [timedelta(seconds=seconds) for seconds in adds]
    assert end_of(OPENED, FORTY, credits) == OPENED + FORTY + timedelta(seconds=sum(adds))


@pytest.mark.parametrize(
    "credits",
    [
        [interval(10, None)],
        [interval(10, 12), interval(20, None)],
        [interval(10, None), interval(11, 12)],
        [interval(-1, None)],
        [extension(5), interval(44, None)],
    ],
)
def test_while_an_interval_goes_on_nobody_knows_the_end(credits: list[Credit]) -> None:
    assert end_of(OPENED, FORTY, credits) is None
    assert None in [line.adds for line in ledger(OPENED, FORTY, credits)]


def test_an_interval_that_began_after_the_end_does_not_hide_it() -> None:
    assert end_of(OPENED, FORTY, [interval(40, None)]) == at(40)
    assert end_of(OPENED, FORTY, [interval(10, 12), interval(42, None)]) == at(42)


def test_each_line_is_right_to_the_second_over_a_whole_exam() -> None:
    """Two thirds of a second of gateway, an outage inside an incident, a restore, five minutes by hand."""
    credits = [
        Credit(CreditKind.GATEWAY, at(3), at(3, 0.66)),
        Credit(CreditKind.INCIDENT, at(10), at(14, 30)),
        Credit(CreditKind.OUTAGE, at(11), at(12)),
        Credit(CreditKind.RESTORE, at(14), at(15, 2)),
        extension(5, when=39),
    ]
    assert [line.adds for line in ledger(OPENED, adjusted(FORTY, "4/3"), credits)] == [
        timedelta(seconds=1),
        timedelta(minutes=4, seconds=30),
        timedelta(0),
        timedelta(seconds=32),
        timedelta(minutes=5),
    ]
    assert end_of(OPENED, adjusted(FORTY, "4/3"), credits) == at(53, 20) + timedelta(minutes=10, seconds=3)


seconds = st.integers(-600, 6000)
ended = st.builds(
    lambda begun, lasted: Credit(CreditKind.OUTAGE, at(0, begun), at(0, begun + lasted)),
    st.floats(-600, 6000),
    st.floats(0, 3000),
)
given_at_once = st.builds(
    lambda minutes, when: Credit(CreditKind.EXTENSION, at(0, when), given=timedelta(minutes=minutes)),
    st.integers(1, 60),
    seconds,
)
going_on = st.builds(lambda begun: Credit(CreditKind.INCIDENT, at(0, begun)), seconds)
some = st.lists(st.one_of(ended, given_at_once), max_size=6)


@given(some, st.permutations(range(6)))
def test_the_order_in_which_credits_are_stored_does_not_matter(credits: list[Credit], order: list[int]) -> None:
    shuffled = [credits[index] for index in order if index < len(credits)]
    assert end_of(OPENED, FORTY, shuffled) == end_of(OPENED, FORTY, credits)


@given(some, st.one_of(ended, given_at_once))
def test_a_credit_never_shortens(credits: list[Credit], more: Credit) -> None:
    without, with_it = end_of(OPENED, FORTY, credits), end_of(OPENED, FORTY, [*credits, more])
    assert without is not None and with_it is not None
    # A second is what rounding may move from one line to another where intervals meet.
    assert with_it >= without - timedelta(seconds=1)


@given(some)
def test_the_end_is_never_before_the_allotted_time_and_never_later_than_all_that_was_lost(
    credits: list[Credit],
) -> None:
    end = end_of(OPENED, FORTY, credits)
    most = sum(
        (item.given or (item.ended_at or item.began_at) - item.began_at for item in credits), timedelta()
    ) + timedelta(seconds=len(credits))
    assert end is not None and OPENED + FORTY <= end <= OPENED + FORTY + most


@given(some, st.lists(going_on, max_size=2))
def test_the_ledger_and_the_end_agree(credits: list[Credit], open_ones: list[Credit]) -> None:
    lines = ledger(OPENED, FORTY, [*credits, *open_ones])
    assert sorted(map(id, (line.credit for line in lines))) == sorted(map(id, [*credits, *open_ones]))
    adds = [line.adds for line in lines]
    end = end_of(OPENED, FORTY, [*credits, *open_ones])
    if None in adds:
        assert end is None
    else:
        assert end == OPENED + FORTY + sum((item for item in adds if item is not None), timedelta())


# A place


def test_the_same_interruption_is_not_begun_twice() -> None:
    place = Place(1, "C001", opened_at=OPENED).credited(interval(10, None))
    assert place.credited(interval(11, None)) == place
    assert len(place.credited(interval(11, None, CreditKind.INCIDENT)).credits) == 2
    assert len(place.credited(extension(5)).credits) == 2


def test_only_what_is_named_is_settled() -> None:
    place = Place(1, "C001", opened_at=OPENED, credits=(interval(10, None), interval(11, None, CreditKind.INCIDENT)))
    assert place.suspended and not place.is_over(at(1000))
    place = place.settled(at(12), CreditKind.OUTAGE)
    assert place.has_going_on(CreditKind.INCIDENT) and not place.has_going_on(CreditKind.OUTAGE)
    place = place.settled(at(13))
    assert place.ends_at == at(43) and not place.suspended
    assert place.settled(at(20)) == place


@pytest.mark.parametrize(("shut", "now", "end"), [(40, 50, 50), (None, 50, 50), (45, 50, 50), (None, 30, 40)])
def test_opened_again_what_was_lost_since_the_end_is_given_back(shut: float | None, now: float, end: float) -> None:
    """Whether the seat was shut in time, later, or not at all: an extension then counts from now."""
    place = Place(1, "C001", opened_at=OPENED, closed_at=None if shut is None else at(shut))
    again = place.reopened(at(now)).credited(extension(5, when=now))
    assert again.closed_at is None and again.ends_at == at(end + 5)


def test_a_wave_ends_when_its_last_candidates_time_does() -> None:
    def wave(*places: Place) -> Wave:
        return Wave("w", "2027-05-11-am", "salle-1", 1, Site.WORDPRESS, "sha256:1", places=places)

    first = Place(1, "C001", opened_at=OPENED)
    third = Place(2, "C002", opened_at=OPENED, adjustment="4/3")
    absent = Place(3, "C003", absent=True)
    assert wave(first, absent).ends_at == at(40) and wave(first, third).ends_at == at(53, 20)
    assert wave(absent).ends_at is None and wave(Place(1, "C001")).ends_at is None
    assert wave(first, third.credited(interval(10, None))).ends_at is None
    assert wave(first, Place(2, "C002", opened_at=OPENED, closed_at=at(60))).ends_at == at(60)

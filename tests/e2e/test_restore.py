"""Restore points, standbys and the supervisor, with real sites, a real gateway and real candidates."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from simulation import Candidate, candidate_for
from tests.e2e.conftest import RealCentre, eventually, kill

MOMENTS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
"""Where a kill falls, as a part of what the command takes undisturbed."""


def candidate(centre: RealCentre, seat: int) -> Candidate:
    account = centre.account(seat)
    made = candidate_for(account["site"], centre.url(seat), account["login"], account["password"], centre.address(seat))
    made.log_in()
    return made


def work(who: Candidate, number: int) -> tuple[str, str]:
    """Something of the candidate's that visitors see: its address and its title. Two may be at one address, of which
    the later is seen."""
    title = f"Work {number} of candidate A101"
    return who.publish(title), title


def shown(centre: RealCentre, seat: int, *works: tuple[str, str]) -> list[bool]:
    return [
        title in centre.get(seat, address.removeprefix(centre.url(seat)), allow_redirects=False).text
        for address, title in works
    ]


def opened(centre: RealCentre, site: str = "wordpress", minutes: float = 40, seats: int | None = None) -> str:
    wave = centre.plan(site, minutes=minutes, seats=seats)
    centre.e5b("wave", "prepare", wave)
    centre.e5b("wave", "open", wave)
    return wave


def state(centre: RealCentre) -> str:
    return str(centre.json("wave", "list")[0]["state"])


def setting(centre: RealCentre, key: str, value: object) -> None:
    path = centre.folder / "centre.toml"
    text, found = re.subn(rf"^{key} = .*$", f"{key} = {value}", path.read_text(), flags=re.MULTILINE)
    assert found == 1
    path.write_text(text)


@contextmanager
def served(centre: RealCentre) -> Iterator["subprocess.Popen[str]"]:
    process = centre.start("serve", "--json")
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def ready(centre: RealCentre) -> list[int]:
    return [line["seat"] for line in centre.json("standby", "status") if line["ready"]]


def depth(centre: RealCentre, seat: int) -> int:
    """Layers of the image that the seat's newest restore point is."""
    points = centre.json("seat", "points", str(seat))
    layers = centre.client.images.get(points[-1]["tag"]).attrs["RootFS"]["Layers"]
    return len(layers)


def test_there_and_back(make_centre: Callable[..., RealCentre], site: str) -> None:
    """A disaster is undone, and the undoing too; files and database go together; the depth of layers never grows; the
    evidence is what the candidate had at the end, relative to the reference."""
    centre = make_centre(2)
    wave = opened(centre, site)
    who = candidate(centre, 1)
    first = work(who, 1)
    centre.e5b("point", "take", "1")
    second = work(who, 2)
    both = shown(centre, 1, first, second)
    assert both[1]

    restored = centre.json("seat", "restore", "1", "--to", "last", "--yes")
    assert (restored["point"]["number"], restored["kept"]["kind"]) == (1, "undo")
    assert shown(centre, 1, first, second) == [True, False]
    # Logged in as before: a session is part of the site.
    third = work(who, 3)
    assert shown(centre, 1, third) == [True]

    centre.e5b("seat", "undo", "1", "--yes")
    assert shown(centre, 1, first, second, third) == [*both, False]
    centre.e5b("seat", "restore", "1", "--to", "reference", "--yes")
    assert shown(centre, 1, first, second, third) == [False, False, False]
    depths = {depth(centre, 1)}
    centre.e5b("seat", "undo", "1", "--yes")
    depths.add(depth(centre, 1))
    reference = centre.client.images.get(centre.json("wave", "list")[0]["image"]).attrs["RootFS"]["Layers"]
    assert depths == {len(reference) + 1}

    # To a spare seat, with all that is there, at that seat's own address.
    moved = centre.json("seat", "move", "1", "--to", "2", "--yes", code=6)
    assert "2" in moved["error"]
    assert shown(centre, 1, first, second) == both
    ledger = centre.json("seat", "time", "1")
    assert [credit["kind"] for credit in ledger["credits"]] == ["restore"] * 4
    given = sum(credit["seconds"] for credit in ledger["credits"])
    ends = datetime.fromisoformat(ledger["ends_at"]) - datetime.fromisoformat(ledger["opened_at"])
    assert ends.total_seconds() == pytest.approx(2400 + given, abs=0.001) and given > 0

    centre.e5b("wave", "close", "--early", "test")
    centre.e5b("wave", "seal")
    archive = centre.json("wave", "status", wave)["seats"][0]["evidence"]["archive"]
    read = ["tar", "xzOf", str(centre.folder / "state/evidence" / archive), "database.sql"]
    dump = subprocess.run(read, capture_output=True, check=True).stdout.decode(errors="replace")
    assert second[1] in dump
    assert third[1] not in dump
    centre.e5b("wave", "reset")
    # A new fingerprint of a new site: nothing of all that is left.
    assert centre.get(1, address="127.0.2.1").status_code == 200


def test_a_candidate_moves_with_their_site(make_centre: Callable[..., RealCentre], site: str) -> None:
    centre = make_centre(2)
    opened(centre, site, seats=1)
    address, title = work(candidate(centre, 1), 1)
    moved = centre.json("seat", "move", "1", "--to", "2", "--yes")
    assert moved["place"]["seat"] == 2
    there = address.replace(centre.url(1), centre.url(2))
    assert shown(centre, 2, (there, title)) == [True]
    assert centre.url(1) not in centre.get(2, there.removeprefix(centre.url(2))).text
    assert shown(centre, 1, (address, title)) == [False], "nothing is left at the seat that was left"
    work(candidate(centre, 2), 2)
    centre.e5b("wave", "close", "--early", "test")
    report = centre.json("wave", "seal")
    assert [(item["seat"], item["candidate"]) for item in report["evidence"]] == [(2, "A101")]
    centre.e5b("wave", "reset")


def test_a_restore_is_killed_between_any_two_steps(make_centre: Callable[..., RealCentre]) -> None:
    """The candidate's site is the former or the restored one, never none; what it was can always be had back."""
    centre = make_centre(1)
    opened(centre)
    page = work(candidate(centre, 1), 1)
    centre.e5b("point", "take", "1")
    begun = time.monotonic()
    centre.e5b("seat", "restore", "1", "--to", "1", "--yes")
    took = time.monotonic() - begun
    with served(centre):
        for moment in MOMENTS:
            process = centre.start("seat", "restore", "1", "--to", "1", "--yes")
            time.sleep(took * moment)
            kill(process)
            assert eventually(lambda: shown(centre, 1, page) == [True], 60), moment
        assert eventually(lambda: centre.json("seat", "time", "1")["ends_at"] is not None, 30)
        centre.e5b("seat", "restore", "1", "--to", "1", "--yes")
        assert shown(centre, 1, page) == [True]
        # What the killed ones left is taken away.
        assert eventually(lambda: len([item for item in centre.containers() if "-poste-01-" in item.name]) == 2, 60)
    centre.e5b("journal", "verify")


def test_a_day_under_the_supervisor(make_centre: Callable[..., RealCentre]) -> None:
    """Standbys and points are made by themselves; a seat's and the room's reset are a switch; the supervisor is killed
    in between and takes up where it was; the standbys are the next wave's environments."""
    centre = make_centre(2)
    setting(centre, "interval_minutes", 0.1)
    setting(centre, "keep", 2)
    setting(centre, "busy_percent", 100)
    wave = opened(centre)
    process = centre.start("serve", "--json")
    assert eventually(lambda: ready(centre) == [1, 2], 180)
    page = work(candidate(centre, 1), 1)

    def points() -> list[dict[str, Any]]:
        return [point for point in centre.json("seat", "points", "1") if point["pruned_at"] is None]

    # Taken again and again, and never more than are to be kept.
    assert eventually(lambda: points() != [] and points()[-1]["number"] >= 4, 120)
    assert eventually(lambda: len(points()) == 2, 30)
    tags = [tag for image in centre.client.images.list(name=f"e5b-point/{centre.id}") for tag in image.tags]
    assert sum("-a101-" in tag for tag in tags) <= 3

    kill(process)
    refused = None
    process = centre.start("serve", "--json")
    try:
        before = centre.container(1).name
        report = centre.json("seat", "reset", "1", "--yes")
        assert report["result"]["standby"] is True
        assert shown(centre, 1, page) == [False]
        assert report["evidence"]["environment"] not in {report["result"]["environment"], before + "x"}
        # A used standby is replaced, and the old environment goes once its evidence holds.
        assert eventually(lambda: ready(centre) == [1, 2], 180)
        assert eventually(
            lambda: report["evidence"]["environment"] not in {item.name for item in centre.containers()}, 60
        )
        refused = centre.e5b("serve", code=7)
        centre.e5b("wave", "close", "--early", "test")
        assert eventually(lambda: state(centre) == "sealed", 120)
        reset = centre.json("wave", "reset")
        assert [seat["standby"] for seat in reset["seats"]] == [True, True]
        assert eventually(lambda: len(centre.containers()) == 3, 60), "two sites and the gateway"

        # The same seats, the same site: what the reset put there is the next wave's.
        after = {item["seat"]: item["environment"] for item in reset["seats"]}
        following = centre.plan(number=2)
        centre.e5b("wave", "prepare", following)
        places = centre.json("wave", "list")[-1]["places"]
        assert {place["seat"]: place["environment"] for place in places} == after
        assert eventually(lambda: centre.client.images.list(name=f"e5b-point/{centre.id}") == [], 30)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert refused is not None and str(process.pid) in refused
    centre.e5b("journal", "verify")
    assert wave != following

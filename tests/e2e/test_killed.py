"""``kill -9`` of a command in every phase, then the same command again: it finishes, and nothing is lost."""

import subprocess
import time
from collections.abc import Callable

import pytest

from tests.e2e.conftest import RealCentre, eventually, kill

# Where the kill falls, as a part of what the command takes undisturbed: from its first steps to its last.
MOMENTS = (0.15, 0.35, 0.55, 0.75, 0.9)


def killed_at_every_moment(centre: RealCentre, command: list[str], undisturbed: float) -> None:
    for moment in MOMENTS:
        process = centre.start(*command)
        time.sleep(undisturbed * moment)
        kill(process)


def timed(centre: RealCentre, *command: str) -> float:
    begun = time.monotonic()
    centre.e5b(*command)
    return time.monotonic() - begun


def living(centre: RealCentre) -> list[int]:
    return sorted(
        int(item.labels["fr.e5b.seat"]) for item in centre.containers() if item.labels["fr.e5b.role"] == "environment"
    )


@pytest.mark.parametrize("site", ["wordpress"])
def test_killed_in_every_phase(make_centre: Callable[..., RealCentre], site: str) -> None:
    seats = 3
    # One wave undisturbed, for how long each phase takes here and now.
    centre = make_centre(seats)
    centre.plan(site)
    took = {"prepare": timed(centre, "wave", "prepare"), "open": timed(centre, "wave", "open")}
    took["close"] = timed(centre, "wave", "close", "--early", "test")
    took["seal"], took["reset"] = timed(centre, "wave", "seal"), timed(centre, "wave", "reset")

    centre = make_centre(seats)
    wave = centre.plan(site)
    killed_at_every_moment(centre, ["wave", "prepare", wave], took["prepare"])
    centre.e5b("wave", "prepare", wave)
    assert living(centre) == [1, 2, 3]

    killed_at_every_moment(centre, ["wave", "open", wave], took["open"])
    # A kill may have come after the last step: opened is opened.
    if centre.json("wave", "list")[0]["state"] == "prepared":
        centre.e5b("wave", "open", wave)
    assert [centre.get(seat).status_code for seat in (1, 2, 3)] == [200] * 3
    work = centre.container(1)
    assert work.exec_run(["sh", "-c", "echo 'work of a candidate' > /var/www/site/wp-content/work.txt"]).exit_code == 0

    killed_at_every_moment(centre, ["wave", "close", wave, "--early", "test"], took["close"])
    if centre.json("wave", "list")[0]["state"] == "open":
        centre.e5b("wave", "close", wave, "--early", "test")

    killed_at_every_moment(centre, ["wave", "seal", wave], took["seal"])
    if centre.json("wave", "list")[0]["state"] == "closed":
        centre.e5b("wave", "seal", wave)
    assert work.name in {item.name for item in centre.containers()}

    killed_at_every_moment(centre, ["wave", "reset", wave], took["reset"])
    if centre.json("wave", "list")[0]["state"] == "sealed":
        centre.e5b("wave", "reset", wave)
    assert living(centre) == [1, 2, 3]
    evidence = [
        line["data"] for line in centre.json("journal", "show", "--wave", wave) if line["action"] == "seat.sealed"
    ]
    assert {item["archive"].split("/")[-1][:8] for item in evidence} == {"poste-01", "poste-02", "poste-03"}
    archive = next(
        centre.folder / "state/evidence" / item["archive"]
        for item in reversed(evidence)
        if "poste-01" in item["archive"]
    )
    kept = subprocess.run(
        ["tar", "xzOf", str(archive), "files/var/www/site/wp-content/work.txt"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert kept.stdout == "work of a candidate\n"
    centre.e5b("journal", "verify")


def test_two_commands_on_one_wave(make_centre: Callable[..., RealCentre]) -> None:
    """A second command says who holds the room; it does not join in."""
    centre = make_centre(2)
    centre.plan()
    first = centre.start("wave", "prepare")
    held = centre.folder / "state/locks/salle-1.lock"
    assert eventually(lambda: held.exists() and str(first.pid) in held.read_text(), 60)
    first.send_signal(19)  # SIGSTOP: it holds the room for as long as we like
    try:
        said = centre.e5b("wave", "prepare", code=7)
        assert "wave prepare" in said
        assert str(first.pid) in said
    finally:
        first.send_signal(18)
        assert first.wait(120) == 0

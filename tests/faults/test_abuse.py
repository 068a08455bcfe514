"""A candidate does to their own site what they can: the others work on as if nothing were."""

import pytest

from tests.faults.conftest import BAD, GOOD, FaultyCentre
from tests.faults.machine import until

FORK = "while (exec('sleep 30 >/dev/null 2>&1 & echo $!')) { }"
EAT = "ini_set('memory_limit', -1); for (;;) { $all[] = str_repeat('x', 1 << 20); }"
SPIN = "set_time_limit(0); for (;;) { }"


def others_work(wave: FaultyCentre) -> None:
    """The others log in, save a page and see it, each in a time in which a candidate would not complain."""
    with wave.saving(*GOOD):
        wave.until_saved(within=30)
    wave.check_saved()


@pytest.mark.parametrize(("program", "clients"), [(FORK, 2), (EAT, 6), (SPIN, 20)], ids=["forks", "eats", "spins"])
def test_a_program_that_never_ends(wave: FaultyCentre, program: str, clients: int) -> None:
    """It forks, eats memory or uses the processor without end, in many requests at once."""
    wave.plant(BAD, "never-ends.php", program)
    with wave.flooding(BAD, "/never-ends.php", clients):
        others_work(wave)
    wave.container(BAD).restart()
    wave.until_served(BAD)


def test_a_flood_of_requests(wave: FaultyCentre) -> None:
    with wave.flooding(BAD, "/?s=everything", 60):
        others_work(wave)
    wave.until_served(BAD)


def test_a_disk_that_is_filled(wave: FaultyCentre) -> None:
    """The site of the candidate who fills it is frozen, and said so; a reset gives them a new one."""
    wave.save_page(BAD, "Before the disk was filled")
    fill = (
        'for ($n = 0; $n < 15; $n++) { file_put_contents(__DIR__ . "/wp-content/uploads/$n", str_repeat("x", 20e6)); }'
    )
    wave.plant(BAD, "fill.php", fill)
    with wave.flooding(BAD, "/fill.php", 1):
        until(lambda: wave.container(BAD).status == "paused", 60, "the site is not frozen")
    others_work(wave)
    assert any(alarm["kind"] == "overflow" and alarm["seat"] == BAD for alarm in wave.json("alarm", "list"))
    wave.e5b("seat", "reset", str(BAD), "--yes")
    wave.until_served(BAD)
    del wave.saved[BAD]

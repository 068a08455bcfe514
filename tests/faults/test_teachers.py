"""Something is asked for at the very moment when something else happens."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.conftest import BUSY, REFUSED, FaultyCentre
from tests.faults.machine import Machine, until


def test_two_teachers_reset_the_same_seat(wave: FaultyCentre) -> None:
    """Both are told how it went, and what the candidate had done is sealed."""
    wave.save_page(3, "Before two teachers came")
    both = [wave.start("seat", "reset", "3", "--yes") for _teacher in range(2)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in both]
    codes = sorted(code for _out, _err, code in ended)
    assert codes in ([0, 0], [0, REFUSED], [0, BUSY]), ended
    wave.until_served(3)
    sealed = wave.archives(3)
    assert len(sealed) == codes.count(0)
    wave.check_sealed(3, sealed[0])
    wave.saved[3] = {}
    wave.save_page(3, "After two teachers came")
    wave.check_saved()


def test_a_restore_in_the_last_second(machine: Machine, tmp_path: Path) -> None:
    """It is done or refused; either way the wave is closed and sealed in time, and nothing that was saved is lost."""
    centre = FaultyCentre(machine, tmp_path, 1)
    centre.set(most=0)
    centre.plan(minutes=0.3)
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    centre.serve()
    try:
        (place,) = centre.json("wave", "status")["seats"]
        centre.save_page(1, "Before the restore point")
        centre.e5b("point", "take", "1")
        centre.save_page(1, "After the restore point")
        # The command takes about half a second until it looks at the time.
        last = datetime.fromisoformat(place["ends_at"]) - timedelta(seconds=1.5)
        time.sleep(max(timedelta(), last - datetime.now(UTC)).total_seconds())
        restore = centre.start("seat", "restore", "1", "--to", "last", "--yes")
        said = restore.communicate(timeout=60)
        assert restore.returncode in {0, REFUSED}, said
        until(lambda: centre.wave_state() == "sealed", 60, "the wave is not sealed")
        aside = [point["layer"] for point in centre.json("seat", "points", "1") if point["kind"] == "undo"]
        if restore.returncode == 0:
            # What the restore put aside is a restore point until the wave is reset.
            find = ["-rlaF", centre.saved[1].popitem()[1], "/var/lib/mysql"]
            assert machine.client.containers.run(aside[-1], find, entrypoint="grep", remove=True)
        centre.check_sealed(1)
        centre.e5b("journal", "verify")
    finally:
        centre.stop_serving()

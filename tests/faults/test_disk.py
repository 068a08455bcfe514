"""The engine's disk is full while restore points are taken."""

from tests.faults.conftest import NO_SPACE, FaultyCentre
from tests.faults.machine import ENGINE_DISK, until


def layers(wave: FaultyCentre) -> set[str]:
    return {str(image.id) for image in wave.client.images.list(all=True)}


def alarms(wave: FaultyCentre) -> set[str]:
    return {alarm["kind"] for alarm in wave.json("alarm", "list")}


def test_full_while_restore_points_are_taken(wave: FaultyCentre) -> None:
    """A point that does not fit leaves nothing behind; its seat works on; an alarm is on until there is room again."""
    wave.save_page(1, "Before the disk was full")
    wave.e5b("point", "take", "1")
    wave.upload_big(1, 60)
    wave.machine.fill(ENGINE_DISK, leave=40 * 10**6)
    try:
        said = wave.e5b("point", "take", "1", code=NO_SPACE)
        assert "No restore point is taken" in said
        until(lambda: "disk" in alarms(wave), 30, "no alarm")
        # Somebody who keeps no reserve: the disk is full in the middle of the point.
        wave.set(reserve_mb=0)
        before, free = layers(wave), wave.machine.free(ENGINE_DISK)
        wave.e5b("point", "take", "1", code=NO_SPACE)
        assert layers(wave) == before
        assert wave.machine.free(ENGINE_DISK) > free - 10 * 10**6
        assert "2" not in [str(point["number"]) for point in wave.json("seat", "points", "1")]
        wave.save_page(1, "While the disk was full")
    finally:
        wave.machine.make_room(ENGINE_DISK)
        wave.set(reserve_mb=4096)
    until(lambda: "disk" not in alarms(wave), 30, "the alarm stays on")
    wave.e5b("point", "take", "1")
    wave.check_saved()

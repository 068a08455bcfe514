"""The end of the wave that all the other faults came over: what was saved in it becomes evidence, whatever happens."""

import json

from tests.faults.conftest import BAD, GOOD, NO_SPACE, FaultyCentre
from tests.faults.machine import STATE_DISK, until


def test_the_disk_is_full_while_evidence_is_written(wave: FaultyCentre) -> None:
    """The error says so, nothing is lost, and ``e5b serve`` seals by itself as soon as there is room."""
    for seat in GOOD:
        wave.save_page(seat, f"The last page of seat {seat}")
    wave.check_saved()
    wave.machine.fill(STATE_DISK)
    try:
        said = wave.e5b("wave", "close", "--early", "test", code=NO_SPACE)
        assert "The disk is full" in said
        assert wave.wave_state() == "open"
    finally:
        wave.machine.make_room(STATE_DISK)
    wave.upload_big(2, 20)
    wave.machine.fill(STATE_DISK, leave=8 * 10**6)
    try:
        wave.e5b("wave", "close", "--early", "test")
        until(lambda: any("full" in json.dumps(said) for said in wave.said), 60, "e5b serve does not say it")
        wave.stop_serving()
        said = wave.e5b("wave", "seal", code=NO_SPACE)
        assert "full" in said
        assert wave.wave_state() == "closed"
        wave.serve()
    finally:
        wave.machine.make_room(STATE_DISK)
    until(lambda: wave.wave_state() == "sealed", 90, "the wave is not sealed")
    for seat in GOOD:
        wave.check_sealed(seat)
    wave.e5b("journal", "verify")


def test_evidence_is_damaged(wave: FaultyCentre) -> None:
    """One archive is cut short, another has a flipped bit: both are found, and sealed again from their layers."""
    cut, flipped = (wave.archives(seat)[-1] for seat in (1, 2))
    with cut.open("r+b") as file:
        file.truncate(cut.stat().st_size - 100)
    with flipped.open("r+b") as file:
        file.seek(flipped.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    said = wave.e5b("evidence", "verify", code=10)
    assert cut.name in said
    assert flipped.name in said
    wave.e5b("evidence", "verify", "--repair")
    wave.e5b("evidence", "verify")
    for seat in (1, 2):
        wave.check_sealed(seat)


def test_the_next_wave_finds_the_reference(wave: FaultyCentre) -> None:
    """After all that, the seats are reset and proved, those of the faults as well."""
    report = wave.json("wave", "reset")
    assert {seat["seat"]: seat["fault"] for seat in report["seats"]} == dict.fromkeys((*GOOD, BAD))
    wave.e5b("journal", "verify")

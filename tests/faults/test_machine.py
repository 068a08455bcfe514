"""The gateway, the engine or the whole machine goes away in the middle of a wave: all comes back, nothing is lost."""

import signal

import pytest

from tests.faults.conftest import GOOD, FaultyCentre
from tests.faults.machine import until


def saved_in_each(wave: FaultyCentre, count: int) -> None:
    """Wait until each candidate has saved *count* pages more than now."""
    before = {seat: len(wave.saved[seat]) for seat in GOOD}
    until(lambda: all(len(wave.saved[seat]) >= before[seat] + count for seat in GOOD), 120, "a candidate saves no page")


def test_the_gateway_is_killed(wave: FaultyCentre) -> None:
    with wave.saving(*GOOD):
        saved_in_each(wave, 1)
        gateway = next(item for item in wave.containers() if item.labels["fr.e5b.role"] == "gateway")
        for process in wave.machine.processes(gateway.id):
            process.kill()
        until(lambda: not wave.answers(1), 10, "the gateway goes on")
        saved_in_each(wave, 1)
    wave.check_saved()


def test_the_controller_is_killed(wave: FaultyCentre) -> None:
    """Nobody at a seat notices; a new one takes up where it was."""
    with wave.saving(1):
        saved = len(wave.saved[1])
        assert wave.clock is not None
        wave.clock.send_signal(signal.SIGKILL)
        wave.clock.wait(30)
        until(lambda: len(wave.saved[1]) > saved, 60, "no page is saved")
    wave.serve()
    wave.check_saved()


@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_the_engine_ends(wave: FaultyCentre, ending: str) -> None:
    with wave.saving(*GOOD):
        saved_in_each(wave, 1)
        with wave.credited(*GOOD):
            wave.machine.stop_engine() if ending == "stopped" else wave.machine.kill_engine()
            until(lambda: not wave.answers(1), 30, "the sites go on") if ending == "stopped" else None
            wave.machine.start_engine()
            until(lambda: not wave.answers(1), 10, "the sites go on") if ending == "killed" else None
        saved_in_each(wave, 1)
    wave.check_saved()
    assert wave.clock is not None
    assert wave.clock.poll() is None, f"e5b serve has ended: {wave.said}"


@pytest.mark.parametrize("how", ["killed", "unplugged"])
def test_the_machine_goes_down(wave: FaultyCentre, how: str) -> None:
    """Engine, containers and controller all die at one instant; unplugged: with what was on no disk yet."""
    with wave.saving(*GOOD):
        saved_in_each(wave, 2)
        wave.machine.kill() if how == "killed" else wave.machine.pull_plug()
    wave.machine.boot()
    wave.serve()
    wave.until_served()
    wave.check_saved()
    with wave.saving(*GOOD):
        saved_in_each(wave, 1)

"""The gateway, the engine or the whole machine goes away in the middle of a wave: all comes back, nothing is lost."""

import signal

import pytest

from tests.faults.conftest import GOOD, FaultyCentre
from tests.faults.machine import until


def test_the_gateway_is_killed(wave: FaultyCentre) -> None:
    with wave.saving(*GOOD):
        wave.until_saved()
        gateway = next(item for item in wave.containers() if item.labels["fr.e5b.role"] == "gateway")
        for process in wave.machine.processes(gateway.id):
            process.kill()
        until(lambda: not wave.answers(1), 10, "the gateway goes on")
        wave.until_saved()
    wave.check_saved()


def test_the_controller_is_killed(wave: FaultyCentre) -> None:
    """Nobody at a seat notices; a new one takes up where it was."""
    with wave.saving(1):
        assert wave.clock is not None
        wave.clock.send_signal(signal.SIGKILL)
        wave.clock.wait(30)
        wave.until_saved(1)
    wave.serve()
    wave.check_saved()


@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_the_engine_ends(wave: FaultyCentre, ending: str) -> None:
    with wave.saving(*GOOD):
        wave.until_saved()
        with wave.credited(*GOOD):
            wave.machine.stop_engine() if ending == "stopped" else wave.machine.kill_engine()
            until(lambda: not wave.answers(1), 30, "the sites go on") if ending == "stopped" else None
            wave.machine.start_engine()
            until(lambda: not wave.answers(1), 10, "the sites go on") if ending == "killed" else None
        wave.until_saved()
    wave.check_saved()
    assert wave.clock is not None
    assert wave.clock.poll() is None, f"e5b serve has ended: {wave.said}"


@pytest.mark.parametrize("how", ["killed", "unplugged"])
def test_the_machine_goes_down(wave: FaultyCentre, how: str) -> None:
    """Engine, containers and controller all die at one instant; unplugged: with what was on no disk yet."""
    with wave.saving(*GOOD):
        wave.until_saved(more=2)
        wave.machine.kill() if how == "killed" else wave.machine.pull_plug()
    wave.machine.boot()
    wave.serve()
    wave.until_served()
    wave.check_saved()
    with wave.saving(*GOOD):
        wave.until_saved()

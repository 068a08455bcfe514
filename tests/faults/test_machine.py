"""The gateway, the engine or the whole machine goes away in the middle of a wave: all comes back, nothing is lost."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import GOOD, FaultyCentre
from tests.faults.machine import Machine, until


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


FAULTS: dict[str, Callable[[Machine], None]] = {
    "the engine is stopped": Machine.stop_engine,
    "the engine is killed": Machine.kill_engine,
    # Engine, containers and controller all die at one instant…
    "the machine is killed": Machine.kill,
    # … and what was on no disk yet is not there any more.
    "the machine is unplugged": Machine.pull_plug,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_down_and_up_again(wave: FaultyCentre, fault: str) -> None:
    with wave.saving(*GOOD):
        wave.until_saved(more=2)
        with wave.credited(*GOOD):
            FAULTS[fault](wave.machine)
            # Somebody notices, and starts it again.
            time.sleep(3)
            if wave.machine.running:
                wave.machine.start_engine()
            else:
                wave.machine.boot()
                wave.serve()
        wave.until_saved()
    # What lay only in memory may be of pages that were found before.
    wave.check_saved(again="unplugged" in fault)
    assert wave.clock is not None
    assert wave.clock.poll() is None, f"e5b serve has ended: {wave.said}"

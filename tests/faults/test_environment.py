"""One environment of an open wave meets with a fault: it comes back by itself, with every page that was saved."""

from tests.faults.conftest import FaultyCentre
from tests.faults.machine import until


def test_a_container_is_killed(wave: FaultyCentre) -> None:
    wave.save_page(1, "Before the container was killed")
    wave.container(1).kill()
    wave.until_served(1)
    wave.check_saved(1)


def test_all_its_processes_are_killed_in_the_middle_of_saving(wave: FaultyCentre) -> None:
    with wave.saving(1):
        wave.until_saved(1, more=3)
        for process in wave.processes(1):
            process.kill()
        wave.until_served(1)
        wave.until_saved(1)
    wave.check_saved()


def test_its_database_is_killed_in_the_middle_of_saving(wave: FaultyCentre) -> None:
    with wave.saving(2):
        wave.until_saved(2, more=2)
        for _kill in range(3):
            for process in wave.processes(2):
                if process.name() == "mariadbd":
                    process.kill()
            wave.until_saved(2)
    wave.check_saved()


def test_the_kernel_kills_what_takes_all_its_memory(wave: FaultyCentre) -> None:
    wave.save_page(3, "Before the memory was eaten")
    container = wave.container(3).id
    before = wave.machine.memory_kills(container)
    wave.plant(3, "eat.php", "ini_set('memory_limit', -1); for (;;) { $all[] = str_repeat('x', 1 << 20); }")
    with wave.flooding(3, "/eat.php", 4):
        until(lambda: wave.machine.memory_kills(container) >= before + 4, 60, "the kernel kills nothing")
    wave.until_served(3)
    wave.save_page(3, "After the memory was eaten")
    wave.check_saved()


def test_its_processes_stand_still(wave: FaultyCentre) -> None:
    """One container is paused by somebody, in another every process is stopped: both go on, and get their time back."""
    for seat in (1, 2):
        wave.save_page(seat, f"Before the site of seat {seat} stood still")
    with wave.credited(1, 2):
        wave.container(1).pause()
        for process in wave.processes(2):
            process.suspend()
    wave.check_saved()

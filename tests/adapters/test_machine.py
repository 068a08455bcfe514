"""The machine: locks that end with their process, and facts that are those of this machine."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.adapters.machine import ExamClock, FileLocks, SystemHost, actor
from orchestrator.errors import Busy

HOLD = (
    "import sys, time; from pathlib import Path; from orchestrator.adapters.machine import FileLocks, ExamClock\n"
    "locks = FileLocks(Path(sys.argv[1]), ExamClock(Path(sys.argv[1], 'clock')))\n"
    "with {lock}: print('held', flush=True); time.sleep(60)"
)


@contextmanager
def another_process(folder: Path, lock: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Which holds *lock* until it is killed."""
    script = HOLD.format(lock=lock)
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def locks(folder: Path, wait: float = 0.2) -> FileLocks:
    return FileLocks(folder, ExamClock(folder / "clock.json"), wait)


def test_a_second_process_is_told_who_holds_the_room(tmp_path: Path) -> None:
    with another_process(tmp_path, "locks.room('salle-1', 'wave prepare w1')") as holder:
        with pytest.raises(Busy) as raised, locks(tmp_path).room("salle-1", "wave open w1"):
            pass
        for told in ("salle-1", actor(), "wave prepare w1", str(holder.pid)):
            assert told in raised.value.message
        assert raised.value.hint
        with locks(tmp_path).room("salle-2", "wave open w2"):
            pass


def test_a_holder_that_is_killed_gives_the_room_back(tmp_path: Path) -> None:
    with another_process(tmp_path, "locks.room('salle-1', 'wave prepare w1')") as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locks(tmp_path).room("salle-1", "wave prepare w1"):
            pass


def test_a_short_wait_is_waited_for(tmp_path: Path) -> None:
    with another_process(tmp_path, "locks.room('salle-1', 'wave prepare w1')") as holder:
        threading.Timer(0.3, holder.kill).start()
        with locks(tmp_path, wait=10).room("salle-1", "wave open w1"):
            pass


def test_within_one_process_as_well(tmp_path: Path) -> None:
    first, second = locks(tmp_path), locks(tmp_path)
    with first.room("salle-1", "wave seal w1"), pytest.raises(Busy), second.room("salle-1", "wave reset w1"):
        pass
    with locks(tmp_path).room("salle-1", "wave reset w1"):
        pass


def test_a_command_that_fails_gives_the_room_back(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locks(tmp_path).room("salle-1", "wave seal w1"):
        raise RuntimeError
    with locks(tmp_path).room("salle-1", "wave seal w1"):
        pass


def test_a_holder_that_has_not_written_its_name_yet(tmp_path: Path) -> None:
    with locks(tmp_path).room("salle-1", "wave seal w1"):
        (tmp_path / "salle-1.lock").write_text("")
        with pytest.raises(Busy) as raised, locks(tmp_path).room("salle-1", "x"):
            pass
    assert "salle-1" in raised.value.message


def _add(folder: Path, number: Path, times: int) -> None:
    for _time in range(times):
        with locks(folder).centre():
            value = int(number.read_text())
            time.sleep(0.001)
            number.write_text(str(value + 1))


def test_what_all_rooms_share_is_changed_in_turn(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_add, args=(tmp_path, number, 20)) for _process in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert number.read_text() == "60"


def test_what_all_rooms_share_is_given_back_by_a_process_that_is_killed(tmp_path: Path) -> None:
    with another_process(tmp_path, "locks.centre()") as holder:
        holder.kill()
        holder.wait()
        with locks(tmp_path).centre():
            pass


# Facts


def test_a_port_in_use_says_by_whom() -> None:
    host = SystemHost()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for address in ("127.0.0.1", "0.0.0.0"):
            assert str(os.getpid()) in (host.port_holder(address, port) or "")
        assert host.port_holder("192.0.2.1", port) is None
    assert host.port_holder("127.0.0.1", port) is None


def test_a_connection_is_not_a_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert SystemHost().port_holder("127.0.0.1", client.getsockname()[1]) is None


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert SystemHost().disk_free(tmp_path / "not" / "yet") == pytest.approx(SystemHost().disk_free(tmp_path), rel=0.1)


def test_facts_of_this_machine() -> None:
    host = SystemHost()
    assert host.cpus() >= 1 and host.memory_available() > 10**6
    assert host.clock_synchronised() in {True, False, None}
    assert all("/" in network or network.count(".") == 3 for network in host.networks())


def test_the_journal_names_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "technicien")
    assert actor() == "technicien"
    monkeypatch.delenv("SUDO_USER")
    assert actor()

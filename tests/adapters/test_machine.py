"""The machine: locks that end with their process, and facts that are those of this machine."""

import errno
import json
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
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.adapters import machine
from orchestrator.adapters.machine import ExamClock, FileLocks, Moment, SystemHost, actor
from orchestrator.errors import Busy, E5BError

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


def test_who_is_not_patient_is_told_at_once(tmp_path: Path) -> None:
    # An hour's wait would not end in time.
    second = locks(tmp_path, wait=3600).room("salle-1", "point take 7", patient=False)
    with locks(tmp_path).room("salle-1", "seat reset 7"), pytest.raises(Busy) as raised, second:
        pass
    assert "seat reset 7" in raised.value.message


def test_one_process_supervises(tmp_path: Path) -> None:
    assert not locks(tmp_path).supervised()
    with another_process(tmp_path, "locks.supervisor()") as holder:
        assert locks(tmp_path).supervised() and locks(tmp_path).supervised()
        with pytest.raises(Busy) as raised, locks(tmp_path).supervisor():
            pass
        assert str(holder.pid) in raised.value.message and raised.value.hint
        # Who only asks does not take its place, nor its name away.
        assert f'"pid": {holder.pid}' in (tmp_path / ".supervisor.lock").read_text()
        with locks(tmp_path).room("salle-1", "wave open w1"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert not locks(tmp_path).supervised()
        with locks(tmp_path).supervisor():
            assert locks(tmp_path).supervised()
    assert not locks(tmp_path).supervised()


def test_whoever_asks_meanwhile_does_not_keep_a_supervisor_from_starting(tmp_path: Path) -> None:
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            locks(tmp_path).supervised()

    asking = [threading.Thread(target=ask) for _thread in range(3)]
    for thread in asking:
        thread.start()
    try:
        for _time in range(20):
            with locks(tmp_path, wait=20).supervisor():
                pass
    finally:
        ended.set()
        for thread in asking:
            thread.join()


# The exam's clock


class Machine:
    """A machine's own clocks, which a test sets."""

    def __init__(self) -> None:
        self.system = datetime(2027, 5, 11, 8, 0, tzinfo=UTC)
        self.boot, self.since_boot = "first", 1000.0

    def present(self) -> Moment:
        return Moment(self.system, self.system, self.boot, self.since_boot)

    def passes(self, seconds: float) -> None:
        self.system += timedelta(seconds=seconds)
        self.since_boot += seconds

    def set_by(self, **duration: float) -> None:
        self.system += timedelta(**duration)

    def reboots(self, seconds: float) -> None:
        """And is up again after *seconds*."""
        self.system += timedelta(seconds=seconds)
        self.boot, self.since_boot = self.boot + "+", 5.0


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Machine:
    own = Machine()
    monkeypatch.setattr(ExamClock, "_present", own.present)
    return own


@pytest.fixture
def clock(tmp_path: Path, own: Machine) -> ExamClock:
    return ExamClock(tmp_path / "state" / "clock.json")


def test_before_anything_was_noted_it_shows_the_systems_time(clock: ExamClock, own: Machine) -> None:
    assert clock.now() == own.system and clock.noted() is None and clock.drift() == timedelta()
    own.set_by(hours=5)
    assert clock.now() == own.system


@pytest.mark.parametrize("hours", [5, -5, 24 * 365, -24 * 365])
def test_a_system_clock_that_is_set_changes_nothing(clock: ExamClock, own: Machine, hours: float) -> None:
    clock.follow()
    begun = clock.now()
    own.passes(600)
    own.set_by(hours=hours)
    assert clock.now() == begun + timedelta(minutes=10) and clock.drift() == timedelta(hours=hours)
    clock.note()
    own.passes(60)
    assert clock.now() == begun + timedelta(minutes=11)
    # Another process reads the same time.
    assert ExamClock(clock._file).now() == clock.now()
    own.set_by(hours=-hours)
    assert clock.now() == begun + timedelta(minutes=11) and clock.drift() == timedelta()


def test_noting_again_and_again_loses_no_second(clock: ExamClock, own: Machine) -> None:
    clock.follow()
    begun = clock.now()
    for _note in range(100):
        own.passes(1.7)
        own.set_by(seconds=3)
        clock.note()
    assert clock.now() - begun == timedelta(seconds=170)


def test_it_follows_when_it_is_told_to(clock: ExamClock, own: Machine) -> None:
    clock.follow()
    own.set_by(hours=-2)
    assert clock.now() != own.system
    clock.follow()
    assert clock.now() == own.system and clock.drift() == timedelta()


def test_after_a_reboot_it_goes_on_from_what_was_noted_last(clock: ExamClock, own: Machine) -> None:
    clock.follow()
    begun = clock.now()
    own.passes(600)
    clock.note()
    own.passes(2)
    noted = clock.noted()
    assert noted is not None and (noted.at, noted.rebooted) == (begun + timedelta(minutes=10), False)
    own.reboots(90)
    noted = clock.noted()
    assert noted is not None and (noted.at, noted.rebooted) == (begun + timedelta(minutes=10), True)
    assert clock.now() == begun + timedelta(seconds=600 + 2 + 90)
    clock.note()
    own.passes(10)
    assert clock.now() == begun + timedelta(seconds=702)
    noted = clock.noted()
    assert noted is not None and not noted.rebooted


@pytest.mark.parametrize("hours", [3, -3])
def test_a_system_clock_that_was_set_before_a_reboot_stays_out_of_it(
    clock: ExamClock, own: Machine, hours: float
) -> None:
    clock.follow()
    begun = clock.now()
    own.set_by(hours=hours)
    own.passes(60)
    clock.note()
    own.reboots(30)
    assert clock.now() == begun + timedelta(seconds=90)


def test_time_never_goes_backwards_over_a_reboot(clock: ExamClock, own: Machine) -> None:
    """Of a machine whose hardware clock has an empty battery, no second counts, and none is taken away."""
    clock.follow()
    begun = clock.now()
    own.passes(60)
    clock.note()
    own.reboots(-40 * 365 * 86400)
    assert clock.now() == begun + timedelta(seconds=60)
    clock.note()
    own.passes(5)
    assert clock.now() == begun + timedelta(seconds=65)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"at": "x", "system": "x", "boot": "x", "since_boot": 1}',
        '{"at": "2027-05-11T08:00:00+00:00", "system": "2027-05-11T08:00:00+00:00", "boot": "b", "since_boot": null}',
    ],
)
def test_a_file_that_cannot_be_read_is_said_and_not_passed_over(clock: ExamClock, content: str) -> None:
    clock.follow()
    clock._file.write_text(content, encoding="ascii")
    for use in (clock.now, clock.note, clock.noted, clock.drift):
        with pytest.raises(E5BError) as raised:
            use()
        assert str(clock._file) in raised.value.message and raised.value.hint
    assert clock._file.read_text(encoding="ascii") == content
    clock.follow()
    clock.now()


def test_a_full_disk_keeps_what_was_noted_before(
    clock: ExamClock, own: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.follow()
    begun = clock.now()
    own.passes(30)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(machine.os, "fsync", full)
        clock.note()
    own.set_by(hours=1)
    own.passes(30)
    assert clock.now() == begun + timedelta(minutes=1)
    assert [path.name for path in clock._file.parent.iterdir()] == [clock._file.name]


def test_what_is_noted_is_there_whole_or_not_at_all(clock: ExamClock, own: Machine) -> None:
    """Readers in other processes never see half a file."""
    clock.follow()
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            clock.note()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(ExamClock(clock._file).now() == own.system for _time in range(500))
    finally:
        ended.set()
        writer.join()


def test_this_machines_own_clocks(tmp_path: Path) -> None:
    clock = ExamClock(tmp_path / "clock.json")
    clock.follow()
    first = clock.now()
    assert abs(datetime.now(UTC) - first) < timedelta(seconds=5) and clock.now() >= first
    assert abs(clock.drift()) < timedelta(seconds=5)
    noted = clock.noted()
    assert noted is not None and not noted.rebooted
    found = json.loads((tmp_path / "clock.json").read_text())
    (tmp_path / "clock.json").write_text(json.dumps({**found, "boot": "another"}))
    noted = clock.noted()
    assert noted is not None and noted.rebooted and clock.now() >= first


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

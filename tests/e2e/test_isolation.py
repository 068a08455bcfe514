"""A candidate reaches one site, their own; an environment reaches nothing; one runaway does not slow another."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.conftest import RealCentre, eventually

CONNECT = "exit(@fsockopen('tcp://{host}', {port}, $e, $m, 3) ? 0 : 1);"


@pytest.fixture
def open_centre(make_centre: Callable[..., RealCentre]) -> RealCentre:
    centre = make_centre(2)
    centre.plan()
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    return centre


def reaches(centre: RealCentre, host: str, port: int) -> bool:
    return centre.run_in(1, "php", "-r", CONNECT.format(host=host, port=port))[0] == 0


def test_an_environment_reaches_nothing(open_centre: RealCentre) -> None:
    """Not another site, not the host, not the gateway, not the web, no name; itself it does (the probe's control)."""
    centre = open_centre
    networks = {seat: centre.container(seat).attrs["NetworkSettings"]["Networks"] for seat in (1, 2)}
    addresses = {seat: next(iter(found.values()))["IPAddress"] for seat, found in networks.items()}
    assert reaches(centre, addresses[1], 80)
    assert reaches(centre, "127.0.0.1", 80)
    bridge = addresses[1].rsplit(".", 1)[0] + ".1"
    assert not reaches(centre, addresses[2], 80)
    assert not reaches(centre, bridge, centre.first_port)
    assert not reaches(centre, bridge, 22)
    assert not reaches(centre, "192.0.2.1", 80)
    begun = time.monotonic()
    code, text = centre.run_in(1, "php", "-r", "exit(gethostbyname('example.org') === 'example.org' ? 0 : 1);")
    assert code == 0, text
    assert time.monotonic() - begun < 3, "a name that cannot be found must fail at once, or pages hang"


def test_what_an_environment_may_do(open_centre: RealCentre) -> None:
    """No new privileges, six capabilities, no raw sockets, limits of memory, processes, processors and file size."""
    host = open_centre.container(1).attrs["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert sorted(host["CapAdd"]) == ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert not host["Privileged"]
    assert host["Memory"] == host["MemorySwap"] == 640 * 2**20
    assert (host["PidsLimit"], host["NanoCpus"]) == (160, 1_000_000_000)
    assert not host["Binds"]
    _code, status = open_centre.run_in(1, "cat", "/proc/1/status")
    assert "NoNewPrivs:\t1" in status


def test_one_runaway_does_not_stop_another(open_centre: RealCentre) -> None:
    """Seat 1 forks without end, eats memory and processors; seat 2 goes on, and seat 1 is alive afterwards."""
    centre = open_centre
    container = centre.container(1)
    before = min(page_time(centre, 2) for _ in range(5))
    container.exec_run(["sh", "-c", "while :; do sleep 60 & done"], user="www-data", detach=True)
    container.exec_run(
        ["php", "-d", "memory_limit=-1", "-r", "$a=[]; while (true) $a[] = str_repeat('x', 1<<20);"],
        user="www-data",
        detach=True,
    )
    container.exec_run(["sh", "-c", "for i in 1 2 3 4; do (while :; do :; done) & done"], user="www-data", detach=True)
    time.sleep(3)
    during = [page_time(centre, 2) for _ in range(5)]
    # It holds one of the two or more processors: the other seat is slower at most, never stopped.
    assert max(during) < max(5.0, 10 * before), (before, during)
    assert int(container.attrs["HostConfig"]["PidsLimit"]) >= len(container.top()["Processes"])
    container.restart(timeout=10)
    assert eventually(lambda: centre.get(1).status_code == 200, 60)


def page_time(centre: RealCentre, seat: int) -> float:
    begun = time.monotonic()
    assert centre.get(seat).status_code == 200
    return time.monotonic() - begun


def test_the_disk_is_bounded(make_centre: Callable[..., RealCentre]) -> None:
    """One file never exceeds the allowance; what does is frozen, and its work can still be sealed."""
    centre = make_centre(1)
    settings = centre.folder / "centre.toml"
    settings.write_text(settings.read_text().replace("disk_mb = 2048", "disk_mb = 256"))
    centre.plan()
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    code, text = centre.run_in(1, "sh", "-c", "head -c 300000000 /dev/zero > /var/www/site/wp-content/uploads/big")
    assert code == 128 + signal.SIGXFSZ, f"the kernel ends a file at the allowance: {code}, {text}"
    clock = centre.start("serve", "--json")
    try:
        # With what the site itself has written that is too much.
        frozen = eventually(lambda: centre.container(1).status == "paused", 90)
    finally:
        clock.terminate()
        out, err = clock.communicate(timeout=30)
    assert frozen, f"{centre.container(1).status}\n{out}\n{err}"
    assert "too much written" in out
    centre.e5b("wave", "close", "--early", "test")
    assert len(centre.json("wave", "seal")["evidence"]) == 1
    centre.e5b("wave", "reset")


def test_work_survives_the_engine_killing_it(open_centre: RealCentre) -> None:
    """A container killed in the middle comes back by itself with what was saved; so does the gateway."""
    centre = open_centre
    container = centre.container(1)
    code, text = centre.run_in(1, "sh", "-c", "echo saved > /var/www/site/wp-content/uploads/saved.txt; sync")
    assert code == 0, text
    container.exec_run(["sh", "-c", "kill -9 -1"])
    assert eventually(lambda: centre.get(1, "/wp-content/uploads/saved.txt").text == "saved\n", 60)
    gateway = next(item for item in centre.containers() if item.labels["fr.e5b.role"] == "gateway")
    inside = gateway.attrs["State"]["Pid"]
    os.kill(inside, 9)
    assert eventually(lambda: answers(centre), 30)


def answers(centre: RealCentre) -> bool:
    try:
        return centre.get(2).status_code == 200
    except OSError:
        return False

"""What the guard's engines wrote, read as attempts. That they write so is tested in test_guard.py."""

import json
from pathlib import Path

import pytest

from orchestrator.adapters import guard_logs
from orchestrator.ports import Attempt

SEATS = {"192.0.2.6": 0, "10.77.0.11": 1, "10.77.0.12": 2}
AT = "2027-05-11T08:00:00.123+00:00"


def packet(prefix: str, source: str, target: str, protocol: int, port: int | None = None) -> str:
    found = {"oob.prefix": prefix, "src_ip": source, "dest_ip": target, "ip.protocol": protocol, "dest_port": port}
    return json.dumps({key: value for key, value in found.items() if value is not None})


def read(folder: Path, *lines: str, mark: str = "") -> list[Attempt]:
    (folder / "00000001.log").write_text("".join(f"{AT} {line}\n" for line in lines), encoding="utf-8")
    return list(guard_logs.attempts(folder, SEATS, mark))


@pytest.mark.parametrize(
    ("line", "seat", "address", "what", "layer"),
    [
        ("haproxy refused tls 10.77.0.11 Drive.Test. refused:documents", 1, "10.77.0.11", "drive.test", "name"),
        ("haproxy refused tls 127.0.1.2 drive.test refused:documents", 2, "10.77.0.12", "drive.test", "name"),
        ("haproxy refused tls 10.77.0.11 - refused:form", 1, "10.77.0.11", "443/tcp", "name"),
        ("haproxy refused web 10.77.0.12 - -", 2, "10.77.0.12", "80/tcp", "name"),
        ("haproxy refused proxy 10.77.0.99 a.test%3a22 refused:port", None, "10.77.0.99", "a.test:22", "name"),
        ("haproxy refused proxy 10.77.0.12 Drive.Test%3a443 refused:messaging", 2, "10.77.0.12", "drive.test", "name"),
        ("dnsmasq-exam dnsmasq[9]: 5 10.77.0.11/4242 config A.Test is 192.0.2.1", 1, "10.77.0.11", "a.test", "dns"),
        (f"ulogd {packet('seat', '10.77.0.11', '1.2.3.4', 17, 443)}", 1, "10.77.0.11", "1.2.3.4:443/udp", "network"),
        (f"ulogd {packet('seat', '192.0.2.6', '1.2.3.4', 1)}", 0, "192.0.2.6", "1.2.3.4 icmp", "network"),
        # A seat's address on another machine.
        (f"ulogd {packet('unknown', '10.77.0.11', '1.2.3.4', 6, 80)}", None, "10.77.0.11", "1.2.3.4:80/tcp", "network"),
    ],
)
def test_a_line_is_an_attempt(tmp_path: Path, line: str, seat: int | None, address: str, what: str, layer: str) -> None:
    [found] = read(tmp_path, line)
    assert (found.seat, found.address, found.what, found.layer) == (seat, address, what, layer)
    assert found.line == line.split(" ", 1)[1]
    assert found.at.isoformat(timespec="milliseconds") == AT


@pytest.mark.parametrize(
    "line",
    [
        "haproxy [NOTICE] (14) : haproxy version is 3.0.11",
        "haproxy refused tls 10.77.0.11",
        "dnsmasq-exam dnsmasq[9]: possible DNS-rebind attack detected: inside.test",
        "ulogd Tue May 11 08:00:00 2027 <5> ulogd.c:408 registering plugin `NFLOG'",
        'ulogd {"src_ip": "10.77.0.11"}',
        "ulogd [1, 2]",
        "",
    ],
)
def test_what_else_they_say_is_passed_over(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, line) == []


def test_reading_goes_on_from_a_mark(tmp_path: Path) -> None:
    """Over the end of a file, and where the marked file has made room meanwhile; a line that is being written is left
    for the next time."""
    line = "haproxy refused tls 10.77.0.11 {name} refused:social"
    first, second = read(tmp_path, line.format(name="a.test"), line.format(name="b.test"))
    (tmp_path / "00000002.log").write_text(f"{AT} {line.format(name='c.test')}\n{AT} haproxy refused tls 10.77")

    def after(mark: str) -> list[str]:
        return [item.what for item in guard_logs.attempts(tmp_path, SEATS, mark)]

    assert after("") == ["a.test", "b.test", "c.test"]
    assert after(first.mark) == ["b.test", "c.test"]
    assert after(second.mark) == ["c.test"]
    (tmp_path / "00000001.log").unlink()
    assert after(first.mark) == ["c.test"]
    assert after("what is this") == ["c.test"]

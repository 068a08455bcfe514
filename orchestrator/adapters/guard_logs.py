"""What the guard's engines wrote of what they refused: lines of `time engine what-it-said` in numbered files."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from orchestrator.adapters.guard_layout import HOPS
from orchestrator.ports import Attempt

_HAPROXY = re.compile(r"refused (tls|web|proxy) (\S+) (\S+) (\S+)$")
_DNSMASQ = re.compile(r"\S+: \d+ ([\d.]+)/\d+ config (\S+) is \S+$")
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}
_NAMELESS = {"tls": "443/tcp", "web": "80/tcp", "proxy": "proxy"}


def attempts(folder: Path, seats: Mapping[str, int], mark: str) -> Iterator[Attempt]:
    """Those after *mark* (`file:offset`), oldest first. *seats*: number by address. What the engines say besides is
    passed over."""
    after, offset = _parsed(mark)
    for number, path in sorted((int(path.stem), path) for path in folder.glob("*.log")):
        if number < after:
            continue
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # The oldest, which has just made room.
        with file:
            position = offset if number == after else 0
            file.seek(position)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break  # It is being written.
                position += len(raw)
                attempt = _attempt(raw.decode(errors="replace").rstrip("\n"), seats, f"{number}:{position}")
                if attempt is not None:
                    yield attempt


def _parsed(mark: str) -> tuple[int, int]:
    number, _colon, offset = mark.partition(":")
    return (int(number), int(offset)) if number.isdigit() and offset.isdigit() else (0, 0)


def _attempt(text: str, seats: Mapping[str, int], mark: str) -> Attempt | None:
    time, _space, rest = text.partition(" ")
    engine, _space, line = rest.partition(" ")
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        return None
    if engine == "ulogd":
        return _of_network(at, line, seats, mark)
    if engine == "haproxy" and (found := _HAPROXY.match(line)):
        where, client, name, _verdict = found.groups()
        # What a client sent is written with its special characters encoded. The usual port of a tunnel is not told: the
        # attempt counts with those at the same name.
        what = _NAMELESS[where] if name == "-" else unquote(name).lower().removesuffix(":443").rstrip(".")
        if client.startswith(HOPS):
            number = int(client.removeprefix(HOPS))
            client = next((address for address, seat in seats.items() if seat == number), client)
        return Attempt(at, seats.get(client), client, what, "name", line, mark)
    if engine == "dnsmasq-exam" and (found := _DNSMASQ.match(line)):
        return Attempt(at, seats.get(found[1]), found[1], found[2].lower(), "dns", line, mark)
    return None


def _of_network(at: datetime, line: str, seats: Mapping[str, int], mark: str) -> Attempt | None:
    """A packet that nftables refused, as ulogd writes it: one JSON object."""
    try:
        packet = json.loads(line)
        source, target = packet["src_ip"], packet["dest_ip"]
        protocol = _PROTOCOLS.get(packet["ip.protocol"], str(packet["ip.protocol"]))
    except (ValueError, KeyError, TypeError):
        return None
    port = packet.get("dest_port")
    what = f"{target} {protocol}" if port is None else f"{target}:{port}/{protocol}"
    # The address of a seat on another machine is none.
    seat = seats.get(source) if packet.get("oob.prefix") == "seat" else None
    return Attempt(at, seat, source, what, "network", line, mark)

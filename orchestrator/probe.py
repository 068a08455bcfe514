"""What can be reached from here? Read a plan, try everything in it, write what was reached.

This file is complete in itself: the standard library of Python 3.8 is all that it needs. It is run from where a seat
stands: in a container on the seats' side, or on a laptop on a seat's cable. It judges nothing: what should be closed
is known to the one who compares what it reached with the guard off and with the guard on (orchestrator/domain/probes).

    python3 probe.py [ANSWER] <PLAN

PLAN is a JSON object: ``probes`` (a list of objects with ``id``, ``kind`` and what that kind takes, see KINDS),
``resolver`` (the name server's address; null: this machine's own), ``page`` (the address that the guard gives for a
blocked name), ``proxy`` (``address:port``, or null), ``pin`` (names whose addresses are to be kept), ``pins`` (name ->
addresses). ``@host`` in the place of an address is ``host``, the exam host; null: this machine's router. The answer is
a JSON object: ``results`` (id -> ``reached``, ``detail``, ``seconds``), ``pins``. ANSWER is the file of an earlier
answer, whose pins are used: a name's address as it was while nothing was closed.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PLAN: dict[str, Any] | None = None
"""Written here by `e5b guard probe --script`: such a copy reads no plan."""

HOST = "@host"

TIMEOUT = 4.0
"""Seconds that one step may take."""

TOGETHER = 16
"""Probes at a time."""

RECORD = 16
"""Bytes of a ClientHello in each part, when it is sent in parts."""

TYPES = {"A": 1, "CNAME": 5, "NULL": 10, "TXT": 16, "AAAA": 28, "HTTPS": 65}

INSIDE = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.2.0/24",
        "192.168.0.0/16",
    )
]
"""An address of these is no answer for a name of the Internet: it is how a blocked one is answered."""

PAGE_HEADER = "x-e5b-page"
"""Only our own pages carry it: they say that something was not reached."""


class NotReached(Exception):
    """Something answered, but not what was asked for."""


class Probes:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.host = plan.get("host") or own_router()
        self.resolver = self.place(plan.get("resolver") or own_resolver())
        self.page = plan.get("page")
        proxy = plan.get("proxy")
        self.proxy = None if not proxy else (self.place(proxy.rpartition(":")[0]), int(proxy.rpartition(":")[2]))
        self.pins: dict[str, list[str]] = dict(plan.get("pins") or {})
        for name in plan.get("pin") or []:
            if name not in self.pins:
                try:
                    self.pins[name] = self.lookup(name)
                except (OSError, NotReached, ValueError):
                    self.pins[name] = []

    def run(self, probe: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        begun, reached = time.monotonic(), False
        try:
            detail = KINDS[probe["kind"]](self, probe)
            reached = True
        except NotReached as error:
            detail = str(error)
        except (OSError, EOFError, ValueError) as error:
            detail = f"{type(error).__name__}: {error}"
        seconds = round(time.monotonic() - begun, 3)
        return probe["id"], {"reached": reached, "detail": detail[:200], "seconds": seconds}

    def place(self, address: str) -> str:
        return self.host if address == HOST else address

    # Names

    def lookup(self, name: str) -> list[str]:
        return [value for kind, value in query(self.resolver, name, "A") if kind == TYPES["A"]]

    def address(self, probe: dict[str, Any]) -> str:
        """Where a probe goes: ``to``, an address or a name of which the address was kept; or the name that it is about,
        as the resolver knows it now."""
        to = probe.get("to")
        if to is None:
            found = self.lookup(probe["name"])
            if not found:
                raise NotReached(f"{probe['name']}: no address")
            return found[0]
        if to in self.pins:
            if not self.pins[to]:
                raise NotReached(f"{to}: its address is not known")
            return self.pins[to][0]
        return self.place(str(to))

    def dns(self, probe: dict[str, Any]) -> str:
        """``name``, ``type``; ``server``, ``port``, ``transport`` (udp, tcp, tls); ``first``: a name that is asked for
        before."""
        server = probe.get("server") or self.resolver
        options = (int(probe.get("port", 53)), str(probe.get("transport", "udp")))
        if probe.get("first"):
            query(server, probe["first"], "A", *options)
        kind = str(probe.get("type", "A"))
        values = [value for number, value in query(server, probe["name"], kind, *options) if number == TYPES[kind]]
        if kind == "A":
            values = [value for value in values if value != self.page and not inside(value)]
        if not values:
            raise NotReached("no such answer")
        return ", ".join(values)

    # Connections

    def dial(self, probe: dict[str, Any], port: int) -> socket.socket:
        """A connection, through the proxy where there is one and the probe is not ``direct``; the proxy is told a name
        unless ``by_address``."""
        if self.proxy is None or probe.get("direct"):
            target = self.address(probe)
            return socket.create_connection((target, port), TIMEOUT)
        host = self.address(probe) if probe.get("by_address") else str(probe.get("to") or probe["name"])
        connection = socket.create_connection(self.proxy, TIMEOUT)
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        connection.sendall((f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n").encode())
        head = read_head(connection)
        if head.split(" ")[1:2] != ["200"]:
            connection.close()
            raise NotReached("the proxy: " + head.split("\r\n")[0])
        return connection

    def tls(self, probe: dict[str, Any]) -> str:
        """``sni`` (null: none; the name by default), ``port``, ``split`` (records, segments), ``proof``: what the
        server's certificate must hold one of."""
        with contextlib.closing(self.dial(probe, int(probe.get("port", 443)))) as connection:
            stream = Tls(connection, probe["sni"] if "sni" in probe else probe["name"], probe.get("split"))
            return proved(probe, stream.certificate())

    def doh(self, probe: dict[str, Any]) -> str:
        """DNS over HTTPS: ``name`` of the server, ``asked``: what it is asked for."""
        with contextlib.closing(self.dial(probe, 443)) as connection:
            stream = Tls(connection, probe["sni"] if "sni" in probe else probe["name"], None)
            text = base64.urlsafe_b64encode(message(probe["asked"], "A")).rstrip(b"=").decode()
            stream.send(get("/dns-query?dns=" + text, probe["name"], "Accept: application/dns-message\r\n"))
            _head, body = response(stream.receive)
            values = answers(body)
            if not values:
                raise NotReached("no answer to the question")
            return str(values[0][1])

    def http(self, probe: dict[str, Any]) -> str:
        """``host`` of the request (the name by default), ``target`` (``/``), ``before``: the host of a request that
        goes before it on the same connection, ``port``, ``proof``: what the response must hold one of."""
        host, port = probe.get("host") or self.place(probe["name"]), int(probe.get("port", 80))
        target = probe.get("target", "/")
        proxied = self.proxy is not None and not probe.get("direct")
        if proxied and self.proxy is not None:
            connection = socket.create_connection(self.proxy, TIMEOUT)
        else:
            connection = socket.create_connection((self.address(probe), port), TIMEOUT)
        with contextlib.closing(connection):
            for asked in [probe["before"], host] if probe.get("before") else [host]:
                absolute = proxied and "://" not in target
                named = probe["name"] if asked == host else asked
                connection.sendall(get(f"http://{named}{target}" if absolute else target, asked))
                head, body = response(connection.recv)
            if PAGE_HEADER in head.lower():
                raise NotReached("an explanation page")
            proved(probe, head.encode("latin-1") + body)
            return head.split("\r\n")[0]

    def connect(self, probe: dict[str, Any]) -> str:
        """A server, on ``port``, that is used as a proxy to ``target``."""
        with contextlib.closing(socket.create_connection((self.address(probe), int(probe["port"])), TIMEOUT)) as found:
            found.sendall(f"CONNECT {probe['target']} HTTP/1.1\r\nHost: {probe['target']}\r\n\r\n".encode())
            head = read_head(found)
        if head.split(" ")[1:2] != ["200"]:
            raise NotReached(head.split("\r\n")[0])
        return head.split("\r\n")[0]

    def tcp(self, probe: dict[str, Any]) -> str:
        """``port``; ``says``: what the server's first words begin with."""
        with contextlib.closing(self.dial(probe, int(probe["port"]))) as connection:
            if not probe.get("says"):
                return "connected"
            heard = connection.recv(200).decode("latin-1")
        if not heard.startswith(probe["says"]):
            raise NotReached(f"something else answers: {heard[:40]!r}")
        return heard.strip()

    def udp(self, probe: dict[str, Any]) -> str:
        """``port``, ``payload`` in hexadecimal: any answer counts."""
        return datagram(self.address(probe), int(probe["port"]), bytes.fromhex(probe["payload"]))[:16].hex()

    def quic(self, probe: dict[str, Any]) -> str:
        """A version that nobody speaks: a server of QUIC answers with those that it does (RFC 9000, 6.1)."""
        identifiers = b"\x08" + os.urandom(8) + b"\x08" + os.urandom(8)
        packet = b"\xc0\x0a\x1a\x2a\x3a" + identifiers
        answer = datagram(self.address(probe), int(probe.get("port", 443)), packet + bytes(1200 - len(packet)))
        if len(answer) < 7 or not answer[0] & 0x80 or answer[1:5] != bytes(4):
            raise NotReached("something else answers")
        return "QUIC"

    def ping(self, probe: dict[str, Any]) -> str:
        target = self.address(probe)
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                echo = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
                break
            except PermissionError:
                continue
        else:
            raise NotReached("this account may not send it")
        with echo:
            echo.settimeout(TIMEOUT)
            body = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, 1) + b"e5b"
            echo.sendto(body[:2] + struct.pack("!H", checksum(body)) + body[4:], (target, 0))
            deadline = time.monotonic() + TIMEOUT
            while time.monotonic() < deadline:
                packet = echo.recv(1500)
                # A raw socket gives the IP header too, and every ICMP packet that comes.
                icmp = packet[(packet[0] & 15) * 4 :] if kind == socket.SOCK_RAW else packet
                if icmp[0] == 0:
                    return "answered"
                if icmp[0] == 3:
                    raise NotReached("refused")
        raise NotReached("no answer")


KINDS: dict[str, Callable[[Probes, dict[str, Any]], str]] = {
    "dns": Probes.dns,
    "tls": Probes.tls,
    "doh": Probes.doh,
    "http": Probes.http,
    "connect": Probes.connect,
    "tcp": Probes.tcp,
    "udp": Probes.udp,
    "quic": Probes.quic,
    "ping": Probes.ping,
}


class Tls:
    """TLS over *connection*, certificates unchecked. *split* sends the ClientHello in many records, or in many
    segments."""

    def __init__(self, connection: socket.socket, name: str | None, split: str | None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        self.connection = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name or None)
        self._step(self.object.do_handshake, split)

    def _step(self, action: Callable[[], Any], split: str | None = None) -> Any:
        while True:
            try:
                done = action()
                self._flush(None)
                return done
            except ssl.SSLWantReadError:
                self._flush(split)
                split = None
                received = self.connection.recv(65536)
                if not received:
                    raise NotReached("closed") from None
                self.incoming.write(received)

    def _flush(self, split: str | None) -> None:
        data = self.outgoing.read()
        if split is None:
            if data:
                self.connection.sendall(data)
            return
        parts = [data[at : at + RECORD] for at in range(0, len(data), RECORD)]
        if split == "records":
            # The same handshake message, with a record's header before each part of it.
            body = data[5:]
            parts = [body[at : at + RECORD] for at in range(0, len(body), RECORD)]
            parts = [data[:3] + struct.pack("!H", len(part)) + part for part in parts]
        for part in parts:
            self.connection.sendall(part)
            time.sleep(0.005)

    def certificate(self) -> bytes:
        return self.object.getpeercert(binary_form=True) or b""

    def send(self, data: bytes) -> None:
        self._step(lambda: self.object.write(data))

    def receive(self, size: int) -> bytes:
        try:
            return bytes(self._step(lambda: self.object.read(size)))
        except ssl.SSLZeroReturnError:
            return b""


def proved(probe: dict[str, Any], data: bytes) -> str:
    """The first of the probe's proofs that *data* holds."""
    proofs = probe.get("proof") or []
    for proof in proofs:
        if proof.lower().encode() in data.lower():
            return str(proof)
    if proofs:
        raise NotReached("another server answers")
    return "answered"


# HTTP


def get(target: str, host: str, headers: str = "") -> bytes:
    return (f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: e5b-probe\r\nAccept: */*\r\n{headers}\r\n").encode()


def read_head(connection: socket.socket) -> str:
    """A response's head, and nothing that comes after it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte or len(head) > 65536:
            raise NotReached("closed")
        head += byte
    return head.decode("latin-1")


def response(receive: Callable[[int], bytes], most: int = 65536) -> tuple[str, bytes]:
    """The head and the body of a response; of a long one, the beginning."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = receive(65536)
        if not part or len(data) > 65536:
            raise NotReached("closed")
        data += part
    head, _separator, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1."):
        raise NotReached("something else answers")
    text = head.decode("latin-1")
    headers = dict(line.lower().split(":", 1) for line in text.split("\r\n")[1:] if ":" in line)
    # Without a length, the beginning is enough.
    size = min(most, int(headers.get("content-length", "0")))
    while len(body) < size:
        part = receive(65536)
        if not part:
            break
        body += part
    return text, body


# DNS


def own_resolver() -> str:
    """This machine's first name server."""
    for path in ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"):
        with contextlib.suppress(OSError):
            for line in Path(path).read_text().splitlines():
                words = line.split()
                if len(words) > 1 and words[0] == "nameserver" and ":" not in words[1]:
                    return words[1]
    return "127.0.0.53"


def own_router() -> str:
    """The address of this machine's default route (/proc/net/route: destination and gateway, as the machine stores
    them); where that cannot be read, one at which nothing is."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            words = line.split()
            if words[1] == "00000000":
                return socket.inet_ntoa(struct.pack("=I", int(words[2], 16)))
    return "0.0.0.0"  # noqa: S104 - no server


def message(name: str, kind: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return os.urandom(2) + b"\x01\x00\x00\x01" + bytes(6) + labels + struct.pack("!BHH", 0, TYPES[kind], 1)


def query(server: str, name: str, kind: str, port: int = 53, transport: str = "udp") -> list[tuple[int, str]]:
    """The answers of *server*: their types and values."""
    asked = message(name, kind)
    if transport == "udp":
        return answers(datagram(server, port, asked, tries=2))
    with contextlib.closing(socket.create_connection((server, port), TIMEOUT)) as connection:
        send, receive = connection.sendall, connection.recv
        if transport == "tls":
            stream = Tls(connection, None, None)
            send, receive = stream.send, stream.receive  # type: ignore[assignment]
        send(struct.pack("!H", len(asked)) + asked)
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack("!H", data[:2])[0]:
            part = receive(65536)
            if not part:
                raise NotReached("closed")
            data += part
        return answers(data[2:])


def answers(data: bytes) -> list[tuple[int, str]]:
    """The records of a message's answer section. Raises NotReached when it is no answer."""
    try:
        _id, flags, questions, count = struct.unpack("!HHHH", data[:8])
        if not flags & 0x8000:
            raise NotReached("no answer")
        at = 12
        for _question in range(questions):
            at = after_name(data, at) + 4
        found = []
        for _answer in range(count):
            at = after_name(data, at)
            kind, _class, _ttl, size = struct.unpack("!HHIH", data[at : at + 10])
            value = data[at + 10 : at + 10 + size]
            at += 10 + size
            found.append((kind, str(ipaddress.ip_address(value)) if kind in (1, 28) else value[:30].hex()))
        return found
    except (struct.error, IndexError) as error:
        raise NotReached("no answer") from error


def after_name(data: bytes, at: int) -> int:
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += 1 + data[at]
    return at + 1


def inside(address: str) -> bool:
    return any(ipaddress.ip_address(address) in network for network in INSIDE)


# Datagrams


def datagram(address: str, port: int, payload: bytes, tries: int = 1) -> bytes:
    """The answer to a datagram. Raises OSError when none comes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(TIMEOUT / 2)
        connection.connect((address, port))
        for left in reversed(range(tries)):
            connection.send(payload)
            try:
                return connection.recv(65536)
            except OSError:
                if not left:
                    raise
    raise NotReached("no answer")


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\x00" * (len(data) % 2)
    total = sum(int(word) for (word,) in struct.iter_unpack("!H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def run(plan: dict[str, Any]) -> dict[str, Any]:
    probes = Probes(plan)
    with ThreadPoolExecutor(TOGETHER) as pool:
        return {"results": dict(pool.map(probes.run, plan["probes"])), "pins": probes.pins}


def main() -> None:
    plan = PLAN or json.load(sys.stdin)
    if len(sys.argv) > 1:
        plan["pins"] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["pins"]
    json.dump(run(plan), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

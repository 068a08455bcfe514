"""The small servers of the lab: names, web pages, banners, datagrams. One process in one namespace serves them all.

``python servers.py CONFIG`` with a JSON file of the form of :class:`Config`; it writes ``ready`` when all are up, and
notes what reached them, one JSON line each, in the file *log*.
"""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import parse_qs, urlsplit

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

HEAD = 65536
"""Bytes of a request's head at most."""


class Config(TypedDict, total=False):
    """Each list holds [address, port], *banners* [address, port, what it says first]. *zone* maps ``name type`` to
    its records, ``*.name`` for all names below; *rotate* are the names of which each answer has another record.
    *proxy* lets everything through, and asks *resolver* for names. *page* is what stands on every page."""

    http: Sequence[tuple[str, int]]
    banners: Sequence[tuple[str, int, str]]
    udp: Sequence[tuple[str, int]]
    quic: Sequence[tuple[str, int]]
    dns: Sequence[tuple[str, int]]
    zone: Mapping[str, Sequence[str]]
    rotate: Sequence[str]
    proxy: Sequence[tuple[str, int]]
    resolver: str
    page: str
    log: str


class Servers:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.zone = config.get("zone", {})
        self.log = Path(config["log"]).open("a", buffering=1)  # noqa: SIM115 - open as long as the process lives
        self.turns = dict.fromkeys(config.get("rotate", ()), 0)

    async def run(self) -> None:
        loop, config = asyncio.get_running_loop(), self.config
        for address, port in config.get("http", ()):
            await asyncio.start_server(self.http, address, port, limit=HEAD, backlog=512)
        for address, port, banner in config.get("banners", ()):
            await asyncio.start_server(self._says(banner), address, port)
        for address, port in config.get("dns", ()):
            await asyncio.start_server(self.dns_stream, address, port, backlog=512)
            await loop.create_datagram_endpoint(lambda: Datagrams(self, self.resolve), (address, port))
        for address, port in config.get("proxy", ()):
            await asyncio.start_server(self.proxy, address, port, limit=HEAD)
        for address, port in config.get("udp", ()):
            await loop.create_datagram_endpoint(lambda: Datagrams(self, bytes), (address, port))
        for address, port in config.get("quic", ()):
            await loop.create_datagram_endpoint(lambda: Datagrams(self, other_version), (address, port))
        print("ready", flush=True)
        await asyncio.Event().wait()

    def note(self, **what: Any) -> None:
        self.log.write(json.dumps(what) + "\n")

    # Names

    def resolve(self, wire: bytes) -> bytes:
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return b""
        response = dns.message.make_response(query, recursion_available=True)
        name, kind = query.question[0].name, dns.rdatatype.to_text(query.question[0].rdtype)
        self.note(dns=name.to_text(omit_final_dot=True), type=kind)
        for _step in range(5):
            text = name.to_text(omit_final_dot=True).lower()
            records = self.records(text, kind)
            alias = self.records(text, "CNAME")
            if records:
                response.answer.append(dns.rrset.from_text_list(name, 60, "IN", kind, records))
            elif alias:
                response.answer.append(dns.rrset.from_text_list(name, 60, "IN", "CNAME", alias))
                name = dns.name.from_text(alias[0])
                continue
            elif not any(known.partition(" ")[0] in {text, *above(text)} for known in self.zone):
                response.set_rcode(dns.rcode.NXDOMAIN)
            break
        return response.to_wire()

    def records(self, name: str, kind: str) -> list[str]:
        for candidate in (name, *above(name)):
            found = list(self.zone.get(f"{candidate} {kind}", ()))
            if found and candidate in self.turns:
                self.turns[candidate] += 1
                return [found[self.turns[candidate] % len(found)]]
            if found:
                return found
        return []

    async def dns_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.resolve(await reader.readexactly(size))
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        writer.close()

    # Pages

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What every web server of the lab answers: which server it is, and which host it was asked for. A path
        ``/drip/N`` takes N times 20 ms; CONNECT is granted, and leads nowhere."""
        local, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _version = lines[0].split(" ")
                headers = {key.lower(): value.strip() for key, _c, value in (line.partition(":") for line in lines[1:])}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                url = urlsplit(target)
                # The front that ends TLS says where it was reached.
                server = headers.get("x-lab-server", local[0])
                host = url.netloc or headers.get("host", "")
                self.note(http=host, path=url.path, server=server, peer=headers.get("x-lab-peer", peer[0]))
                if method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await writer.drain()
                    continue
                kind, content = (
                    "text/html; charset=utf-8",
                    f"<h1>{host}</h1><p>server {server}</p>{self.config.get('page', '')}".encode(),
                )
                if url.path == "/dns-query":
                    text = parse_qs(url.query).get("dns", [""])[0]
                    kind = "application/dns-message"
                    content = self.resolve(body or base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
                drops = int(url.path.removeprefix("/drip/")) if url.path.startswith("/drip/") else 0
                writer.write(
                    f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {drops + len(content)}\r\n"
                    f"X-Lab-Server: {server}\r\nX-Lab-Host: {host}\r\nX-Lab-Peer: {headers.get('x-lab-peer', '')}\r\n"
                    "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: *\r\n"
                    "Cache-Control: no-store\r\n\r\n".encode()
                )
                for _drop in range(drops):
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(0.02)
                writer.write(content)
                await writer.drain()
                if headers.get("connection", "").lower() == "close":
                    break
        writer.close()

    async def proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A proxy that refuses nothing: the first request says where the whole connection leads."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, dns.exception.DNSException):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _version = head.decode("latin-1").split("\r\n")[0].split(" ")
            url = urlsplit(f"//{target}" if method == "CONNECT" else target)
            host = url.hostname or ""
            if not host.replace(".", "").isdigit() and ":" not in host:
                answer = await dns.asyncquery.udp(dns.message.make_query(host, "A"), self.config["resolver"], timeout=3)
                host = next(item.to_text() for rrset in answer.answer for item in rrset if item.rdtype == 1)
            onward, back = await asyncio.open_connection(host, url.port or 80)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                back.write(head)
            await asyncio.gather(_copy(reader, back), _copy(onward, writer))
        writer.close()

    # Others

    def _says(self, banner: str) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            address, port = writer.get_extra_info("sockname")[:2]
            self.note(tcp=f"{address}:{port}", peer=writer.get_extra_info("peername")[0])
            with contextlib.suppress(OSError):
                writer.write(banner.encode())
                while part := await reader.read(4096):
                    writer.write(part)
                    await writer.drain()
            writer.close()

        return serve


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram by what *answer* makes of it, if that is anything."""

    def __init__(self, servers: Servers, answer: Any) -> None:
        self.servers, self.answer = servers, answer

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        address, port = self.transport.get_extra_info("sockname")[:2]
        if port not in {53, 5353}:
            self.servers.note(udp=f"{address}:{port}", peer=source[0])
        answer = self.answer(data)
        if answer:
            self.transport.sendto(answer, source)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    writer.close()


def other_version(packet: bytes) -> bytes:
    """QUIC's version negotiation (RFC 9000, 17.2.1): what a server answers to a version that it does not speak."""
    if len(packet) < 1200 or not packet[0] & 0x80:
        return b""
    size = packet[5]
    destination, rest = packet[6 : 6 + size], packet[6 + size :]
    source = rest[1 : 1 + rest[0]]
    identifiers = bytes([len(source)]) + source + bytes([len(destination)]) + destination
    return b"\x80\x00\x00\x00\x00" + identifiers + b"\x00\x00\x00\x01"


def above(name: str) -> list[str]:
    """The wildcards that cover *name*."""
    labels = name.split(".")
    return ["*." + ".".join(labels[at:]) for at in range(1, len(labels))]


if __name__ == "__main__":
    asyncio.run(Servers(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))).run())

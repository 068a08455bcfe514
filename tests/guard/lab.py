"""Seats, an exam host and a made-up internet, each in a network namespace of its own.

Nothing of it is reachable from outside, and nothing of it stays: each namespace lives as long as the one process that
holds it, which dies with the process that made the lab. The exam host's namespace may be another's, a container's that
was started without any network: that is where the guard is put in.

The internet's addresses are of 198.18.0.0/15 (RFC 2544), which dnsmasq does not take for private ones.
"""

import base64
import contextlib
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import probe
from orchestrator.domain.guard import Category, Origin, Policy, Rule
from orchestrator.domain.probes import Port, Probe, Service, Targets, script_plan
from tests.guard.servers import Config

SEATS, UPLINK = "seats", "uplink"
"""The exam host's interfaces: a bridge whose ports are the seats' cables, and the way to the internet."""

HOST, HOST_UPLINK, HOST_V6 = "10.77.0.1", "198.18.255.2", "2a0e:e5b:77::1"
ROUTER, ROUTER_V6 = "198.18.255.1", "2a0e:e5b:18::1"
RESOLVER, OTHER_RESOLVER, DOH = "198.18.0.2", "198.18.0.53", "198.18.0.54"
SHARED, ENCYCLO, ECH = "198.18.1.10", "198.18.1.20", "198.18.1.25"
SHARED_V6 = "2a0e:e5b:18::10"
DRIVE, DRIVE_V6 = "198.18.1.30", "2a0e:e5b:18::30"
ROTATING = tuple(f"198.18.1.{last}" for last in range(41, 49))
OWN, OWN_V6, SSH = "198.18.2.99", "2a0e:e5b:18::99", "198.18.2.22"
NEIGHBOUR_PORT = 5000
EVERYWHERE = "0.0.0.0"

ECH_OUTER = "front.test"
"""What is in the clear of a ClientHello whose true name is encrypted."""


def _ech() -> str:
    """Keys for an encrypted ClientHello, as an HTTPS record carries them (RFC 9849, 4): any 32 bytes are a key."""
    name = ECH_OUTER.encode()
    content = bytes.fromhex("0000200020") + bytes(31) + b"\x09" + bytes.fromhex("00040001000100")
    content += struct.pack("!B", len(name)) + name + bytes(2)
    config = struct.pack("!HH", 0xFE0D, len(content)) + content
    return base64.b64encode(struct.pack("!H", len(config)) + config).decode()


ZONE: Mapping[str, list[str]] = {
    "search.test A": [SHARED],
    "www.search.test A": [SHARED],
    "search.test AAAA": [SHARED_V6],
    "*.ech.test A": [ECH],
    "*.ech.test HTTPS": [f'1 . alpn="h2,http/1.1" ech="{_ech()}"'],
    "encyclo.test A": [ENCYCLO],
    "rotating.test A": list(ROTATING),
    "drive.test A": [DRIVE],
    "drive.test AAAA": [DRIVE_V6],
    "*.drive.test A": [DRIVE],
    "shared.drive.test A": [SHARED],
    "docs.search.test A": [SHARED],
    "docs.search.test AAAA": [SHARED_V6],
    "drive.search.test A": [DRIVE],
    "alias.test CNAME": ["drive.test."],
    "doh.test A": [DOH],
    "own.test A": [OWN],
    "own.test AAAA": [OWN_V6],
    "*.tunnel.test TXT": ['"any text, and any number of them"'],
    "*.tunnel.test NULL": ["\\# 4 6c616264"],
    "tunnel.test A": [OWN],
    "inside.test A": ["10.77.0.12"],
    "*.many.test A": [ENCYCLO],
    "use-application-dns.net A": [OWN],
}

TLS_SERVERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    SHARED: ("shared", ("search.test", "*.search.test", "shared.drive.test")),
    ENCYCLO: ("encyclo", ("encyclo.test", "*.many.test")),
    ECH: ("ech", ("*.ech.test", ECH_OUTER)),
    DRIVE: ("drive", ("drive.test", "*.drive.test", "drive.search.test")),
    DOH: ("doh", ("doh.test",)),
    OTHER_RESOLVER: ("resolver", ("resolver.test",)),
    OWN: ("own", ("own.test",)),
    **{address: (f"rotating-{address}", ("rotating.test",)) for address in ROTATING},
}
"""By address: what the server's certificate names as its organisation, ``lab-<name>``, and its host names."""

V6 = {SHARED: SHARED_V6, OWN: OWN_V6, DRIVE: DRIVE_V6}

TCP_PORTS, UDP_PORTS = (22, 1194, 3128, 8080, 8443), (500, 1194, 3478, 4500, 51820)
HOST_PORTS, SITE_PORTS = (22, 2375, 8099), (8001, 8002)

SCRIPT = Path(probe.__file__)

Answer = dict[str, Any]

HOLDER = """
set -eu
if [ -n "$1" ]; then
    mount --make-rprivate /
    mount --bind "$1" /etc/resolv.conf
fi
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
ip link set lo up
echo made
read -r configure
sh -euc "$configure"
echo ready
exec sleep infinity
"""


class Namespace:
    """Where processes are started: the network of the process *pid*, and its files where they are not ours."""

    def __init__(self, pid: int, files: bool) -> None:
        self.pid = pid
        self.enter = ("nsenter", f"--target={pid}", "--net", *(["--mount"] if files else []), "--")

    def start(self, *command: str | Path, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen([*self.enter, *map(str, command)], text=True, **options)

    def run(self, *command: str | Path, check: bool = True, **options: Any) -> str:
        """Its output. Raises CalledProcessError with what it said."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*self.enter, *map(str, command)], capture_output=True, text=True, check=False, timeout=120, **options
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout


class Held(Namespace):
    """A namespace of the lab's own, with *resolver* as its one name server."""

    def __init__(self, resolver_file: Path | None = None) -> None:
        unshare = ["unshare", "--net", *(["--mount"] if resolver_file else [])]
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *unshare, "sh", "-c", HOLDER, "holder", str(resolver_file or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        super().__init__(self.holder.pid, resolver_file is not None)

    def made(self) -> None:
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != "made\n":
            raise RuntimeError("No lab for the guard's tests: this needs root, unshare and iproute2.")

    def configure(self, *commands: str) -> None:
        assert self.holder.stdin is not None
        self.holder.stdin.write("; ".join(commands) + "\n")
        self.holder.stdin.flush()

    def ready(self) -> None:
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "ready\n"

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()
        for stream in (self.holder.stdin, self.holder.stdout):
            assert stream is not None
            stream.close()


class Lab:
    """*exam*: a process whose network becomes the exam host's; None for one of the lab's own. Seats are numbered from
    1; there is one machine more that is no seat."""

    def __init__(self, folder: Path, exam: int | None = None, seats: int = 3) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        # A socket's path is at most 107 bytes long.
        folder.mkdir(parents=True, exist_ok=True)
        resolver = folder / "resolv.conf"
        resolver.write_text(f"nameserver {HOST}\n")
        with self._stack:
            self._make(exam, seats, resolver)
            self._serve()
            self._stack = self._stack.pop_all()

    def close(self) -> None:
        # The exam host's namespace may live on: what the lab put into it goes.
        self.exam.run("sh", "-c", f"ip link del {SEATS}; ip link del {UPLINK}; true")
        self._stack.close()

    def _held(self, resolver: Path | None = None) -> Held:
        held = Held(resolver)
        self._stack.callback(held.close)
        return held

    def _make(self, exam: int | None, seats: int, resolver: Path) -> None:
        machines = range(1, seats + 2)
        self.internet = self._held()
        host = self._held() if exam is None else None
        seated = {number: self._held(resolver) for number in machines}
        for held in (self.internet, *([host] if host else []), *seated.values()):
            held.made()
        self.exam: Namespace = host or Namespace(exam or 0, files=False)
        links = [f"link add {UPLINK} type veth peer name eth0 netns {self.internet.pid}"]
        links += [f"link add {SEATS} type bridge forward_delay 0 mcast_snooping 0"]
        for number, seat in seated.items():
            links += [f"link add cable{number} type veth peer name eth0 address {mac(number)} netns {seat.pid}"]
            links += [f"link set cable{number} master {SEATS} up"]
        links += [f"address add {HOST}/24 dev {SEATS}", f"address add {HOST_UPLINK}/16 dev {UPLINK}"]
        links += [f"address add {HOST_V6}/64 dev {SEATS} nodad"]
        links += [f"address add 2a0e:e5b:18::2/64 dev {UPLINK} nodad"]
        links += [f"link set {SEATS} up", f"link set {UPLINK} up"]
        links += [f"route add default via {ROUTER}", f"route add ::/0 via {ROUTER_V6}"]
        # A container without a network has no IPv6 either.
        self.exam.run("sysctl", "-qw", *(f"net.ipv6.conf.{name}.disable_ipv6=0" for name in ("all", "default", "lo")))
        self.exam.run("ip", "-batch", "-", input="\n".join(links))
        if host:
            host.configure("true")
        self.internet.configure(
            f"printf '%s\\n' {' '.join(map(repr, _internet_addresses()))} | ip -batch -",
            "sysctl -qw net.core.somaxconn=4096",
        )
        for number, seat in seated.items():
            seat.configure(
                f"ip address add {address(number)}/24 dev eth0",
                f"ip address add {address_v6(number)}/64 dev eth0 nodad",
                "ip link set eth0 up",
                f"ip route add default via {HOST}",
                f"ip -6 route add default via {HOST_V6}",
            )
        for held in (self.internet, *([host] if host else []), *seated.values()):
            held.ready()
        self.unknown = seated.pop(seats + 1)
        self.seats: Mapping[int, Namespace] = seated

    def probe(
        self, probes: Sequence[Probe], *, resolver: str = HOST, proxy: str | None = None, earlier: Answer | None = None
    ) -> Answer:
        """What the probe script answers at seat 1."""
        pins = (earlier or {}).get("pins")
        plan = script_plan(probes, resolver=resolver, page=HOST, proxy=proxy, pins=pins)
        answer: Answer = json.loads(self.seats[1].run(sys.executable, "-I", SCRIPT, input=json.dumps(plan)))
        return answer

    # What the open control is: the exam host as a plain router

    def open(self) -> None:
        """Without any guard: the exam host forwards whatever comes, and its name server and proxy refuse nothing."""
        self.exam.run(
            *("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"),
            "net.ipv4.icmp_ratelimit=0",
        )
        pac = f"FindProxyForURL {HOST}:{PROXY.port}"
        self._servers(
            self.exam,
            "open",
            {
                "proxy": [(PROXY.address, PROXY.port)],
                "resolver": RESOLVER,
                "http": [(PAC.address, PAC.port)],
                "page": pac,
                "dns": [(HOST, 53)],
                "zone": ZONE,
                "rotate": ["rotating.test"],
            },
        )

    # Its servers

    def _serve(self) -> None:
        self._certificates()
        self._servers(
            self.internet,
            "internet",
            {
                "http": [("127.0.0.1", 8000), *((address, 80) for address in (*TLS_SERVERS, *V6.values()))],
                "banners": [
                    *((SSH, port, "SSH-2.0-lab\r\n") for port in (22, 80, 443)),
                    *((OWN, port, f"LAB {port}\r\n") for port in TCP_PORTS),
                ],
                "udp": [(OWN, port) for port in UDP_PORTS],
                "quic": [(address, 443) for address in (SHARED, DRIVE, OWN, *V6.values())],
                "dns": [(RESOLVER, 53), (OTHER_RESOLVER, 53), (OTHER_RESOLVER, 5353), ("127.0.0.1", 53)],
                "zone": ZONE,
                "rotate": ["rotating.test"],
            },
        )
        config = self.folder / "internet.cfg"
        config.write_text(_front(self.folder), encoding="utf-8")
        with (self.folder / "names.log").open("w") as log:
            front = self.internet.start("haproxy", "-db", "-f", config, stdout=log, stderr=log)
        self._stack.callback(_end, front)
        self._servers(
            self.exam,
            "exam",
            {
                "http": [(EVERYWHERE, port) for port in SITE_PORTS],
                "banners": [(EVERYWHERE, port, f"LAB {port}\r\n") for port in HOST_PORTS],
            },
        )
        self._servers(
            self.seats[2],
            "neighbour",
            {
                "banners": [(address(2), NEIGHBOUR_PORT, "LAB\r\n")],
                "udp": [(address(2), NEIGHBOUR_PORT)],
                "http": [(address(2), 80)],
            },
        )
        deadline = time.monotonic() + 10
        while "443" not in self.internet.run("ss", "-Hltn", f"src {DRIVE}"):
            if front.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The lab's HTTPS servers do not start: exit status {front.poll()}")
            time.sleep(0.02)

    def _servers(self, where: Namespace, name: str, config: Config) -> None:
        config["log"] = str(self.folder / f"{name}.log")
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        script = Path(__file__).with_name("servers.py")
        process = where.start(sys.executable, script, file, stdout=subprocess.PIPE)
        self._stack.callback(_end, process)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"The lab's servers do not start: {name}")

    def _certificates(self) -> None:
        """One authority, and one certificate for each server."""
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
        ca, key = self.folder / "ca.pem", self.folder / "ca.key"
        _openssl("req", "-x509", *curve, "-subj", "/O=lab/CN=lab authority", "-out", ca, "-keyout", key)
        for server, (name, hosts) in TLS_SERVERS.items():
            certificate, own = self.folder / f"{server}.crt", self.folder / f"{server}.key"
            _openssl(
                *("req", "-x509", *curve, "-CA", ca, "-CAkey", key, "-subj", f"/O=lab-{name}/CN={hosts[0]}"),
                *("-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)),
                *("-addext", "basicConstraints=critical,CA:FALSE", "-out", certificate, "-keyout", own),
            )
            (self.folder / f"{server}.pem").write_text(certificate.read_text() + own.read_text())

    def names(self) -> list[list[str]]:
        """Each TLS connection and request that reached the web servers: server name, server, from where."""
        return [line.split(" ") for line in (self.folder / "names.log").read_text().splitlines()]

    def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.01)

    def noted(self, name: str = "internet") -> list[dict[str, Any]]:
        """What reached the servers, oldest first."""
        return [json.loads(line) for line in (self.folder / f"{name}.log").read_text().splitlines()]


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _front(folder: Path) -> str:
    """The configuration of what ends TLS in front of the web servers, HTTP/2 included."""
    lines = [
        "global",
        "  log stdout format raw local0",
        "  maxconn 4000",
        "  nbthread 1",
        "  tune.ssl.default-dh-param 2048",
        "defaults",
    ]
    lines += ["  timeout connect 5s", "  timeout client 60s", "  timeout server 60s"]
    lines += ["frontend https", "  mode http", "  log global"]
    lines += [f'  {kind} "%[ssl_fc_sni] %[dst] %ci"' for kind in ("log-format", "error-log-format")]
    for server in TLS_SERVERS:
        certificate = f"ssl crt {folder / server}.pem alpn h2,http/1.1"
        lines += [f"  bind {server}:443 {certificate}"]
        if server in V6:
            lines += [f"  bind [{V6[server]}]:443 {certificate}"]
    lines += [
        "  http-request set-header X-Lab-Server %[dst]",
        "  http-request set-header X-Lab-Peer %[src]:%[src_port]",
    ]
    lines += ["  default_backend pages"]
    lines += ["frontend dot", "  mode tcp"]
    lines += [f"  bind {OTHER_RESOLVER}:853 ssl crt {folder / OTHER_RESOLVER}.pem", "  default_backend names"]
    lines += ["backend pages", "  mode http", "  server pages 127.0.0.1:8000"]
    lines += ["backend names", "  mode tcp", "  server names 127.0.0.1:53"]
    return "\n".join(lines) + "\n"


def _internet_addresses() -> list[str]:
    addresses = {RESOLVER, OTHER_RESOLVER, DOH, SSH, *TLS_SERVERS}
    lines = [f"address add {item}/32 dev eth0" for item in sorted(addresses)]
    lines += [f"address add {item}/128 dev eth0 nodad" for item in V6.values()]
    lines += [f"address add {ROUTER}/16 dev eth0", f"address add {ROUTER_V6}/64 dev eth0 nodad", "link set eth0 up"]
    lines += [f"route add 10.77.0.0/24 via {HOST_UPLINK}", "route add 2a0e:e5b:77::/64 via 2a0e:e5b:18::2"]
    return lines


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(10)
    if process.stdout is not None:
        process.stdout.close()


def address(number: int) -> str:
    """Of a seat, or of the machine after the last one, which is none."""
    return f"10.77.0.{10 + number}"


def address_v6(number: int) -> str:
    return f"2a0e:e5b:77::{10 + number:x}"


def mac(number: int) -> str:
    return f"02:e5:b0:00:00:{number:02x}"


PROXY, PAC = Port(HOST, 3128), Port(HOST, 3129)

TARGETS = Targets(
    search=Service("search.test", ("lab-shared", f"X-Lab-Server: {SHARED}")),
    allowed=Service("encyclo.test", ("lab-encyclo", f"X-Lab-Server: {ENCYCLO}")),
    blocked=Service("drive.test", ("lab-drive", f"X-Lab-Server: {DRIVE}")),
    deep=Service("a.b.c.d.drive.test", ("lab-drive", f"X-Lab-Server: {DRIVE}")),
    beside=Service("drive.search.test", ("lab-drive", f"X-Lab-Server: {DRIVE}")),
    shared=Service("shared.drive.test", ("lab-shared", "X-Lab-Host: shared.drive.test")),
    alias="alias.test",
    resolver=OTHER_RESOLVER,
    odd_resolver=Port(OTHER_RESOLVER, 5353),
    dot=OTHER_RESOLVER,
    doh=Service("doh.test"),
    doh_address=OTHER_RESOLVER,
    records={
        "HTTPS": "a.ech.test",
        "AAAA": "search.test",
        "TXT": "a1b2.tunnel.test",
        "NULL": "c3d4.tunnel.test",
        "A": "use-application-dns.net",
    },
    own_server=Service("own.test", ("lab-own", f"X-Lab-Server: {OWN}")),
    proxies=(Port(OWN, 80),),
    ssh=tuple(Port(SSH, port, "SSH-") for port in (22, 80, 443)),
    ports=tuple(Port(OWN, port, "LAB") for port in TCP_PORTS if port != 22),
    datagrams=tuple(Port(OWN, port) for port in UDP_PORTS),
    quic=(SHARED, DRIVE, OWN),
    v6=Service("drive.test", ("lab-drive", f"X-Lab-Server: {DRIVE_V6}")),
    v6_address=DRIVE_V6,
    ping=OWN,
    site=Port(HOST, SITE_PORTS[0], "HTTP"),
    other_site=Port(HOST, SITE_PORTS[1]),
    neighbour=Port("10.77.0.12", NEIGHBOUR_PORT, "LAB"),
    host=tuple(Port(HOST, port, "LAB") for port in HOST_PORTS),
)
"""As seat 1 sees the lab."""


def policy(*more: Rule, only_allowed: bool = False, version: str = "lab") -> Policy:
    """What the lab's guard is told: the drive and the resolver are blocked, with a search engine next to them."""
    rules = [
        _rule("drive.test", Category.DOCUMENTS),
        _rule("drive.search.test", Category.DOCUMENTS),
        _rule("docs.search.test", Category.DOCUMENTS),
        _rule("doh.test", Category.DOH),
        _rule("use-application-dns.net", Category.DOH),
        _rule("search.test", None),
        *more,
    ]
    return Policy({rule.name: rule for rule in rules}, only_allowed, version)


def _rule(name: str, category: Category | None) -> Rule:
    return Rule(name, category is not None, category, Origin.PROJECT, "lab")


@contextlib.contextmanager
def lab(folder: Path, exam: int | None = None, seats: int = 3) -> Iterator[Lab]:
    made = Lab(folder, exam, seats)
    try:
        yield made
    finally:
        made.close()

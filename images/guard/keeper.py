"""Process 1 of the guard: it puts the rules into the kernel, keeps the engines running, and takes orders.

What it needs is in three folders. CONFIG depends on the centre's settings alone and never changes. GUARD holds what
does: ``locked`` (addresses, one a line), ``current`` (a link to the policy in force), ``run/keeper.sock`` (one JSON
object asks, one answers), ``log/`` (what was refused). NET is the kernel's net/ folder, as seen from this network.

Whatever ends, the rules stay in the kernel: locked is locked. ``check POLICY`` lets each engine
check what ``serve`` would use, without using it; ``clear TABLE MARK`` takes the rules away.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from nftables import Nftables

CONFIG, GUARD, NET = Path("/e5b/config"), Path("/e5b/guard"), Path("/e5b/net")
RUN, LOG, CURRENT = GUARD / "run", GUARD / "log", GUARD / "current"
RULES, HAPROXY, EXAM = CONFIG / "rules.nft", CONFIG / "haproxy.cfg", CONFIG / "exam.conf"

LOG_SIZE, LOG_FILES = 8_000_000, 6
"""Bytes of a file of the log, and how many are kept."""

CHUNK = 12_000
"""Bytes of one command to HAProxy; its buffer holds 16384."""

PATIENCE = 30.0
"""Seconds that an engine has to begin to serve: a million names take a few."""

# What the exam's name server says of every question that it is asked; what it refused is kept.
CHATTER = re.compile(r"\S+: \d+ [\d.]+/\d+ ")


class OrderFailed(Exception):
    """An order that was not carried out; nothing has changed. *said* is what the engine says."""


class Log:
    """Numbered files, the oldest of which goes when a new one begins. A line: time, engine, what the engine said."""

    def __init__(self) -> None:
        LOG.mkdir(mode=0o700, exist_ok=True)
        numbers = sorted(int(file.stem) for file in LOG.glob("*.log"))
        self._number = numbers[-1] if numbers else 1
        self._open()

    def write(self, engine: str, line: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with contextlib.suppress(OSError):  # A full disk: the guard guards on.
            self._file.write(f"{at} {engine} {line}\n".encode())
            if self._file.tell() > LOG_SIZE:
                self._file.close()
                self._number += 1
                self._open()

    def _open(self) -> None:
        self._file = (LOG / f"{self._number:08}.log").open("ab", buffering=0)
        (LOG / f"{self._number - LOG_FILES:08}.log").unlink(missing_ok=True)


def say(text: str) -> None:
    print(text, flush=True)


class Engine:
    """A program that is started again whenever it ends, until ``stop``."""

    def __init__(
        self,
        name: str,
        command: list[str],
        heard: Callable[[str, str], None],
        user: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name, self._command, self._heard = name, command, heard
        self._user, self._environment = user, environment
        self._process: asyncio.subprocess.Process | None = None
        self._task = asyncio.create_task(self._keep())

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                env={**os.environ, **(self._environment or {})},
            )
            async for line in lines(self._process.stdout):
                self._heard(self.name, line)
            say(f"{self.name} ended: {await self._process.wait()}")
            # At once, unless it cannot run at all.
            await asyncio.sleep(0.02 if loop.time() - began > 2 else 0.5)

    async def stop(self) -> None:
        self._task.cancel()
        if self.runs:
            self._process.kill()
            await self._process.wait()


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Until the stream ends. A line longer than any that means something is passed over."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line.decode(errors="replace").rstrip()


async def run(*command: str, text: str | None = None, environment: dict[str, str] | None = None) -> str:
    """What *command* writes. Raises OrderFailed with what it says when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
    )
    output, _ = await process.communicate(None if text is None else text.encode())
    said = output.decode(errors="replace")
    if process.returncode != 0:
        raise OrderFailed(f"{command[0]}: {said.strip()}")
    return said


async def check(policy: Path) -> None:
    """What HAProxy and dnsmasq say of their files with *policy*. Raises OrderFailed."""
    checks = [run("haproxy", "-c", "-f", str(HAPROXY), environment={"E5B_POLICY": str(policy)})]
    if EXAM.exists():
        checks.append(run("dnsmasq", "--test", "-C", str(EXAM), f"--conf-dir={policy / 'dns'}"))
    await asyncio.gather(*checks)


async def check_all(policy: str) -> None:
    facts = json.loads((CONFIG / "keeper.json").read_text())
    await run("nft", "-c", "-D", f"exam={facts['exam_ports'][0]}", "-f", str(RULES))
    await run("dnsmasq", "--test", "-C", str(CONFIG / "open.conf"))
    await check(GUARD / policy)


async def clear(table: str, mark: str) -> None:
    """Take the rules away: the other side of what ``serve`` puts up."""
    text = "".join(f"table {family} {table}\ndelete table {family} {table}\n" for family in ("inet", "bridge"))
    await run("nft", "-f", "-", text=text)
    for iptables in firewalls():
        with contextlib.suppress(OrderFailed):
            await run(iptables, "-w", "-D", *passing(mark))


def firewalls() -> Iterator[str]:
    """Docker uses the one or the other. The older is only looked at where it is in use: a look makes it so."""
    yield "iptables-nft"
    with contextlib.suppress(OSError):
        if "filter" in Path("/proc/net/ip_tables_names").read_text().split():
            yield "iptables-legacy"


def passing(mark: str) -> list[str]:
    """Docker lets nothing be forwarded that is not its own, where it manages the firewall. What our rules marked
    passes: without our rules nothing does."""
    return ["DOCKER-USER", "-m", "mark", "--mark", f"{mark}/{mark}", "-j", "ACCEPT"]


class Keeper:
    def __init__(self) -> None:
        self._facts = json.loads((CONFIG / "keeper.json").read_text())
        self._table: str = self._facts["table"]
        self._ports: list[int] = self._facts["exam_ports"]
        self._log = Log()
        self._put = ""
        self._touched = asyncio.Event()
        # In this process: a lock does not wait for a program to start on a busy machine.
        self._nftables = Nftables()
        self._nftables.set_json_output(True)
        # One policy at a time is prepared, which may take seconds; what is at once takes its turn at once.
        self._changing, self._turn = asyncio.Lock(), asyncio.Lock()
        self._engines: dict[str, Engine] = {}

    async def serve(self) -> None:
        # First of all, and if this fails nothing begins: without rules there is no way out.
        await self._put_rules()
        self._set_kernel()
        await self._tell_docker()
        self._start("monitor", ["nft", "monitor"], self._seen)
        self._watching = asyncio.create_task(self._watch())
        self._start("dnsmasq-open", ["dnsmasq", "-k", "-C", str(CONFIG / "open.conf")])
        if EXAM.exists():
            self._start_exam(CURRENT.resolve())
        if (CONFIG / "tinyproxy.conf").exists():
            self._start("tinyproxy", ["tinyproxy", "-d", "-c", str(CONFIG / "tinyproxy.conf")], user="e5b-proxy")
        self._start("haproxy", ["haproxy", "-db", "-f", str(HAPROXY)], environment={"E5B_POLICY": str(CURRENT)})
        self._start("ulogd", ["ulogd", "-c", str(CONFIG / "ulogd.conf")])
        await asyncio.gather(
            self._await_names("dnsmasq-open", self._facts["open_port"]),
            self._await_names("dnsmasq-exam", self._ports[0]) if EXAM.exists() else asyncio.sleep(0),
            self._await_haproxy(),
        )
        path = RUN / "keeper.sock"
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._hear, str(path))
        path.chmod(0o600)
        os.chown(path, self._facts["owner"], -1)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        say("serving")
        async with server:
            await stop.wait()
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))

    # The kernel

    async def _put_rules(self) -> None:
        """All rules with the locked seats, in one transaction."""
        locked = self._stored()
        self._nft(f"redefine exam = {self._ports[0]}\n{RULES.read_text()}{self._locks(locked)}")
        self._put = await self._present()

    def _nft(self, text: str) -> str:
        """One transaction; its output. Raises OrderFailed."""
        status, output, said = self._nftables.cmd(text)
        if status != 0:
            raise OrderFailed(f"nft: {said.strip()}")
        return output

    async def _present(self) -> str:
        """The rules as the kernel has them, without what counts and comes and goes by itself."""
        return "".join(
            [await run("nft", "-s", "-t", "list", "table", family, self._table) for family in ("inet", "bridge")]
        )

    async def _stand(self) -> bool:
        try:
            return await self._present() == self._put
        except OrderFailed:
            return False

    def _seen(self, _engine: str, line: str) -> None:
        """Something was taken out of our tables: by ourselves, or by a firewall's own service that empties the kernel,
        say."""
        if re.match(rf"delete (table|chain|rule|set) \w+ {self._table}\b", line):
            self._touched.set()

    async def _watch(self) -> None:
        """One look after another, however many rules went."""
        while True:
            await self._touched.wait()
            await asyncio.sleep(0.01)
            self._touched.clear()
            with contextlib.suppress(OrderFailed):  # Taken away as fast as they are put up: the next line tells.
                await self._repair()

    async def _repair(self) -> bool:
        async with self._turn:
            if await self._stand():
                return False
            await self._put_rules()
            await self._tell_docker()
            say("the rules were taken away by somebody, and put up again")
            return True

    def _stored(self) -> set[str]:
        return set((GUARD / "locked").read_text().split())

    def _locks(self, locked: set[str]) -> str:
        lines = f"flush set inet {self._table} locked\n"
        if locked:
            lines += f"add element inet {self._table} locked {{ {', '.join(sorted(locked))} }}\n"
        return lines

    def _set_kernel(self) -> None:
        for name, value in self._facts["kernel"].items():
            # A cable that is not plugged in yet has what is the default then.
            with contextlib.suppress(FileNotFoundError):
                (NET / name).write_text(value)

    async def _tell_docker(self) -> None:
        if not self._facts["forwards"]:
            return
        rule = passing(self._facts["mark"])
        for iptables in firewalls():
            with contextlib.suppress(OrderFailed):
                await run(iptables, "-w", "-n", "-L", "DOCKER-USER")
                try:
                    await run(iptables, "-w", "-C", *rule)
                except OrderFailed:
                    await run(iptables, "-w", "-I", *rule)

    # The engines

    def _start(
        self, name: str, command: list[str], heard: Callable[[str, str], None] | None = None, **options: object
    ) -> None:
        self._engines[name] = Engine(name, command, heard or self._heard, **options)

    def _start_exam(self, policy: Path) -> None:
        self._start("dnsmasq-exam", self._exam(self._ports[0], policy))

    @staticmethod
    def _exam(port: int, policy: Path) -> list[str]:
        return ["dnsmasq", "-k", "-C", str(EXAM), f"--port={port}", f"--conf-dir={policy / 'dns'}"]

    def _heard(self, engine: str, line: str) -> None:
        if engine == "dnsmasq-exam" and CHATTER.match(line) and not line.endswith(self._facts["closed"]):
            return
        self._log.write(engine, line)
        if not line.startswith(("refused ", "{")) and not CHATTER.match(line):
            say(f"{engine}: {line}")

    async def _await_names(self, name: str, port: int) -> None:
        """Until the name server at *port* answers what it answers by itself (``e5b.invalid``)."""
        question = bytes.fromhex("e5b00100000100000000000003653562") + b"\x07invalid\x00\x00\x01\x00\x01"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while loop.time() < deadline:
            heard: asyncio.Future[bytes] = loop.create_future()
            transport, _ = await loop.create_datagram_endpoint(
                lambda heard=heard: Ear(heard), remote_addr=("127.0.0.1", port)
            )
            try:
                transport.sendto(question)
                await asyncio.wait_for(heard, 0.2)
                return
            except (OSError, TimeoutError):
                await asyncio.sleep(0.01)
            finally:
                transport.close()
        raise OrderFailed(f"{name} does not answer at port {port}")

    async def _await_haproxy(self) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(OSError):
                async with Haproxy() as haproxy:
                    await haproxy.ask("show info")
                    return
            await asyncio.sleep(0.01)
        raise OrderFailed("haproxy does not answer")

    # Orders

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        orders: dict[str, Callable[..., Awaitable[dict[str, object]]]] = {
            "state": self._state,
            "lock": self._lock,
            "policy": self._policy,
        }
        try:
            asked = json.loads(await reader.readline())
            answer = await orders[asked.pop("order")](**asked)
        except OrderFailed as failed:
            answer = {"failed": str(failed)}
        except Exception as error:  # Whoever asked is told, and the guard goes on.
            answer = {"failed": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _state(self) -> dict[str, object]:
        repaired = await self._repair()
        async with self._turn:
            return {
                "version": self._version(),
                "policy": CURRENT.resolve().name,
                "locked": self._kernel_locks(),
                "engines": {name: engine.runs for name, engine in self._engines.items() if name != "monitor"},
                "repaired": repaired,
            }

    def _version(self) -> str:
        return (CURRENT / "version").read_text()

    def _kernel_locks(self) -> list[str]:
        listed = json.loads(self._nft(f"list set inet {self._table} locked"))
        return next((item["set"].get("elem", []) for item in listed["nftables"] if "set" in item), [])

    async def _lock(self) -> dict[str, object]:
        """Exactly the seats that are stored, all at once. What they have open is refused from the next packet on."""
        async with self._turn:
            try:
                self._nft(self._locks(self._stored()))
            except OrderFailed:
                # Somebody took the rules away.
                await self._put_rules()
            # A seat that asks from one port again and again would go on asking the other name server.
            self._forgetting = asyncio.create_task(self._forget("-p", "udp", "--orig-port-dst", "53"))
            return {"locked": self._kernel_locks()}

    @staticmethod
    async def _forget(*which: str) -> None:
        with contextlib.suppress(OrderFailed):  # There may be none.
            await run("conntrack", "-D", *which)

    async def _policy(self, folder: str) -> dict[str, object]:
        """Another policy, whole or not at all: checked and prepared beside the one in force, then put in its place."""
        async with self._changing:
            policy = GUARD / folder
            await check(policy)
            old, ports = self._engines.get("dnsmasq-exam"), self._ports
            new: Engine | None = None
            async with Haproxy() as haproxy:
                try:
                    if old is not None:
                        new = Engine("dnsmasq-exam", self._exam(ports[1], policy), self._heard)
                        await self._await_names("dnsmasq-exam", ports[1])
                    generation = await haproxy.prepare(policy / "names.map")
                    async with self._turn:
                        self._ports = ports[::-1]
                        if new is not None:
                            await self._put_rules()
                        await haproxy.commit(generation)
                        link = GUARD / ".current.new"
                        link.unlink(missing_ok=True)
                        link.symlink_to(folder)
                        link.replace(CURRENT)
                except BaseException:
                    self._ports = ports
                    if new is not None:
                        async with self._turn:
                            await self._put_rules()
                        await new.stop()
                    raise
            if old is not None and new is not None:
                self._engines["dnsmasq-exam"] = new
                # A seat that asks from one port again and again would go on asking the former one.
                for protocol in ("udp", "tcp"):
                    await self._forget("-p", protocol, "--orig-port-dst", "53", "--reply-port-src", str(ports[0]))
                await old.stop()
            return {"version": self._version()}


class Ear(asyncio.DatagramProtocol):
    def __init__(self, heard: "asyncio.Future[bytes]") -> None:
        self._future = heard

    def datagram_received(self, data: bytes, _address: object) -> None:
        if not self._future.done():
            self._future.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._future.done():
            self._future.set_exception(error)


class Haproxy:
    """HAProxy's runtime API, one command after the other on one connection (management guide, 9.3)."""

    map = str(CURRENT / "names.map")

    async def __aenter__(self) -> "Haproxy":
        self._reader, self._writer = await asyncio.open_unix_connection(str(RUN / "haproxy.sock"), limit=1 << 20)
        await self.ask("prompt")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, command: str) -> str:
        self._writer.write(command.encode() + b"\n")
        await self._writer.drain()
        try:
            said = (await self._reader.readuntil(b"\n> ")).decode()[:-3]
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise OrderFailed("haproxy ended while it was asked") from error
        # Each line of what is handed over is answered by a plus sign.
        return re.sub(r"^(\+ )+", "", said).strip()

    async def prepare(self, names: Path) -> str:
        """Give HAProxy all names of a policy beside those in force; what ``commit`` takes."""
        said = await self.ask(f"prepare map {self.map}")
        found = re.search(r"\d+", said)
        if found is None:
            raise OrderFailed(f"haproxy: {said}")
        generation = f"@{found[0]}"
        try:
            with names.open() as file:
                while lines := file.readlines(CHUNK):
                    said = await self.ask(f"add map {generation} {self.map} <<\n{''.join(lines)}")
                    if said:
                        raise OrderFailed(f"haproxy: {said}")
        except BaseException:
            with contextlib.suppress(OrderFailed):
                await self.ask(f"clear map {generation} {self.map}")
            raise
        return generation

    async def commit(self, generation: str) -> None:
        said = await self.ask(f"commit map {generation} {self.map}")
        if said:
            raise OrderFailed(f"haproxy: {said}")


async def main(what: str, *more: str) -> int:
    try:
        await {"serve": lambda: Keeper().serve(), "check": check_all, "clear": clear}[what](*more)
    except OrderFailed as failed:
        print(failed, file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))

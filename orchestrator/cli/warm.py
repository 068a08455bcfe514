"""The Python that is ready beside ``e5b serve``: it runs commands in forks of itself. See orchestrator.warm.

``python -m orchestrator.cli.warm CENTRE`` ends when its standard input does, with the process that started it.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator import warm

AGAIN = 0.2
"""Seconds until the name of a predecessor, which is just ending, is free."""

READ = (
    # What all commands use. Nothing of orchestrator.cli: it depends on the caller's language and terminal.
    *("orchestrator.wiring", "orchestrator.services.status", "orchestrator.services.preflight"),
    *("orchestrator.services.reset", "orchestrator.services.restore", "orchestrator.services.open_wave"),
    *("orchestrator.services.init", "orchestrator.services.plan_wave", "orchestrator.services.subjects"),
    *("click", "click.shell_completion", "rich.console", "rich.progress", "rich.table", "rich.text"),
    *("sqlalchemy.dialects.sqlite", "sqlite3", "zipfile", "tomllib", "email.parser", "concurrent.futures.thread"),
)


@contextlib.contextmanager
def beside(centre: Path) -> Iterator[None]:
    """A Python is ready for the commands of *centre* meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli.warm", str(centre)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # A command that it runs has its own caller's streams; nobody has to read what this one says.
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.communicate()


def main(centre: str) -> None:
    name = warm.name(centre)
    if name is None:
        return
    program = warm.program()
    for module in READ:
        importlib.import_module(module)
    # What is there now is never garbage: a fork need not look at it, nor copy the pages that it lies in.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody waits for the forks: each tells its own caller how it ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        while not _taken(listener, name):
            if select.select([0], [], [], AGAIN)[0]:
                return
        listener.listen(64)
        while True:
            found, _writable, _failed = select.select([listener.fileno(), 0], [], [])
            if 0 in found:
                return
            connection, _address = listener.accept()
            if os.fork() == 0:
                code = 1
                try:
                    listener.close()
                    code = _serve(connection, program)
                finally:
                    os._exit(code)
            connection.close()


def _taken(listener: socket.socket, name: bytes) -> bool:
    try:
        listener.bind(name)
    except OSError:
        return False
    return True


def _serve(connection: socket.socket, program: bytes) -> int:
    """Run the command that the other end hands over; its exit code."""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        arguments = _received(connection, program)
        if arguments is None:
            return 1
        connection.settimeout(None)
        connection.sendall(warm.READY)
        if connection.recv(1) != warm.GO:
            return 1
        threading.Thread(target=_follow, args=(connection,), daemon=True).start()
        code = _run(arguments)
        connection.sendall(bytes([code]))
    except OSError:
        return 1
    return code


def _received(connection: socket.socket, program: bytes) -> list[str] | None:
    """The arguments, once all else that was handed over is this process's own; None when it must not be run here."""
    if not warm.same_user(connection):
        return None
    connection.settimeout(warm.PATIENCE)
    head, streams, _flags, _address = socket.recv_fds(connection, warm.LENGTH.size, 3)
    if len(head) < warm.LENGTH.size:
        return None
    (left,) = warm.LENGTH.unpack(head)
    parts = []
    while left:
        part = connection.recv(left)
        if not part:
            return None
        parts.append(part)
        left -= len(part)
    theirs, folder, count, *rest = b"".join(parts).split(b"\0")
    # The program may have been changed since it was read here.
    if theirs != program or warm.program() != program:
        connection.sendall(warm.STALE)
        return None
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environb.clear()
    for item in rest[int(count) :]:
        key, _sign, value = item.partition(b"=")
        os.environb[key] = value
    time.tzset()
    errors = "surrogateescape"
    sys.stdin = open(0, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115
    return [os.fsdecode(item) for item in rest[: int(count)]]


def _follow(connection: socket.socket) -> None:
    """The signals that the caller was sent are this process's too, and so is its end."""
    while True:
        try:
            number = connection.recv(1)
        except OSError:
            number = b""
        os.kill(os.getpid(), number[0] if number else signal.SIGKILL)


def _run(arguments: list[str]) -> int:
    sys.argv = ["e5b", *arguments]
    # Here: its texts are the caller's language.
    from orchestrator.cli.main import main as run

    try:
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    else:
        code = 0
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return code & 0xFF


if __name__ == "__main__":
    main(sys.argv[1])

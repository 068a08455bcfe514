"""A command's quick start: where ``e5b serve`` runs, it keeps a Python ready that has read all that commands need.

A command that finds it hands over its arguments, environment, folder and standard streams, and waits; a fork of the
ready Python (orchestrator.cli.warm) runs the very same code. Without it, or when anything is not as it must be, the
command starts by itself, half a second later. docs/adr/0011 says why.

This module is all that is read before a command is handed over: it imports next to nothing, pathlib neither.
"""

import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

PATIENCE = 1.0
"""Seconds in which the other side must say that it is there."""

READY, STALE, GO = b"y", b"n", b"g"

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

LENGTH = struct.Struct("!I")
CREDENTIALS = struct.Struct("3i")
"""Process, user and group at the other end of a socket: unix(7), SO_PEERCRED."""

NAME_MOST = 107
"""Bytes of an abstract socket's name: unix(7)."""


def name(centre: str) -> bytes | None:
    """The abstract socket (unix(7)) of this user for the settings file *centre*; None when it can have none. It leaves
    no file behind, however its owner ends."""
    folder, file = os.path.split(os.path.abspath(centre))
    try:
        found = os.stat(folder)
    except OSError:
        return None
    made = os.fsencode(f"\0e5b-{os.getuid()}-{found.st_dev}-{found.st_ino}-{file}")
    return made if len(made) <= NAME_MOST else None


def same_user(connection: socket.socket) -> bool:
    """Anybody can listen under any name: whether the other end is this user's own."""
    size = CREDENTIALS.size
    _process, user, _group = CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(user == os.getuid())


def program() -> bytes:
    """What runs here: the interpreter, and the state of this program's files. Another one must not answer for it."""
    newest, count, root = 0, 0, os.path.dirname(os.path.abspath(__file__))
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name == "__pycache__":
                    continue
                if entry.is_dir():
                    folders.append(entry.path)
                else:
                    newest, count = max(newest, entry.stat().st_mtime_ns), count + 1
    return os.fsencode(f"{sys.prefix}:{sys.version}:{root}:{newest}:{count}")


def handed_over(arguments: Sequence[str]) -> int | None:
    """The exit code of the command *arguments*, run by the ready Python; None when it was not, and nothing was done."""
    # One that stays, and brings up the ready Python itself.
    if "serve" in arguments:
        return None
    where = name(_centre(arguments))
    if where is None:
        return None
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    try:
        connection.connect(where)
        if not same_user(connection):
            return None
        told = _told(arguments)
        socket.send_fds(connection, [LENGTH.pack(len(told))], [0, 1, 2])
        connection.sendall(told)
        if connection.recv(1) != READY:
            return None
    except OSError:
        connection.close()
        return None
    return _wait(connection)


def _centre(arguments: Sequence[str]) -> str:
    """The settings file that the command line names: before the command, or in the environment."""
    if len(arguments) > 1 and arguments[0] == "--centre":
        return arguments[1]
    if arguments and arguments[0].startswith("--centre="):
        return arguments[0].partition("=")[2]
    return os.environ.get("E5B_CENTRE") or "centre.toml"


def _told(arguments: Sequence[str]) -> bytes:
    environment = [key + b"=" + value for key, value in os.environb.items()]
    parts = [program(), os.getcwdb(), str(len(arguments)).encode(), *map(os.fsencode, arguments), *environment]
    return b"\0".join(parts)


def _wait(connection: socket.socket) -> int:
    """Let it begin, pass on the signals that come, and wait for its end."""
    connection.settimeout(None)
    passed = [0]

    def pass_on(number: int, _frame: object) -> None:
        passed[0] = number
        with suppress(OSError):
            connection.send(bytes([number]))

    for number in FORWARDED:
        signal.signal(number, pass_on)
    try:
        # It begins when it hears this, and not when the one that asked has gone meanwhile.
        connection.sendall(GO)
        code = connection.recv(1)
    except OSError:
        code = b""
    if code:
        return code[0]
    # It was ended by a signal: this one's end is the same.
    if passed[0]:
        signal.signal(passed[0], signal.SIG_DFL)
    ended_by = passed[0] or int(signal.SIGKILL)
    os.kill(os.getpid(), ended_by)
    return 128 + ended_by

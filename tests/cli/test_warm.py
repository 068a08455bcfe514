"""The ready Python beside `e5b serve`: a command that it runs is the same command, and nothing else is believed."""

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import warm
from tests.cli.conftest import INIT, Answer
from tests.conftest import eventually

ALONE = 99
"""Exit code when nobody has taken the command over."""

ASK = f"""import sys
from orchestrator.warm import handed_over
code = handed_over(sys.argv[1:])
sys.exit({ALONE} if code is None else code)"""
BY_ITSELF = "from orchestrator.cli.main import main; main()"


def python(script: str, *arguments: str, **options: str) -> Answer:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "100", **options},
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def listens(centre: str) -> bool:
    name = warm.name(centre)
    assert name is not None
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(name) == 0


@contextlib.contextmanager
def ready(centre: str, **options: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli.warm", centre], stdin=subprocess.PIPE, env={**os.environ, **options}
    )
    try:
        eventually(lambda: listens(centre), "no Python is ready")
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a centre's settings."""
    monkeypatch.chdir(tmp_path)
    assert python(BY_ITSELF, *INIT).code == 0
    return tmp_path


def test_it_answers_as_the_command_does_by_itself(folder: Path) -> None:
    """Text, errors and exit code, in the caller's language, folder and environment; not the ready Python's."""
    (folder / "below").mkdir()
    commands: list[tuple[str, ...]] = [
        ("--version",),
        ("journal", "verify"),
        ("journal", "verify", "--json"),
        ("wave", "nope"),
        ("--centre", "below/../centre.toml", "guard", "explain", "drive.google.com"),
        ("guard", "explain", "é\udcff"),
        ("init", *INIT[1:]),
    ]
    with ready("centre.toml", E5B_LANG="en", E5B_CENTRE="/nowhere"):
        for language in ("fr", "en"):
            for command in commands:
                found = python(ASK, *command, E5B_LANG=language)
                assert found == python(BY_ITSELF, *command, E5B_LANG=language), command
        assert python(ASK, "serve", "--unit").code == ALONE
        assert python(ASK, "--centre", "elsewhere.toml", "journal", "verify").code == ALONE


def test_none_is_needed(folder: Path) -> None:
    assert python(ASK, "journal", "verify").code == ALONE
    done = subprocess.run([sys.executable, "-m", "orchestrator", "journal", "verify"], capture_output=True)
    assert done.returncode == 0


def test_a_program_that_was_changed_since_is_not_the_same(folder: Path) -> None:
    """Nor is another installation."""
    shutil.copytree(Path(warm.__file__).parent, folder / "orchestrator", ignore=shutil.ignore_patterns("__pycache__"))
    there = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    with ready("centre.toml", **there):
        assert python(ASK, "journal", "verify").code == 0, "the working folder's program comes first"
        assert python(f"import sys; sys.path[0] = {str(Path.cwd().parent)!r}; {ASK}", "journal", "verify").code == ALONE
        (folder / "orchestrator" / "errors.py").touch()
        assert python(ASK, "journal", "verify", **there).code == ALONE


def test_it_ends_with_the_one_that_started_it(folder: Path) -> None:
    """And the next one takes over, even when it comes before the first has gone."""
    with ready("centre.toml") as first:
        second = subprocess.Popen([sys.executable, "-m", "orchestrator.cli.warm", "centre.toml"], stdin=subprocess.PIPE)
        assert first.stdin is not None
        first.stdin.close()
        assert first.wait(10) == 0
        eventually(lambda: python(ASK, "--version").code == 0, "nobody takes over")
        second.communicate()
        assert second.returncode == 0
        assert not listens("centre.toml")


def test_another_users_is_not_believed(folder: Path) -> None:
    """Anybody on the machine can listen under any name: they are told nothing, and the command runs by itself."""
    assert os.getuid() == 0, "only root can act as another user"
    name = warm.name("centre.toml")
    told = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        f"s.bind({name!r}); s.listen(); print(flush=True); print(s.accept()[0].recv(9))"
    )
    with subprocess.Popen([sys.executable, "-c", told], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert python(ASK, "journal", "verify").code == ALONE
        assert other.stdout.read() == "b''\n"
    # Nor does the ready Python run anything for another user: it goes without a word.
    ask = f"""import os, socket
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as s:
    s.connect({name!r})
    try:
        socket.send_fds(s, [b"0000"], [0, 1, 2])
        print(s.recv(1))
    except OSError:
        print("gone")"""
    with ready("centre.toml"):
        assert python(ask).out in {"b''\n", "gone\n"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_command_ends_it(folder: Path, number: signal.Signals) -> None:
    """As it would by itself: interrupted with a word, ended at once, killed."""
    # Whoever reads its settings waits for somebody to write them.
    fifo = folder / "slow.toml"
    os.mkfifo(fifo)

    def is_read() -> bool:
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            assert error.errno == errno.ENXIO
            return False
        return True

    arguments = ["--centre", "slow.toml", "journal", "verify"]
    ends = []
    for ready_one in (True, False):
        with ready("slow.toml") if ready_one else contextlib.nullcontext():
            command = subprocess.Popen(
                [sys.executable, "-c", ASK if ready_one else BY_ITSELF, *arguments], stderr=subprocess.PIPE
            )
            held = os.open(fifo, os.O_WRONLY)  # Waits until it is read.
            command.send_signal(number)
            ends.append((command.communicate()[1], command.returncode))
            os.close(held)
            eventually(lambda: not is_read(), "it goes on")
    assert ends[0] == ends[1]

"""An engine that answers, that does not, that must not be talked to, and that is started."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.adapters import apt
from orchestrator.adapters.engine_setup import EngineStarter
from orchestrator.cli.output import NoProgress
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import Outcome


class Installed(Exception):
    pass


@pytest.fixture(autouse=True)
def never_really_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def install(*packages: str) -> None:
        raise Installed(packages)

    monkeypatch.setattr(apt, "install", install)


def starter(folder: Path, daemon: str = "#!/bin/sh\nexit 1\n", patience: float = 20) -> EngineStarter:
    """A starter whose engine is the script *daemon*, listening in *folder*."""
    script = folder / "daemon"
    script.write_text(daemon)
    script.chmod(0o755)
    return EngineStarter(
        folder / "dockerd.log", socket=folder / "docker.sock", daemon=(str(script),), patience=patience
    )


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where an engine would listen, and none does."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    return tmp_path


def test_an_engine_that_answers_is_used_as_it_is(tmp_path: Path) -> None:
    state = starter(tmp_path).ensure(NoProgress())
    assert state.outcome is Outcome.KEPT
    assert state.version
    assert not (tmp_path / "dockerd.log").exists()


def test_an_engine_elsewhere_is_never_started_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("unix:///nowhere/docker.sock", "tcp://127.0.0.1:9"):
        monkeypatch.setenv("DOCKER_HOST", address)
        with pytest.raises(EngineUnavailable, match=address):
            starter(tmp_path).ensure(NoProgress())


def test_without_an_engine_somebody_who_is_not_root_is_told(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "root", lambda: False)
    with pytest.raises(EngineUnavailable) as raised:
        starter(nothing).ensure(NoProgress())
    assert "root" in raised.value.message
    assert "docker.io" in str(raised.value.hint)


def test_an_engine_that_cannot_start_says_its_last_line(nothing: Path) -> None:
    with pytest.raises(EngineUnavailable, match="the devices cgroup is missing") as raised:
        starter(nothing, "#!/bin/sh\necho starting\necho the devices cgroup is missing >&2\nexit 1\n").ensure(
            NoProgress()
        )
    assert str(nothing / "dockerd.log") in str(raised.value.hint)


def test_an_engine_that_never_answers_is_not_waited_for_forever(nothing: Path) -> None:
    with pytest.raises(EngineUnavailable, match="waiting for the network"):
        starter(nothing, "#!/bin/sh\necho waiting for the network\nexec sleep 5\n", patience=1).ensure(NoProgress())


def test_without_dockerd_the_distributions_engine_is_installed(nothing: Path) -> None:
    with pytest.raises(Installed) as raised:
        EngineStarter(
            nothing / "dockerd.log", socket=nothing / "docker.sock", daemon=(str(nothing / "dockerd"),)
        ).ensure(NoProgress())
    assert "docker.io" in raised.value.args[0]


def test_an_installation_that_fails_is_one_sentence(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*packages: str) -> None:
        raise apt.AptFailed("E: Unable to locate package docker.io")

    monkeypatch.setattr(apt, "install", fail)
    with pytest.raises(EngineUnavailable, match="Unable to locate package"):
        EngineStarter(nothing / "dockerd.log", socket=nothing / "docker.sock", daemon=("/nowhere/dockerd",)).ensure(
            NoProgress()
        )


def test_without_apt_get_one_sentence_says_so(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "available", lambda: False)
    with pytest.raises(EngineUnavailable, match="apt-get"):
        EngineStarter(nothing / "dockerd.log", socket=nothing / "docker.sock", daemon=("/nowhere/dockerd",)).ensure(
            NoProgress()
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_engine_that_this_user_may_not_talk_to_is_one_sentence() -> None:
    # Not under pytest's folders: those are closed to other users anyway.
    folder = Path("/run/e5b-test-engine")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder / "docker.sock"))
            (folder / "docker.sock").chmod(stat.S_IRUSR | stat.S_IWUSR)
            listening.listen()
            # The modules are loaded before the identity is given up: nobody may not read root's checkout.
            script = f"""
                import os
                from pathlib import Path
                from orchestrator.adapters.engine_setup import EngineStarter
                from orchestrator.cli.output import NoProgress
                from orchestrator.errors import EngineUnavailable
                import docker, requests, docker.transport.unixconn, encodings.idna
                os.setgroups([]); os.setgid(65534); os.setuid(65534)
                os.environ["HOME"] = "/nonexistent"
                try:
                    EngineStarter(Path("/nonexistent/log"), socket=Path("{folder}/docker.sock")).ensure(NoProgress())
                except EngineUnavailable as error:
                    print(error.message, error.hint, sep="|")
                    raise SystemExit(error.exit_code)
            """
            done = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(script)],
                env={**os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock", "E5B_LANG": "en"},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        assert done.returncode == EngineUnavailable.exit_code, done.stderr
        message, hint = done.stdout.strip().split("|")
        assert "may not talk to" in message
        assert "group docker" in hint
    finally:
        shutil.rmtree(folder)


# Answers what a client asks first. A second real engine would take the machine's bridge away from the first.
ENGINE = """#!{python}
import http.server, json, os, socketserver, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({{"Version": "99.0", "ApiVersion": "1.41"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"

with open("{folder}/pid", "a") as pid:
    print(os.getpid(), os.getsid(0), file=pid)
socketserver.ThreadingUnixStreamServer("{folder}/docker.sock", Handler).serve_forever()
"""


@pytest.fixture
def engine(nothing: Path) -> Iterator[Path]:
    yield nothing
    for line in (nothing / "pid").read_text().splitlines():
        os.kill(int(line.split()[0]), signal.SIGTERM)


def test_an_engine_is_started_once_and_outlives_the_command(engine: Path) -> None:
    daemon = ENGINE.format(python=sys.executable, folder=engine)
    first = starter(engine, daemon).ensure(NoProgress())
    assert (first.outcome, first.version) == (Outcome.STARTED, "99.0")
    second = starter(engine, daemon).ensure(NoProgress())
    assert (second.outcome, second.version) == (Outcome.KEPT, "99.0")
    (line,) = (engine / "pid").read_text().splitlines()
    pid, session = map(int, line.split())
    assert pid == session != os.getsid(0), "in a session of its own"

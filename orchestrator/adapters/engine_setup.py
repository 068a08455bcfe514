"""A Docker engine on this machine: the one that answers, or the distribution's, installed and started."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import docker

from orchestrator.adapters import apt
from orchestrator.adapters.docker_engine import connect
from orchestrator.errors import EngineUnavailable
from orchestrator.i18n import _
from orchestrator.ports import EngineState, Outcome, Progress

_SOCKET = Path("/var/run/docker.sock")


class _Absent(Exception):
    """Nothing listens."""


class EngineStarter:
    """*socket* is where an engine started here listens; *daemon* starts it where systemd is not in charge, with
    its output in *log*; *patience* is how long it may take to answer, in seconds."""

    def __init__(
        self,
        log: Path,
        *,
        socket: Path = _SOCKET,
        daemon: Sequence[str] = ("dockerd",),
        patience: float = 90,
    ) -> None:
        self._log = log
        self._socket = socket
        self._daemon = tuple(daemon)
        self._patience = patience

    def ensure(self, progress: Progress) -> EngineState:
        """An engine that answers. One that runs is used as it is. Raises EngineUnavailable."""
        try:
            return EngineState(self._version(), Outcome.KEPT)
        except _Absent as error:
            self._check_may_start(error)
        outcome = Outcome.STARTED
        progress.begin(_("Docker engine"), 2)
        try:
            if shutil.which(self._daemon[0]) is None:
                progress.step(_("installing it from the distribution"))
                self._install()
                outcome = Outcome.INSTALLED
            progress.step(_("starting it"))
            return EngineState(self._start(), outcome)
        finally:
            progress.end()

    def _connect(self) -> docker.DockerClient:
        try:
            return connect(20)
        except EngineUnavailable as error:
            cause = str(error.__cause__)
            if "Permission denied" in cause:
                raise
            if "timed out" in cause:
                raise EngineUnavailable(
                    _("The Docker engine does not answer in time."),
                    hint=_("Wait until it has started, or see what is wrong with `journalctl -u docker`."),
                ) from error
            raise _Absent(cause) from error

    def _version(self) -> str:
        client = self._connect()
        try:
            return str(client.version()["Version"])
        finally:
            client.close()

    def _check_may_start(self, error: Exception) -> None:
        address = os.environ.get("DOCKER_HOST") or f"unix://{self._socket}"
        if address.removeprefix("unix://") not in (str(self._socket), str(self._socket).removeprefix("/var")):
            raise EngineUnavailable(
                _("No Docker engine answers at {address}, which DOCKER_HOST names.").format(address=address),
                hint=_("Start that engine, or unset DOCKER_HOST to use the one of this machine."),
            ) from error
        if not apt.root():
            raise EngineUnavailable(
                _("No Docker engine answers, and only root can install or start one."),
                hint=_("Run the same command as root, or `sudo apt-get install docker.io` and start it."),
            ) from error

    def _install(self) -> None:
        if not apt.available():
            raise EngineUnavailable(
                _("There is no Docker engine, and this system has no apt-get to install one."),
                hint=_("Install Docker the way this system does it, then run the same command again."),
            )
        try:
            # apparmor: where the kernel has it, the engine cannot start a container without its parser.
            apt.install("docker.io", "apparmor", "ca-certificates", "iptables")
            if shutil.which("docker") is None and apt.knows("docker-cli"):
                apt.install("docker-cli")
        except apt.AptFailed as error:
            raise EngineUnavailable(
                _("The Docker engine could not be installed: {error}").format(error=error),
                hint=_("Correct what apt-get says (`apt-get install docker.io`), then run the same command again."),
            ) from error

    def _start(self) -> str:
        if Path("/run/systemd/system").is_dir() and self._daemon == ("dockerd",):
            done = subprocess.run(
                ["systemctl", "enable", "--now", "docker"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise self._failed(done.stderr, _("See why with `journalctl -u docker`."))
            return self._wait(None)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            # A session of its own: the engine outlives this command and the terminal that it was typed in.
            process = subprocess.Popen(
                self._daemon,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        return self._wait(process)

    def _wait(self, process: "subprocess.Popen[bytes] | None") -> str:
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._version()
            except _Absent as error:
                if process is not None and process.poll() is not None:
                    raise self._failed(self._written(), self._log_hint()) from error
                if time.monotonic() > end:
                    raise self._failed(
                        self._written() if process is not None else str(error), self._log_hint()
                    ) from error
            time.sleep(0.3)

    def _written(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _log_hint(self) -> str:
        return _("The whole log is {log}.").format(log=self._log)

    def _failed(self, text: str, hint: str) -> EngineUnavailable:
        lines = text.strip().splitlines() or [_("it says nothing")]
        # The daemon's own last word, which may be followed by what a program that it called had printed.
        own = [line for line in lines if line.startswith("failed to start daemon")]
        return EngineUnavailable(
            _("The Docker engine could not be started: {line}").format(line=(own or lines)[-1].strip()), hint=hint
        )

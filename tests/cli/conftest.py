"""The command line in this process: what it answers, and with which exit code."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator import wiring
from orchestrator.adapters import store
from orchestrator.cli import output
from orchestrator.cli.main import main
from orchestrator.ports import Progress
from orchestrator.services.centre import Centre
from orchestrator.settings import Settings
from tests.services import fakes
from tests.services.fakes import World

INIT = ("init", "--id", "essai", "--name", "Lycée d'essai", "--first-address", "192.0.2.11", "--seats", "3")


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Answer]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs `e5b` with its arguments, in an empty folder."""
    # A command sets the zone of the whole process.
    zone = os.environ.get("TZ")
    monkeypatch.chdir(tmp_path)
    for console in (output.out, output.err):
        monkeypatch.setattr(console, "width", 200)

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Answer(ended.value.code, shown.out, shown.err)

    yield run
    os.environ.pop("TZ", None)
    if zone is not None:
        os.environ["TZ"] = zone
    time.tzset()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A machine in memory behind the command line."""
    world = fakes.new_world()

    def centre(settings: Settings, progress: Progress) -> Centre:
        return fakes.new_centre(world, settings)

    def configure(connection: sqlite3.Connection, record: object) -> None:
        durable(connection, record)
        connection.execute("PRAGMA synchronous = OFF")

    durable = store._configure
    monkeypatch.setattr(store, "_configure", configure)
    monkeypatch.setattr(wiring, "centre", centre)
    yield world


@pytest.fixture
def ready(run: Run, world: World) -> Run:
    """A centre of three seats, with a wave planned."""
    assert run(*INIT).code == 0
    plan = ("wave", "plan", "--half-day", "2027-05-11-am", "--room", "salle-1", "--site", "wordpress")
    planned = run(*plan, *(f"--candidate={seat}=C{seat:03d}" for seat in (1, 2, 3)))
    assert planned.code == 0, planned.err
    return run

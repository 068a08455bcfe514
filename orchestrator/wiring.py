"""The only place where adapters are constructed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.docker_engine import DockerEngine, connect
from orchestrator.adapters.evidence_copies import FolderCopies
from orchestrator.adapters.haproxy import HaproxyGateway
from orchestrator.adapters.jury_gateway import HaproxyJuryGateway
from orchestrator.adapters.machine import ExamClock, FileLocks, SystemHost, actor
from orchestrator.adapters.sealing import FolderSealing
from orchestrator.adapters.store import SqliteStore
from orchestrator.ports import Progress, Store
from orchestrator.services.centre import Centre
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.services.setup import Setup


def store(settings: Settings) -> Store:
    """The stored state alone: what the journal's commands need, with or without an engine."""
    return SqliteStore(settings.database, ExamClock(settings.clock_file), actor())


def centre(settings: Settings, progress: Progress) -> Centre:
    """Raises EngineUnavailable when no engine answers."""
    clock = ExamClock(settings.clock_file)
    client = connect()
    return Centre(
        settings=settings,
        store=SqliteStore(settings.database, clock, actor()),
        engine=DockerEngine(client, settings),
        gateway=HaproxyGateway(client, settings),
        jury=HaproxyJuryGateway(client, settings),
        sealing=FolderSealing(settings.evidence_folder),
        copies=FolderCopies(settings.evidence_folder),
        locks=FileLocks(settings.locks_folder, clock),
        host=SystemHost(),
        clock=clock,
        progress=progress,
    )


def setup() -> Setup:
    """The set-up of this machine; what it keeps is in the user's own folders."""
    # Here, not above: every command of an exam's day would wait for what only a set-up needs.
    from orchestrator.adapters.base_images import BaseImageStore
    from orchestrator.adapters.engine_setup import EngineStarter
    from orchestrator.adapters.image_build import ImageProject
    from orchestrator.adapters.release_archive import OperatorSupplies
    from orchestrator.services.setup import Setup

    images = Path(__file__).parent.parent / "images"
    logs = _own_folder("XDG_STATE_HOME", ".local/state") / "logs"
    return Setup(
        EngineStarter(logs / "dockerd.log"),
        BaseImageStore(),
        OperatorSupplies(images, _own_folder("XDG_CACHE_HOME", ".cache")),
        ImageProject(images, logs),
    )


def _own_folder(variable: str, usual: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / usual) / "e5b"

"""The only place where adapters are constructed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.clear_text import MemoryClearText
from orchestrator.adapters.docker_engine import DockerEngine, connect
from orchestrator.adapters.evidence_copies import FolderCopies
from orchestrator.adapters.haproxy import HaproxyGateway
from orchestrator.adapters.jury_gateway import HaproxyJuryGateway
from orchestrator.adapters.machine import ExamClock, FileLocks, SystemHost, actor
from orchestrator.adapters.sealing import FolderSealing
from orchestrator.adapters.store import SqliteStore
from orchestrator.ports import (
    BankFiles,
    Documents,
    Guard,
    Packages,
    Papers,
    PolicyFiles,
    Progress,
    SealedBanks,
    Signatures,
    Store,
    Supplies,
)
from orchestrator.services.centre import Centre
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.services.context_build import Academy
    from orchestrator.services.context_load import Depot
    from orchestrator.services.setup import Setup

IMAGES = Path(__file__).parent.parent / "images"
"""The project's images, one folder each."""


def store(settings: Settings) -> Store:
    """The stored state alone: what the journal's commands need, with or without an engine."""
    return SqliteStore(settings.database, ExamClock(settings.clock_file), actor())


def centre(settings: Settings, progress: Progress) -> Centre:
    """Raises EngineUnavailable when no engine answers."""
    clock = ExamClock(settings.clock_file)
    client = connect()
    guard: Guard | None = None
    if settings.guard.mode != "off":
        from orchestrator.adapters.guard import DockerGuard

        guard = DockerGuard(client, settings)
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
        guard=guard,
        clear_text=MemoryClearText(settings),
        policy_files=None if guard is None else policy_files(settings),
    )


def policy_files(settings: Settings) -> PolicyFiles:
    """The lists that the guard's policy is made of; with or without an engine."""
    from orchestrator.adapters.policy_files import FolderPolicyFiles
    from orchestrator.adapters.signatures import MinisignSignatures

    project = Path(__file__).parent.parent / "policy"
    return FolderPolicyFiles(
        *(project, settings.session_rules, settings.guard.policy),
        *(MinisignSignatures(), settings.trust.public_key or None),
    )


# What follows imports by itself: every command of an exam's day would wait for what only a set-up needs.


def packages() -> Packages:
    from orchestrator.adapters.oci_layout import OciPackages

    return OciPackages()


def signatures() -> Signatures:
    from orchestrator.adapters.signatures import MinisignSignatures

    return MinisignSignatures()


def bank_files() -> BankFiles:
    from orchestrator.adapters.bank_files import FolderBankFiles

    return FolderBankFiles()


def sealed_banks() -> SealedBanks:
    from orchestrator.adapters.bank_sealing import FolderSealedBanks

    return FolderSealedBanks()


def papers() -> Papers:
    from orchestrator.adapters.papers import SheetPapers

    return SheetPapers(documents())


def documents() -> Documents:
    from orchestrator.adapters.documents import WeasyDocuments

    return WeasyDocuments()


def depot(settings: Settings, progress: Progress) -> Depot:
    """Raises EngineUnavailable when no engine answers."""
    from orchestrator.adapters.context_engine import DockerImages
    from orchestrator.services.context_load import Depot

    return Depot(centre(settings, progress), DockerImages(connect(600), settings.centre.id), packages(), signatures())


def supplies(images: Path | None = None) -> Supplies:
    """What an operator supplies to the project's images, or to those in *images*."""
    from orchestrator.adapters.release_archive import OperatorSupplies

    return OperatorSupplies(images or IMAGES, _own_folder("XDG_CACHE_HOME", ".cache"))


def academy(progress: Progress, images: Path | None = None) -> Academy:
    """Where contexts are made of the project's images, or of those in *images*. Raises EngineUnavailable."""
    from orchestrator.adapters.base_images import BaseImageStore
    from orchestrator.adapters.context_engine import DockerImages
    from orchestrator.adapters.engine_setup import EngineStarter
    from orchestrator.adapters.image_build import ImageProject
    from orchestrator.services.context_build import ACADEMY, Academy
    from orchestrator.services.setup import Setup

    state = _own_folder("XDG_STATE_HOME", ".local/state")
    logs, client = state / "logs", connect(600)
    builder = ImageProject(images or IMAGES, logs)
    # Its containers are on no network and at no seat.
    own = Settings.model_validate(
        {
            "centre": {"id": ACADEMY, "name": ACADEMY, "state": state / ACADEMY},
            "rooms": [{"name": ACADEMY, "seats": [{"number": 1, "address": "127.0.0.1"}]}],
        }
    )
    return Academy(
        engine=DockerEngine(client, own),
        images=DockerImages(client, ACADEMY),
        setup=Setup(EngineStarter(logs / "dockerd.log"), BaseImageStore(), supplies(images), builder),
        builder=builder,
        again=ImageProject(images or IMAGES, logs, repository="e5b-again"),
        supplies=supplies(images),
        packages=packages(),
        signatures=signatures(),
        progress=progress,
    )


def setup() -> Setup:
    """The set-up of this machine; what it keeps is in the user's own folders."""
    from orchestrator.adapters.base_images import BaseImageStore
    from orchestrator.adapters.engine_setup import EngineStarter
    from orchestrator.adapters.image_build import ImageProject
    from orchestrator.services.setup import Setup

    logs = _own_folder("XDG_STATE_HOME", ".local/state") / "logs"
    return Setup(
        EngineStarter(logs / "dockerd.log"),
        BaseImageStore(),
        supplies(),
        ImageProject(IMAGES, logs),
    )


def _own_folder(variable: str, usual: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / usual) / "e5b"

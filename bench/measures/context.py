"""A national package of both sites against `docker save | gzip` and `docker load`; a delta for a corrected text."""

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.centre import BenchCentre, Failed
from bench.engine import own_engine
from bench.figures import Figure
from bench.run import Run
from orchestrator import wiring
from orchestrator.adapters.image_build import ImageProject
from orchestrator.cli.output import NoProgress
from orchestrator.domain.exam import Site
from orchestrator.services import context_build, context_definition
from orchestrator.services.context_definition import Built

CORRECTED = "wordpress"
"""The site in which a text is corrected."""

BOTH = "both"


def measure(run: Run) -> None:
    run.say(f"the context of {', '.join(run.sites)}")
    with run.centre(1) as centre, tempfile.TemporaryDirectory(prefix="e5b-bench-context-", dir="/var/tmp") as name:
        folder = Path(name)
        academy = _Academy(run, centre, folder)
        plain, archive = folder / "images.tar.gz", folder / "context-1.tar"
        saved = _timed(_shell, f"docker save {' '.join(run.images.values())} | gzip >{plain}")
        packed = academy.pack("1", {name: str(run.client.images.get(image).id) for name, image in run.images.items()})
        verified = [academy.e5b("verify", archive) for _round in range(1 if run.quick else 3)]
        loads, ours = [], []
        for turn in range(1 if run.quick else 3):
            # Each is the first in its turn: the machine writes the one's layers to its disk during the other.
            for mine in (False, True) if turn % 2 == 0 else (True, False):
                with _engine(folder / f"engine-{turn}-{mine}") as host:
                    if mine:
                        ours.append(academy.load(archive, host))
                    else:
                        loads.append(_timed(_shell, f"docker load --quiet <{plain}", DOCKER_HOST=host))
                os.sync()
            run.say(f"  docker load {loads[-1]:.1f} s, e5b context load {ours[-1][0]:.1f} s {ours[-1][1]}")
        plain_load = statistics.median(loads)
        whole = statistics.median(item[0] for item in ours)
        until_loaded = statistics.median(item[1]["verify"] + item[1]["load"] for item in ours)
        sizes = archive.stat().st_size, plain.stat().st_size
        run.add(
            Figure("context", "docker save | gzip", BOTH, saved, "s"),
            Figure("context", "e5b context pack, signed and read back", BOTH, packed, "s"),
            Figure("context", "the images as docker save | gzip", BOTH, sizes[1] / 1e6, "MB"),
            Figure("context", "the package", BOTH, sizes[0] / 1e6, "MB"),
            Figure("context", "package / docker save | gzip", BOTH, sizes[0] / sizes[1], "times", 1.0),
            Figure("context", "e5b context verify", BOTH, statistics.median(verified), "s"),
            Figure("context", "docker load", BOTH, plain_load, "s", samples={"all": loads}),
            Figure(
                *("context", "verify and load, until the engine has the images", BOTH, until_loaded, "s"),
                samples={"all": [item[1] for item in ours]},
            ),
            Figure(
                *("context", "verify and load / docker load", BOTH, until_loaded / plain_load, "times", 1.2),
                note="the same engine, empty; until both have the images",
            ),
            Figure(
                *("context", "the whole command, the references proved in containers / docker load", BOTH),
                *(whole / plain_load, "times"),
                note="docker load proves nothing",
            ),
        )
        if CORRECTED in run.images:
            _delta(run, academy, folder, archive)


def _delta(run: Run, academy: "_Academy", folder: Path, archive: Path) -> None:
    """A text of the organisation is corrected, the site built anew, and only what is new packed."""
    run.say(f"  {CORRECTED} built anew with a corrected text")
    images = folder / "images"
    shutil.copytree(wiring.IMAGES, images)
    corrected = images / "organisation" / "organisation.json"
    organisation = json.loads(corrected.read_text(encoding="utf-8"))
    organisation["posts"][0]["title"] += " (corrigé)"
    corrected.write_text(json.dumps(organisation, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    project = ImageProject(images, folder, repository=f"e5b-{run.centre_id}")
    supplied = wiring.supplies().find(CORRECTED)
    # First as it is, so that the builder has its steps; the academy has them from its first build.
    before = ImageProject(wiring.IMAGES, folder, repository=f"e5b-{run.centre_id}")
    ids = {name: str(run.client.images.get(image).id) for name, image in run.images.items()}
    try:
        before.build(CORRECTED, before.source(CORRECTED, supplied), supplied, NoProgress())
        built = before.current(CORRECTED)
        assert built is not None
        academy.pack("2", {**ids, CORRECTED: built.id})
        project.build(CORRECTED, project.source(CORRECTED, supplied), supplied, NoProgress())
        changed = project.current(CORRECTED)
        assert changed is not None
        base, delta = folder / "context-2.tar", folder / "context-3.tar"
        packed = academy.pack("3", {**ids, CORRECTED: changed.id}, "--since", str(base))
        size = delta.stat().st_size
        with _engine(folder / "delta") as host:
            academy.load(base, host)
            loaded = academy.load(delta, host)
        run.add(
            Figure("context", "delta for a corrected text, packed", CORRECTED, packed, "s"),
            Figure("context", "delta for a corrected text", CORRECTED, size / 1e6, "MB"),
            Figure(
                *("context", "delta / the whole package", CORRECTED, size / base.stat().st_size, "times", 0.02),
                note="the site was built anew from the corrected text",
            ),
            Figure("context", "the delta verified, loaded, proved", CORRECTED, loaded[0], "s", samples=loaded[1]),
        )
    finally:
        own = f"e5b-{run.centre_id}/{CORRECTED}"
        for image in run.client.images.list(name=own):
            # What was built as it was is the very image that the machine has under its own name.
            for tag in image.tags:
                if tag.startswith(f"{own}:"):
                    run.client.images.remove(tag)


class _Academy:
    """A pilot academy and a centre that trusts it, on one machine."""

    def __init__(self, run: Run, centre: BenchCentre, folder: Path) -> None:
        self._run, self._centre, self._folder = run, centre, folder
        keys = wiring.signatures().new_keys(folder / "keys", "")
        self._key = keys.secret
        centre._change({"trust.public_key": json.dumps(keys.text)})
        self._measured: dict[str, Any] = {}

    def pack(self, version: str, images: Mapping[str, str], *options: str) -> float:
        """Seconds. What the images' references are is measured before."""
        definition = self._folder / "context.toml"
        definition.unlink(missing_ok=True)
        context_definition.new(definition, version, "bench", {})
        academy = wiring.academy(NoProgress())
        for name, image in images.items():
            if image not in self._measured:
                self._measured[image] = context_build.measure(academy, Site(name), image)
        sites = {Site(name): self._measured[image] for name, image in images.items()}
        context_definition.save(definition, Built("now", context_definition.digest(definition), images, sites))
        path = self._folder / f"context-{version}.tar"
        return self.e5b("pack", path, "--definition", definition, "--key", self._key, *options)

    def e5b(self, *arguments: Any) -> float:
        return self._centre.e5b("context", *map(str, arguments)).seconds

    def load(self, path: Path, host: str) -> tuple[float, dict[str, float]]:
        """The whole command's seconds, and its parts, in the engine at *host*."""
        self._centre.env["DOCKER_HOST"] = host
        try:
            done = self._centre.e5b("context", "load", str(path))
        finally:
            del self._centre.env["DOCKER_HOST"]
        return done.seconds, done.answer["seconds"]


@contextmanager
def _engine(folder: Path) -> Iterator[str]:
    """Where an empty engine listens."""
    try:
        with own_engine(folder):
            yield f"unix://{folder / 'docker.sock'}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _timed(what: Callable[..., None], *arguments: Any, **options: str) -> float:
    begun = time.monotonic()
    what(*arguments, **options)
    return time.monotonic() - begun


def _shell(command: str, **env: str) -> None:
    # A failure anywhere in the pipe counts.
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], env={**os.environ, **env}, capture_output=True)
    if done.returncode:
        raise Failed(f"{command}: {done.stderr.decode(errors='replace')[-500:]}")

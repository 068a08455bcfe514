"""Packages on the real engine, with tiny sites: what was packed and signed is loaded and proved, and nothing else."""

import hashlib
import io
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator import wiring
from orchestrator.adapters import oci_layout
from orchestrator.cli.output import NoProgress
from orchestrator.domain.exam import Site
from orchestrator.services import context_build, context_definition
from orchestrator.services.context_build import Academy
from orchestrator.services.context_definition import Built
from orchestrator.services.context_pack import Packed, pack
from tests.e2e.conftest import RealCentre

DOCKERFILE = """
FROM {base}
COPY bin /opt/e5b/bin/
COPY shared /srv/shared
COPY database /srv/database
COPY reference /opt/e5b/reference/
COPY status /var/lib/dpkg/status
ENTRYPOINT ["/opt/e5b/bin/start"]
LABEL fr.e5b.contract=1 fr.e5b.site={site} fr.e5b.test={mark}
"""

EXECUTABLES = {
    "start": "exec sleep infinity",
    "ready": "exit 0",
    "describe": 'echo \'{"site": "any", "version": "1.0", "language": "fr"}\'',
    "fingerprint": "cat /opt/e5b/reference/fingerprint",
}


def noise(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def fingerprint(site: str, text: str) -> bytes:
    content: dict[str, Any] = {"contract": 1, "manifest": "sha256:" + hashlib.sha256(text.encode()).hexdigest()}
    content |= {"files": {}, "tables": {f"{site}_posts": f"{len(text)}:1"}}
    compact = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content["digest"] = "sha256:" + hashlib.sha256(compact.encode()).hexdigest()
    return json.dumps(content).encode()


class Workshop:
    """A pilot academy whose sites are a shell script and two files."""

    def __init__(self, client: docker.DockerClient, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.mark = "t" + secrets.token_hex(4)
        self.academy: Academy = wiring.academy(NoProgress())
        self.keys = wiring.signatures().new_keys(folder / "keys", "")

    def image(self, site: str, text: str) -> str:
        """A site with a shared layer of some megabytes and a database that holds *text*."""
        database = noise(site, 3_000_000) + text.encode()
        files = {f"bin/{name}": f"#!/bin/sh\n{script}\n".encode() for name, script in EXECUTABLES.items()}
        files |= {
            "Dockerfile": DOCKERFILE.format(base="debian:trixie-slim", site=site, mark=self.mark).encode(),
            "shared/big": noise(self.mark, 8_000_000),
            "database/ibdata1": database,
            "reference/manifest": f"f:0644:0:0:{text}\t/srv/database/ibdata1\n".encode(),
            "reference/fingerprint": fingerprint(site, text),
            "status": b"Package: tini\nStatus: installed\nVersion: 0.19\n",
        }
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(content), 0o755, 1735689600
                tar.addfile(info, io.BytesIO(content))
        context.seek(0)
        image, _log = self.client.images.build(
            fileobj=context, custom_context=True, rm=True, forcerm=True, tag=f"e5b-test/{self.mark}:{site}"
        )
        return str(image.id)

    def pack(self, version: str, texts: dict[str, str], since: Path | None = None) -> Packed:
        definition = self.folder / "context.toml"
        definition.unlink(missing_ok=True)
        context_definition.new(definition, version, "2027", {})
        images = {site: self.image(site, text) for site, text in texts.items()}
        sites = {Site(site): context_build.measure(self.academy, Site(site), image) for site, image in images.items()}
        context_definition.save(definition, Built("now", context_definition.digest(definition), images, sites))
        path = self.folder / f"context-{version}.tar"
        return pack(self.academy, definition, path, self.keys.secret, "", since)

    def forget(self) -> None:
        """The engine has nothing of the sites any more."""
        for image in self.client.images.list(all=True, filters={"label": f"fr.e5b.test={self.mark}"}):
            if image.tags or not image.attrs["Parent"]:
                self.client.images.remove(image.id, force=True)
        for image in self.client.images.list(filters={"label": f"fr.e5b.test={self.mark}"}):
            self.client.images.remove(image.id, force=True)

    def held(self) -> dict[str, list[str]]:
        """The sites that the engine has, by id, with their names."""
        found = self.client.images.list(filters={"label": f"fr.e5b.test={self.mark}"})
        return {str(image.id): sorted(image.tags) for image in found}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    client = docker.from_env(version="auto")
    made = Workshop(client, tmp_path_factory.mktemp("academy"))
    with pytest.MonkeyPatch.context() as patch:
        # How small it becomes is not what is tested.
        patch.setattr(oci_layout, "LEVEL", 1)
        yield made
    made.forget()
    client.close()


FIRST = {"wordpress": "Tisanes", "prestashop": "Boutique"}
VERSION = f"1.{secrets.randbelow(10**6)}"
"""Under which nobody else has images of this project on this engine."""


@pytest.fixture(scope="module")
def both(workshop: Workshop) -> tuple[Packed, Packed]:
    """A package, and a delta to it with a corrected text."""
    whole = workshop.pack(f"{VERSION}.1", FIRST)
    delta = workshop.pack(f"{VERSION}.2", {**FIRST, "wordpress": "Infusions"}, since=whole.path)
    workshop.forget()
    return whole, delta


@pytest.fixture
def packed(both: tuple[Packed, Packed]) -> Packed:
    return both[0]


@pytest.fixture
def centre(workshop: Workshop, packed: Packed, tmp_path: Path) -> Iterator[RealCentre]:
    client = docker.from_env(version="auto")
    made = RealCentre(tmp_path, client, 1, "--public-key", str(workshop.keys.public))
    settings = tmp_path / "centre.toml"
    text = settings.read_text(encoding="utf-8")
    for site in FIRST:
        text = text.replace(f'"e5b/{site}:current"', f'"e5b-test/{workshop.mark}-{site}:current"')
    settings.write_text(text, encoding="utf-8")
    workshop.forget()
    yield made
    workshop.forget()
    made.remove()
    client.close()


def names(workshop: Workshop, version: str = f"{VERSION}.1") -> list[list[str]]:
    return [sorted([f"e5b-test/{workshop.mark}-{site}:current", f"e5b/{site}:{version}"]) for site in sorted(FIRST)]


def test_what_was_packed_is_loaded_with_the_same_ids_and_proved(
    workshop: Workshop, packed: Packed, centre: RealCentre
) -> None:
    assert centre.json("context", "verify", str(packed.path))["holds"]
    loaded = centre.json("context", "load", str(packed.path))
    assert sorted(loaded["loaded"]) == sorted(loaded["proved"]) == sorted(FIRST)
    held = workshop.held()
    assert set(held) == {image.id for image in packed.manifest.images}
    assert sorted(held.values()) == names(workshop)
    again = centre.json("context", "load", str(packed.path))
    assert again["loaded"] == [] and sorted(again["kept"]) == sorted(FIRST)
    assert [item for item in centre.containers() if item.labels.get("fr.e5b.role") == "reference"] == []


def test_a_killed_load_leaves_whole_images_and_goes_on(workshop: Workshop, packed: Packed, centre: RealCentre) -> None:
    whole = {image.id for image in packed.manifest.images}
    for delay in (0.7, 0.9, 1.1):
        process = centre.start("context", "load", str(packed.path))
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        held = workshop.held()
        assert set(held) <= whole
        assert not any(name.endswith(":current") for tags in held.values() for name in tags)
    centre.e5b("context", "load", str(packed.path))
    assert sorted(workshop.held().values()) == names(workshop)


def test_a_delta_is_loaded_over_its_base_alone(
    workshop: Workshop, both: tuple[Packed, Packed], centre: RealCentre
) -> None:
    packed, delta = both
    assert delta.size < 0.02 * packed.size
    alone = centre.folder / "stick"
    alone.mkdir()
    for path in (delta.path, delta.signature):
        (alone / path.name).write_bytes(path.read_bytes())
    refused = centre.json("context", "load", str(alone / delta.path.name), code=6)
    assert f"{VERSION}.1" in refused["error"]
    assert workshop.held() == {}
    centre.e5b("context", "load", str(packed.path))
    loaded = centre.json("context", "load", str(alone / delta.path.name))
    assert loaded["loaded"] == ["wordpress"] and loaded["kept"] == ["prestashop"]
    current = [image for image, tags in workshop.held().items() if any(tag.endswith(":current") for tag in tags)]
    assert set(current) == {image.id for image in delta.manifest.images}
    # There is no way back.
    refused = centre.json("context", "load", str(packed.path), code=6)
    assert f"{VERSION}.2" in refused["error"]
    said = centre.e5b("context", "diff", str(packed.path), str(delta.path))
    assert "table wordpress_posts: changed, 7 rows before and 9 after" in said and "prestashop: unchanged" in said


def test_a_damaged_file_leaves_the_engine_as_it_was(workshop: Workshop, packed: Packed, centre: RealCentre) -> None:
    path = centre.folder / packed.path.name
    content = bytearray(packed.path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.with_name(path.name + ".minisig").write_bytes(packed.signature.read_bytes())
    assert "changed" in centre.json("context", "load", str(path), code=15)["error"]
    path.write_bytes(content[:-5000])
    assert "cut short" in centre.json("context", "load", str(path), code=15)["error"]
    assert workshop.held() == {}


def test_a_package_is_verified_where_there_is_no_engine(packed: Packed, workshop: Workshop, tmp_path: Path) -> None:
    env = {**os.environ, "DOCKER_HOST": "unix:///nowhere", "E5B_LANG": "en"}
    command = ["context", "verify", str(packed.path), "--public-key", workshop.keys.text]
    subprocess.run([sys.executable, "-m", "orchestrator", *command], cwd=tmp_path, env=env, check=True)


def test_keys_and_a_definition_are_made_once_and_never_written_over(centre: RealCentre) -> None:
    made = centre.json("context", "keys", "keys", "--no-password")
    assert made["key"] in (centre.folder / "keys" / "minisign.pub").read_text(encoding="utf-8")
    centre.json("context", "keys", "keys", "--no-password", code=6)
    # Nobody can be asked for a password here.
    centre.json("context", "keys", "others", code=2)
    centre.e5b("context", "new", "session/context.toml", "--version", "2027.1", "--session", "2027")
    written = context_definition.load(centre.folder / "session" / "context.toml")
    assert written.version == "2027.1" and set(written.sites) == set(Site)
    pack = ("context", "pack", "out.tar", "--definition", "session/context.toml", "--key", "keys/minisign.key")
    assert "was not built yet" in centre.json(*pack, code=6)["error"]

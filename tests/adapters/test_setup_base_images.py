"""The distribution's images: which mirror is used, and a real one made without a registry."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound, NotFound

from orchestrator.adapters import base_images
from orchestrator.adapters.base_images import BOOTSTRAPPED, BaseImageStore, Mirrors, host_mirrors
from orchestrator.adapters.docker_engine import connect
from orchestrator.cli.output import NoProgress
from orchestrator.errors import ImageUnusable
from orchestrator.ports import Outcome

DEBIAN = 'ID=debian\nVERSION_CODENAME=bookworm\nNAME="Debian GNU/Linux"\n'
OFFICIAL = Mirrors()

HOSTS: dict[str, tuple[dict[str, str], Mirrors]] = {
    "deb822": (
        {
            "etc/os-release": DEBIAN,
            "etc/apt/sources.list.d/debian.sources": """
# the archive
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
""",
        },
        Mirrors(
            "http://mirror.example/debian", "http://mirror.example/debian", "http://security.example/debian-security"
        ),
    ),
    "one line each": (
        {
            "etc/os-release": DEBIAN,
            "etc/apt/sources.list": """
# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main contrib
deb-src http://source.example/debian bookworm main
deb http://mirror.example/debian bookworm-updates main
deb http://security.example/debian-security bookworm-security/updates main
deb http://security.example/debian-security bookworm-security main
""",
            "etc/apt/sources.list.d/other.list": "deb http://other.example/apt stable main\n",
        },
        Mirrors(
            "http://mirror.example/debian", "http://mirror.example/debian", "http://security.example/debian-security"
        ),
    ),
    "fields that go on, one switched off": (
        {
            "etc/os-release": DEBIAN,
            "etc/apt/sources.list.d/a.sources": "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\n"
            "Suites: bookworm\nComponents: main\n",
            "etc/apt/sources.list.d/b.sources": "Types: deb\nURIs:\n http://mirror.example/debian\n"
            "Suites:\n bookworm\n bookworm-updates\nComponents: main\n",
        },
        Mirrors("http://mirror.example/debian", "http://mirror.example/debian", OFFICIAL.security),
    ),
    "a list of mirrors, as cloud images have": (
        {
            "etc/os-release": DEBIAN,
            "etc/apt/mirrors/debian.list": "https://mirror.example/debian\n",
            "etc/apt/mirrors/security.list": "https://security.example/debian-security\n",
            "etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\n"
            "Suites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\n"
            "URIs: mirror+file:///etc/apt/mirrors/security.list\nSuites: bookworm-security\nComponents: main\n",
        },
        Mirrors(
            "https://mirror.example/debian", "https://mirror.example/debian", "https://security.example/debian-security"
        ),
    ),
    "a disc only": (
        {"etc/os-release": DEBIAN, "etc/apt/sources.list": "deb cdrom:[Debian 12]/ bookworm main\n"},
        OFFICIAL,
    ),
    "Ubuntu": (
        {
            "etc/os-release": "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n",
            "etc/apt/sources.list": "deb http://ubuntu.example/ubuntu noble main\n",
        },
        OFFICIAL,
    ),
    "no os-release": ({}, OFFICIAL),
}


@pytest.mark.parametrize("host", HOSTS)
def test_the_mirrors_are_those_of_the_machine(host: str, tmp_path: Path) -> None:
    files, expected = HOSTS[host]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert host_mirrors(tmp_path) == expected


def test_all_three_suites_are_used() -> None:
    assert Mirrors("http://a.example", "http://b.example", "http://c.example").sources("trixie") == [
        "deb http://a.example trixie main",
        "deb http://b.example trixie-updates main",
        "deb http://c.example trixie-security main",
    ]
    assert OFFICIAL.sources("trixie") == [], "mmdebstrap then takes all three from Debian's own address"


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = connect()
    yield client
    client.close()


@pytest.fixture
def tag(client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tag of the tests' own that stands for a Debian which no registry has."""
    tag = "e5b-test/debian:trixie-slim"
    monkeypatch.setattr(base_images, "debian_suite", lambda asked: {tag: "trixie"}.get(asked))
    monkeypatch.setattr(BaseImageStore, "_pull", lambda self, asked: "no registry answers")
    _remove(client, tag)
    yield tag
    _remove(client, tag)


def _remove(client: docker.DockerClient, tag: str) -> None:
    with contextlib.suppress(NotFound):
        client.containers.get("e5b-test-base").remove(force=True)
    with contextlib.suppress(ImageNotFound):
        client.images.remove(tag)


def test_a_base_image_is_made_without_a_registry(client: docker.DockerClient, tag: str) -> None:
    store = BaseImageStore()
    assert store.ensure(tag, NoProgress()) is Outcome.BOOTSTRAPPED
    image = client.images.get(tag)
    assert image.labels[BOOTSTRAPPED] == "1"
    assert image.attrs["Config"]["Cmd"] == ["bash"]
    said = client.containers.run(
        image,
        ["sh", "-ec", ". /etc/os-release; apt-get update -q; apt-cache policy tini; echo $VERSION_CODENAME"],
        name="e5b-test-base",
        remove=True,
    ).decode()
    assert "Candidate: " in said, "its own sources work"
    assert said.split()[-1] == "trixie"
    # The second time it is simply there.
    assert store.ensure(tag, NoProgress()) is Outcome.KEPT
    assert client.images.get(tag).id == image.id


def test_no_registry_and_no_debian_is_one_sentence() -> None:
    with pytest.raises(ImageUnusable, match="e5b-test/nothing:1"):
        BaseImageStore(patience=20).ensure("e5b-test/nothing:1", NoProgress())


def test_a_registry_that_stays_silent_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tag = f"127.0.0.1:{silent.getsockname()[1]}/debian:trixie"
        start = time.monotonic()
        with pytest.raises(ImageUnusable, match=tag):
            BaseImageStore(patience=2).ensure(tag, NoProgress())
        assert time.monotonic() - start < 10


def test_a_mirror_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/debian"
    with pytest.raises(ImageUnusable) as raised:
        base_images.bootstrap("trixie", Mirrors(nowhere, nowhere, nowhere), tmp_path / "base.tar")
    assert nowhere in raised.value.message
    assert raised.value.details


def test_mmdebstrap_missing_and_not_root_is_one_sentence(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_images.shutil, "which", lambda name: None)
    monkeypatch.setattr(base_images.apt, "root", lambda: False)
    with pytest.raises(ImageUnusable) as raised:
        BaseImageStore().ensure(tag, NoProgress())
    assert "apt-get install mmdebstrap" in str(raised.value.hint)

"""The distribution's images that ours are built from: pulled, or made here when no registry answers."""

import platform
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import parse_repository_tag

from orchestrator.adapters import apt
from orchestrator.adapters.docker_engine import connect, translated
from orchestrator.errors import EngineUnavailable, ImageUnusable
from orchestrator.i18n import _
from orchestrator.ports import Outcome, Progress

BOOTSTRAPPED = "fr.e5b.bootstrapped"

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# What the official "slim" images leave out too, so that a Dockerfile meets the same system either way.
_SLIM = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)


@dataclass(frozen=True)
class Mirrors:
    """Where Debian's packages come from; without *main*, from where mmdebstrap itself takes them."""

    main: str | None = None
    updates: str | None = None
    security: str | None = None

    def sources(self, suite: str) -> list[str]:
        addresses = {suite: self.main, f"{suite}-updates": self.updates, f"{suite}-security": self.security}
        return [f"deb {address} {name} main" for name, address in addresses.items() if address is not None]


class BaseImageStore:
    """*patience* is how long a registry may stay silent, in seconds; *root* is the machine's file system."""

    def __init__(self, *, patience: float = 20, root: Path = Path("/")) -> None:
        self._patience = patience
        self._root = root

    def ensure(self, tag: str, progress: Progress) -> Outcome:
        client = connect(300)
        try:
            if _present(client, tag):
                return Outcome.KEPT
            progress.begin(_("Base image {tag}").format(tag=tag), 2)
            progress.step(_("asking the registry"))
            fault = self._pull(tag)
            if fault is None:
                return Outcome.PULLED
            progress.step(_("no registry answers: making it from the distribution's packages"))
            self._bootstrap(client, tag, fault)
            return Outcome.BOOTSTRAPPED
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        finally:
            progress.end()
            client.close()

    def _pull(self, tag: str) -> str | None:
        """None when the image came; else why it did not."""
        # The SDK waits for as long as the engine does, which for a name server or a firewall that stays silent is
        # minutes. So the engine is listened to from a thread that can be left behind.
        said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=_listen, args=(tag, said), daemon=True).start()
        while True:
            try:
                line = said.get(timeout=self._patience)
            except queue.Empty:
                return _("no answer in {seconds} s").format(seconds=round(self._patience))
            if "error" in line:
                return str(line["error"])
            if "done" in line:
                return None

    def _bootstrap(self, client: docker.DockerClient, tag: str, fault: str) -> None:
        suite = debian_suite(tag)
        if suite is None:
            raise ImageUnusable(
                _("The image {tag} cannot be pulled: {fault}").format(tag=tag, fault=fault),
                hint=_("Bring it with `docker load`, or connect this machine to a registry."),
            )
        self._ensure_mmdebstrap(tag, fault)
        mirrors = host_mirrors(self._root)
        with tempfile.TemporaryDirectory(prefix="e5b-base-") as folder:
            archive = Path(folder) / "base.tar"
            bootstrap(suite, mirrors, archive)
            repository, version = parse_repository_tag(tag)
            with archive.open("rb") as stream:
                client.api.import_image_from_stream(
                    # A file would be sent with its length and in pieces: the engine accepts one or the other.
                    cast("IO[bytes]", iter(lambda: stream.read(1 << 20), b"")),
                    repository=repository,
                    tag=version,
                    changes=['CMD ["bash"]', f"LABEL {BOOTSTRAPPED}=1"],
                )
        if not _present(client, tag):
            raise ImageUnusable(_("The image {tag} could not be imported.").format(tag=tag))

    def _ensure_mmdebstrap(self, tag: str, fault: str) -> None:
        if shutil.which("mmdebstrap") is not None and (self._root / _KEYRING.relative_to("/")).exists():
            return
        if not apt.root() or not apt.available():
            raise ImageUnusable(
                _("The image {tag} cannot be pulled ({fault}), and mmdebstrap is not there to make it.").format(
                    tag=tag, fault=fault
                ),
                hint=_("Run as root, or `sudo apt-get install mmdebstrap debian-archive-keyring`."),
            )
        try:
            apt.install("mmdebstrap", "debian-archive-keyring")
        except apt.AptFailed as error:
            raise ImageUnusable(
                _("The image {tag} cannot be pulled, nor can mmdebstrap be installed: {error}").format(
                    tag=tag, error=error
                ),
                hint=_("Connect this machine to a registry or to a mirror of its distribution."),
            ) from error


def _listen(tag: str, said: "queue.Queue[dict[str, Any]]") -> None:
    try:
        client = connect(60)
        repository, version = parse_repository_tag(tag)
        for line in client.api.pull(repository, version or "latest", stream=True, decode=True):
            said.put(line)
        said.put({"done": True} if _present(client, tag) else {"error": "nothing was pulled"})
    except APIError as error:
        said.put({"error": str(error.explanation or error)})
    except (DockerException, requests.RequestException, EngineUnavailable) as error:
        said.put({"error": str(error)})


def debian_suite(tag: str) -> str | None:
    """The suite of ``debian:trixie-slim``; None when it is not an image that mmdebstrap can make."""
    match = re.fullmatch(r"debian:([a-z]+)(?:-slim)?", tag)
    return match[1] if match else None


def bootstrap(suite: str, mirrors: Mirrors, archive: Path) -> None:
    """Write the root file system of a minimal *suite* as a tar. Raises ImageUnusable."""
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--include=ca-certificates",
        f"--keyring={_KEYRING}",
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt={option}" for option in _SLIM),
        "--format=tar",
        suite,
        str(archive),
        *mirrors.sources(suite),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        faults = [line for line in lines if line.startswith("E:")] or lines[-1:]
        raise ImageUnusable(
            _("Debian {suite} could not be made from {mirror}.").format(suite=suite, mirror=mirrors.main or "Debian"),
            hint=_("Connect this machine to a registry or to a Debian mirror, then run the same command again."),
            details=faults[:5],
        )


def host_mirrors(root: Path = Path("/")) -> Mirrors:
    """The mirrors that this machine uses itself when it is a Debian, otherwise Debian's own."""
    try:
        release = platform.freedesktop_os_release() if root == Path("/") else _os_release(root)
    except OSError:
        return Mirrors()
    suite = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not suite:
        return Mirrors()
    found: dict[str, str] = {}
    for address, name in _entries(root / "etc/apt"):
        usable = _address(address, root)
        if usable:
            found.setdefault(name, usable.rstrip("/"))
    main = found.get(suite)
    if main is None:
        return Mirrors()
    return Mirrors(
        main=main,
        updates=found.get(f"{suite}-updates", main),
        security=found.get(f"{suite}-security"),
    )


def _os_release(root: Path) -> dict[str, str]:
    pairs = (line.partition("=") for line in (root / "etc/os-release").read_text(encoding="utf-8").splitlines())
    return {key: value.strip("\"'") for key, equals, value in pairs if equals}


def _entries(apt_folder: Path) -> Iterator[tuple[str, str]]:
    """Every (address, suite) that apt takes packages from."""
    parts = apt_folder / "sources.list.d"
    for path in [apt_folder / "sources.list", *sorted(parts.glob("*.list"))]:
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                match = re.match(r"deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)", line.strip())
                if match:
                    yield match[1], match[2].rstrip("/")
    for path in sorted(parts.glob("*.sources")):
        for fields in _stanzas(path.read_text(encoding="utf-8", errors="replace")):
            if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
                continue
            for address in fields.get("uris", "").split():
                for suite in fields.get("suites", "").split():
                    yield address, suite.rstrip("/")


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """The stanzas of a deb822 file, with lower-case field names."""
    fields: dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, key = {}, ""
        elif line[0] in " \t":
            fields[key] = f"{fields.get(key, '')} {line.strip()}"
        else:
            key, _colon, value = line.partition(":")
            key = key.strip().lower()
            fields[key] = value.strip()


def _address(address: str, root: Path) -> str | None:
    """An address that mmdebstrap can use. Cloud images name a file that lists mirrors."""
    if address.startswith(("http://", "https://")):
        return address
    for prefix in ("mirror+file:", "mirror:file:"):
        if address.startswith(prefix):
            path = root / address.removeprefix(prefix).lstrip("/")
            if path.is_file():
                words = path.read_text(encoding="utf-8", errors="replace").split()
                return next((word for word in words if word.startswith(("http://", "https://"))), None)
    return None


def _present(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True

"""The project's images: built once by the engine's classic builder, found again by what they were built from."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import docker
import requests
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image

from orchestrator.adapters import build_context
from orchestrator.adapters.docker_engine import connect, translated
from orchestrator.domain import naming
from orchestrator.domain.exam import Site
from orchestrator.errors import ImageUnusable, InputInvalid, NoSpace
from orchestrator.i18n import _
from orchestrator.ports import Member, Progress, ProjectImage, Supplied

REPOSITORY = "e5b"
_CURRENT = "current"

# A step that says nothing for longer than this is stuck, in seconds.
_SILENCE = 1800
_PART = 8 << 20
_SITES = frozenset(site.value for site in Site)
# What a build needs on the engine's disk besides its files: packages, the site's database, the builder's layers.
_ROOM = 1_000_000_000


class ImageProject:
    """*images* is the folder with one folder per image; *logs* is where the builds' logs are kept."""

    def __init__(self, images: Path, logs: Path, *, repository: str = REPOSITORY) -> None:
        self._images = images
        self._logs = logs
        self._repository = repository

    def names(self) -> list[str]:
        names = [path.parent.name for path in self._images.glob("*/Dockerfile")]
        if not names:
            raise ImageUnusable(
                _("{folder} holds no image to build.").format(folder=self._images),
                hint=_("Run e5b from a checkout of the project (`make setup`)."),
            )
        # The sites after the rest, the one that needs more from an operator last.
        return sorted(names, key=lambda name: (name in _SITES, (self._images / name / "site.toml").exists(), name))

    def bases(self, name: str) -> list[str]:
        return build_context.built_from(self._dockerfile(name))

    def source(self, name: str, supplied: Supplied) -> str:
        client = connect()
        try:
            bases = [f"{base} {client.images.get(base).id}" for base in self.bases(name)]
        except ImageNotFound as error:
            raise ImageUnusable(
                _("A base image of {name} is missing: {error}.").format(name=name, error=error.explanation),
                hint=_("Run `e5b setup`."),
            ) from error
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        finally:
            client.close()
        contents = [f"{folder} {content.digest}" for folder, content in sorted(supplied.folders.items())]
        return build_context.digest(self._own(name, supplied), *bases, *contents)

    def current(self, name: str) -> ProjectImage | None:
        client = connect()
        try:
            return _facts(name, client.images.get(self._tag(name, _CURRENT)))
        except ImageNotFound:
            return None
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        finally:
            client.close()

    def images(self) -> Sequence[ProjectImage]:
        client = connect()
        try:
            return [
                _facts(name, image)
                for name in self.names()
                for image in client.images.list(name=f"{self._repository}/{name}")
            ]
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        finally:
            client.close()

    def find(self, name: str, source: str) -> bool:
        client = connect()
        try:
            for version in (_CURRENT, _short(source)):
                with suppress(ImageNotFound):
                    image = client.images.get(self._tag(name, version))
                    if image.labels.get(naming.SOURCE) == source:
                        image.tag(f"{self._repository}/{name}", _CURRENT)
                        return True
            return False
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        finally:
            client.close()

    def build(self, name: str, source: str, supplied: Supplied, progress: Progress, *, anew: bool = False) -> None:
        client = connect(_SILENCE)
        tag = self._tag(name, _short(source))
        try:
            members, size = self._context(name, supplied)
            self._check_room(client, name, size)
            self._run(client, name, tag, source, members, size, progress, anew)
            image = client.images.get(tag)
            fault = _fault(name, image)
            if fault:
                client.images.remove(tag, noprune=True)
                raise ImageUnusable(fault, hint=_("Correct the labels in {path}.").format(path=self._path(name)))
            image.tag(f"{self._repository}/{name}", _CURRENT)
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        finally:
            client.close()

    def _run(
        self,
        client: docker.DockerClient,
        name: str,
        tag: str,
        source: str,
        members: Iterator[Member],
        size: int,
        progress: Progress,
        anew: bool,
    ) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        path = self._logs / f"build-{name}.log"
        progress.begin(_("{name}: sending its files").format(name=name), max(1, size // _PART))
        try:
            with path.open("w", encoding="utf-8") as log:
                lines = client.api.build(
                    # An iterable is sent in pieces as it is made; the SDK's types only know of files.
                    fileobj=cast("IO[bytes]", _sent(build_context.archive(members), progress)),
                    custom_context=True,
                    dockerfile=f"{name}/Dockerfile",
                    tag=tag,
                    labels={naming.SOURCE: source},
                    rm=True,
                    forcerm=True,
                    nocache=anew,
                    timeout=_SILENCE,
                    decode=True,
                )
                fault = _follow(lines, log.write, name, progress)
        except OSError as error:
            if isinstance(error, requests.RequestException):
                raise
            raise ImageUnusable(
                _("The files of the image {name} cannot be read: {error}.").format(name=name, error=error)
            ) from error
        finally:
            progress.end()
        if fault is None:
            return
        if "no space left on device" in fault:
            raise NoSpace(
                _("The engine's disk became full while the image {name} was built.").format(name=name),
                hint=_("Free some room, then run the same command again."),
            )
        said = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        raise ImageUnusable(
            _("The image {name} could not be built: {fault}").format(name=name, fault=fault),
            hint=_("The whole log is {log}.").format(log=path),
            details=said[-12:],
        )

    def _path(self, name: str) -> Path:
        path = self._images / name / "Dockerfile"
        if re.fullmatch(naming.SLUG, name) is None or not path.is_file():
            raise InputInvalid(
                _("There is no image {name}; there are: {names}.").format(name=name, names=", ".join(self.names()))
            )
        return path

    def _dockerfile(self, name: str) -> str:
        return self._path(name).read_text(encoding="utf-8")

    def _tag(self, name: str, version: str) -> str:
        return f"{self._repository}/{name}:{version}"

    def _own(self, name: str, supplied: Supplied) -> list[Member]:
        """The Dockerfile and the project's files that it copies: nothing else of the project makes a difference."""
        dockerfile = self._dockerfile(name)
        members = build_context.matching(self._images, f"{name}/Dockerfile")
        for source in build_context.copied(dockerfile):
            if not any(source == folder or source.startswith(f"{folder}/") for folder in supplied.folders):
                members += build_context.matching(self._images, source)
        return list({member.path: member for member in members}.values())

    def _context(self, name: str, supplied: Supplied) -> tuple[Iterator[Member], int]:
        """All that is sent to the builder, and its size in bytes."""
        own = self._own(name, supplied)
        size = sum(member.size for member in own)
        for content in supplied.folders.values():
            size += sum(member.size for member in content.members())

        def members() -> Iterator[Member]:
            yield from own
            for folder, content in supplied.folders.items():
                yield Member(folder)
                for member in content.members():
                    yield Member(f"{folder}/{member.path}", member.executable, member.size, member.open, member.target)

        return build_context.with_parents(members()), size

    def _check_room(self, client: docker.DockerClient, name: str, size: int) -> None:
        root = Path(client.info()["DockerRootDir"])
        if not root.is_dir():
            return  # The engine is on another machine, or this user may not look.
        # The context, the layer that it is copied to, and the layer that a site is installed in.
        needed, free = 3 * size + _ROOM, shutil.disk_usage(root).free
        if free < needed:
            raise NoSpace(
                _("{missing} MB are missing on the disk of {root} to build the image {name}.").format(
                    missing=-(-(needed - free) // 1_000_000), root=root, name=name
                ),
                hint=_(
                    "It needs {needed} MB free and there are {free} MB. Free some room, or move the engine's data."
                ).format(needed=needed // 1_000_000, free=free // 1_000_000),
            )


def _sent(chunks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    sent = 0
    for chunk in chunks:
        yield chunk
        before, sent = sent, sent + len(chunk)
        for _part in range(before // _PART, sent // _PART):
            progress.step(_("{size} MB").format(size=sent // 1_000_000))


def _follow(lines: Iterator[dict[str, Any]], write: Any, name: str, progress: Progress) -> str | None:
    """Keep what the builder says in the log, show its steps; the fault when it fails."""
    for line in lines:
        text = str(line.get("stream") or line.get("status") or line.get("error") or "")
        write(text if text.endswith("\n") else f"{text}\n")
        if "error" in line:
            return str(line["error"]).strip()
        match = re.match(r"Step (\d+)/(\d+) : (.*)", text)
        if match:
            if match[1] == "1":
                progress.end()
                progress.begin(_("{name}: building").format(name=name), int(match[2]))
            progress.step(match[3].strip()[:70])
    return None


def _fault(name: str, image: Image) -> str | None:
    """Why an image that was just built is not what the controller expects; sites alone have a contract."""
    if name not in _SITES:
        return None
    contract, site = image.labels.get(naming.CONTRACT), image.labels.get(naming.SITE)
    if contract is None:
        return _("The image {name} does not name the contract that it follows ({label}).").format(
            name=name, label=naming.CONTRACT
        )
    if contract != naming.CONTRACT_VERSION:
        return _("The image {name} follows version {version} of the contract, which is not known here.").format(
            name=name, version=contract
        )
    if site != name:
        return _("The image {name} says that it holds the site {site}.").format(name=name, site=site)
    return None


def _facts(name: str, image: Image) -> ProjectImage:
    created = str(image.attrs["Created"])
    # Nine decimals are more than datetime reads.
    built = datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", created).replace("Z", "+00:00"))
    return ProjectImage(
        name=name,
        tags=tuple(sorted(image.tags)),
        id=str(image.id),
        size=int(image.attrs["Size"]),
        built=built.astimezone(UTC),
        source=image.labels.get(naming.SOURCE),
    )


def _short(source: str) -> str:
    return source.removeprefix("sha256:")[:12]

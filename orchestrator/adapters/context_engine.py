"""Whole images out of the Docker engine and into it, as a stream: as ``docker save`` writes and ``docker load`` reads.

https://github.com/moby/docker-image-spec (version 1.2): a tar with ``manifest.json``, each image's configuration and
its layers as tars. Engines since 25 write an OCI layout besides, with the same ``manifest.json``.
"""

import hashlib
import io
import json
import posixpath
import tarfile
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, suppress
from queue import Full, Queue
from typing import IO, Any, cast

import docker
import requests
from docker.errors import DockerException, ImageNotFound, NotFound

from orchestrator.adapters.docker_engine import translated
from orchestrator.domain import naming
from orchestrator.errors import E5BError, EnvironmentFailed, ImageUnusable
from orchestrator.i18n import _
from orchestrator.ports import ImageToLoad, Progress, SavedImage

_CHUNK = 1 << 20
_AHEAD = 32
_TEXTS = (".json", "/json", "/VERSION", "repositories", "oci-layout")


class DockerImages:
    """Implements ports.ImageTransfer. *centre* labels the containers that are made to read a file; none is started."""

    def __init__(self, client: docker.DockerClient, centre: str) -> None:
        self._client, self._centre = client, centre

    def save(self, image: str, layer: Callable[[Iterator[bytes]], None]) -> SavedImage:
        try:
            self._client.api.inspect_image(image)  # It says that there is none; the next request calls it a fault.
            stream = self._client.api.get_image(image, chunk_size=_CHUNK)
            with tarfile.open(fileobj=cast("IO[bytes]", _Stream(stream)), mode="r|", bufsize=_CHUNK) as tar:
                return _saved(tar, layer)
        except NotFound as error:
            raise ImageUnusable(_("The engine has no image {name}.").format(name=image)) from error
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        except tarfile.TarError as error:
            raise EnvironmentFailed(
                _("The Docker engine gave the image {name} in part only.").format(name=image)
            ) from error

    def _inspected(self) -> list[dict[str, Any]]:
        found = []
        for item in self._client.api.images():
            with suppress(NotFound):  # Removed meanwhile.
                found.append(self._client.api.inspect_image(item["Id"]))
        return found

    def holding(self, diff_ids: Collection[str]) -> dict[str, str]:
        try:
            inspected = self._inspected()
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        return {
            layer: image["Id"]
            for image in inspected
            for layer in image["RootFS"].get("Layers") or ()
            if layer in diff_ids
        }

    def present(self, chain: Sequence[str]) -> int:
        try:
            if self._client.info()["Driver"] != "overlay2":
                return 0  # Other stores want all of an image at each load.
            chains = [image["RootFS"].get("Layers") or () for image in self._inspected()]
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error
        return max((_common(chain, other) for other in chains), default=0)

    def load(self, image: ImageToLoad, progress: Progress) -> None:
        progress.begin(_("Loading {name}").format(name=image.name), max(1, len(image.layers)))
        try:
            with closing(_ahead(_archive(image, progress))) as parts:
                for line in self._client.api.load_image(cast(Any, parts), quiet=True) or ():
                    if "error" in line:
                        raise _refused(image.name, str(line["error"]))
            self._client.api.inspect_image(f"sha256:{hashlib.sha256(image.config).hexdigest()}")
        except ImageNotFound as error:
            raise _refused(image.name, _("it gave the image another id")) from error
        except (DockerException, requests.RequestException) as error:
            raise _cause(error) or translated(error) from error
        finally:
            progress.end()

    def tag(self, image: str, name: str) -> None:
        try:
            repository, _colon, version = name.rpartition(":")
            self._client.api.tag(image, repository, version, force=True)
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error

    def untag(self, name: str) -> None:
        try:
            with suppress(NotFound):
                self._client.api.remove_image(name)
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error

    def read(self, image: str, path: str) -> bytes:
        api = self._client.api
        try:
            made = api.create_container(image, labels={naming.CENTRE: self._centre, naming.ROLE: naming.ROLE_REFERENCE})
            try:
                parts, _facts = api.get_archive(made["Id"], path)
                with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
                    file = tar.extractfile(tar.getmembers()[0])
                    return b"" if file is None else file.read()
            finally:
                api.remove_container(made["Id"], force=True, v=True)
        except NotFound as error:
            raise ImageUnusable(_("The image {name} has no file {path}.").format(name=image, path=path)) from error
        except (DockerException, requests.RequestException) as error:
            raise translated(error) from error


def _common(chain: Sequence[str], other: Sequence[str]) -> int:
    """How many layers two images share, from the first on."""
    count = 0
    for ours, theirs in zip(chain, other, strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def _refused(name: str, reason: str) -> EnvironmentFailed:
    return EnvironmentFailed(
        _("The Docker engine did not take the image {name}: {reason}").format(name=name, reason=reason)
    )


def _cause(error: BaseException | None) -> E5BError | None:
    """Our own error that ended a request from inside, when there is one."""
    while error is not None:
        if isinstance(error, E5BError):
            return error
        error = error.__cause__ or error.__context__
    return None


class _Stream:
    """An answer of the engine, as tarfile reads a file."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            part = next(self._parts, b"")
            if not part:
                break
            self._rest += part
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _saved(tar: tarfile.TarFile, layer: Callable[[Iterator[bytes]], None]) -> SavedImage:
    texts: dict[str, bytes] = {}
    layers: dict[str, str] = {}
    same: dict[str, str] = {}
    for member in tar:
        if member.issym():
            same[member.name] = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
            continue
        if not member.isreg():
            continue
        file = cast("IO[bytes]", tar.extractfile(member))
        first = file.read(_CHUNK)
        # An engine since 25 calls configurations and layers by their digest alone.
        if member.name.endswith(_TEXTS) or first[:1] == b"{":
            texts[member.name] = first + file.read()
            continue
        hashed = hashlib.sha256()
        layer(_hashing(first, file, hashed))
        layers[member.name] = f"sha256:{hashed.hexdigest()}"
    (image,) = json.loads(texts["manifest.json"])
    chain = tuple(layers[same.get(name, name)] for name in image["Layers"])
    config = texts[image["Config"]]
    if tuple(json.loads(config)["rootfs"]["diff_ids"]) != chain:
        raise EnvironmentFailed(_("The Docker engine gave layers that are not the image's."))
    return SavedImage(config, chain)


def _hashing(first: bytes, file: IO[bytes], hashed: Any) -> Iterator[bytes]:
    while first:
        hashed.update(first)
        yield first
        first = file.read(_CHUNK)


def _archive(image: ImageToLoad, progress: Progress) -> Iterator[bytes]:
    """What ``docker load`` reads, made while it is read. A layer that the engine has is only named."""
    config = f"{hashlib.sha256(image.config).hexdigest()}.json"
    names = [f"{diff_id.removeprefix('sha256:')}.tar" for diff_id in image.chain]
    manifest = json.dumps([{"Config": config, "RepoTags": [image.name], "Layers": names}]).encode()
    for name, content in ((config, image.config), ("manifest.json", manifest)):
        yield _head(name, len(content)) + content + _padding(len(content))
    for diff_id, (size, parts) in image.layers.items():
        yield _head(f"{diff_id.removeprefix('sha256:')}.tar", size)
        sent = 0
        for part in parts():
            sent += len(part)
            yield part
        # That it is the right content is what the engine itself checks, before it makes an image of it.
        if sent != size:
            raise _refused(image.name, _("a layer is not what its digest says"))
        yield _padding(size)
        progress.step(diff_id[7:19])
    yield bytes(1024)


def _ahead(parts: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same *parts*, some of them made while the engine still takes those before them."""
    made: Queue[bytes | BaseException | None] = Queue(_AHEAD)
    ended = threading.Event()

    def put(item: bytes | BaseException | None) -> None:
        while not ended.is_set():
            with suppress(Full):
                made.put(item, timeout=0.2)
                return

    def make() -> None:
        try:
            for part in parts:
                put(part)
                if ended.is_set():
                    return
            put(None)
        except BaseException as error:  # It is the reader's, whatever it is.
            put(error)

    threading.Thread(target=make, daemon=True).start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        ended.set()


def _head(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % 512)

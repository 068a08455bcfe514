"""A national package's file: a tar that holds an OCI image layout, and the manifest of the context first.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md; what is ours besides is in
docs/reference/context-package.md. A delta has the blobs that are new alone, and is no whole layout.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from orchestrator.adapters import layer_patch
from orchestrator.domain.context import ContextManifest, Layer, ManifestMalformed, PackedImage
from orchestrator.errors import E5BError, InputInvalid, NoSpace, SignatureInvalid
from orchestrator.i18n import _
from orchestrator.ports import Progress, StoredLayer

MANIFEST, LAYOUT, INDEX, BLOBS = "e5b-context.json", "oci-layout", "index.json", "blobs/sha256/"

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
REF_NAME = "org.opencontainers.image.ref.name"

LEVEL = 12
"""Of zstd: a layer is compressed once in the country, and read in every centre."""

_CHUNK = 1 << 20

_SMALL = 1 << 26
"""Bytes: what is read into memory at once is not larger."""

_TIME = 1735689600
"""The date of every member. When a package was made is in its manifest."""


class OciPackages:
    """Implements ports.Packages."""

    @contextmanager
    def draft(self, path: Path) -> Iterator["Draft"]:
        folder = path.with_name(path.name + ".making")
        shutil.rmtree(folder, ignore_errors=True)  # What a killed attempt left.
        try:
            folder.mkdir(parents=True)
            yield Draft(path, folder)
        except OSError as error:
            raise _unwritten(path, error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def open(self, path: Path) -> "OpenPackage":
        return OpenPackage(path)


def _unwritten(path: Path, error: OSError) -> E5BError:
    if error.errno == errno.ENOSPC:
        return NoSpace(
            _("There is no room for {path}.").format(path=path),
            hint=_("Free some room, then run the same command again."),
        )
    return InputInvalid(_("{path} cannot be written: {error}.").format(path=path, error=error.strerror or error))


class Draft:
    """A package that is being made: its blobs lie in *folder* until it is written. Implements ports.PackageDraft."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self.folder = path, folder
        self._blobs: dict[str, Path] = {}
        self._layers: dict[str, StoredLayer] = {}

    @property
    def blobs(self) -> dict[str, int]:
        return {digest: path.stat().st_size for digest, path in self._blobs.items()}

    def add(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        path = self.folder / digest.removeprefix("sha256:")
        path.write_bytes(content)
        self._blobs[digest] = path
        return digest

    def layer(self, parts: Iterable[bytes]) -> StoredLayer:
        partial = self.folder / "layer"
        tar, packed, size = hashlib.sha256(), hashlib.sha256(), 0
        compressor = zstandard.ZstdCompressor(level=LEVEL, threads=-1).compressobj()
        with partial.open("wb") as file:

            def out(chunk: bytes) -> None:
                packed.update(chunk)
                file.write(chunk)

            for part in parts:
                tar.update(part)
                size += len(part)
                out(compressor.compress(part))
            out(compressor.flush())
        diff_id = f"sha256:{tar.hexdigest()}"
        if diff_id not in self._layers:
            self._layers[diff_id] = StoredLayer(diff_id, size, self._keep(partial, packed.hexdigest()))
        return self._layers[diff_id]

    def patch(self, base: Path, layer: Path) -> str:
        partial = self.folder / "patch"
        with partial.open("wb") as file:
            layer_patch.make(base, layer, file)
        with partial.open("rb") as file:
            return self._keep(partial, hashlib.file_digest(file, "sha256").hexdigest())

    def _keep(self, partial: Path, digest: str) -> str:
        self._blobs[f"sha256:{digest}"] = partial.replace(self.folder / digest)
        return f"sha256:{digest}"

    def oci_manifest(self, image: PackedImage) -> str:
        """Add the OCI manifest of an image whose blobs are all here; its digest."""
        return self.add(_oci_manifest(image, self.blobs))

    def write(self, manifest: ContextManifest) -> None:
        partial = self._path.with_name(self._path.name + ".partial")
        try:
            with partial.open("wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                    _put(tar, MANIFEST, manifest.dump())
                    if manifest.base is None:
                        _put(tar, LAYOUT, _LAYOUT)
                        _put(tar, INDEX, _index(manifest))
                    for digest in sorted(manifest.blobs):
                        with self._blobs[digest].open("rb") as blob:
                            _put(tar, BLOBS + digest.removeprefix("sha256:"), blob, manifest.blobs[digest])
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)


_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def _oci_manifest(image: PackedImage, blobs: Mapping[str, int]) -> bytes:
    layers = [str(layer.blob) for layer in image.layers]
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": image.id, "size": blobs[image.id]},
            "layers": [{"mediaType": OCI_LAYER, "digest": layer, "size": blobs[layer]} for layer in layers],
        }
    )


def _index(manifest: ContextManifest) -> bytes:
    content = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": image.manifest,
                "size": manifest.blobs[str(image.manifest)],
                "annotations": {REF_NAME: image.name},
            }
            for image in manifest.images
        ],
    }
    return _json(content)


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _put(tar: tarfile.TarFile, name: str, content: bytes | IO[bytes], size: int | None = None) -> None:
    info = tarfile.TarInfo(name)
    info.mtime, info.mode = _TIME, 0o644
    info.size = len(content) if isinstance(content, bytes) else size or 0
    tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else content)


class OpenPackage:
    """A package's file, read by its own list of what is in it. Implements ports.Package."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise InputInvalid(_("{path} cannot be read: {error}.").format(path=path, error=error.strerror)) from error
        try:
            self._members: dict[str, tuple[int, int]] = {}
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                for member in tar:
                    if not member.isreg() or member.name in self._members:
                        raise ManifestMalformed(member.name)
                    self._members[member.name] = (member.offset_data, member.size)
            if next(iter(self._members), None) != MANIFEST:
                raise ManifestMalformed(MANIFEST)
            content = self._read(MANIFEST)
            self.manifest = ContextManifest.parse(content)
            if content != self.manifest.dump():
                raise ManifestMalformed(MANIFEST)
        except (tarfile.TarError, ManifestMalformed) as error:
            self._file.close()
            raise self._broken(str(error)) from error

    def __enter__(self) -> "OpenPackage":
        return self

    def __exit__(self, *_ended: object) -> None:
        self._file.close()

    @property
    def path(self) -> Path:
        return self._path

    def _broken(self, what: str) -> SignatureInvalid:
        return SignatureInvalid(
            _("{name} is not a whole package of the reference context ({what}).").format(
                name=self._path.name, what=what
            ),
            hint=_("Copy the file again, from where it was received."),
        )

    def _read(self, name: str) -> bytes:
        if name not in self._members:
            raise self._broken(name)
        start, size = self._members[name]
        if size > _SMALL:
            raise self._broken(name)
        self._file.seek(start)
        return self._file.read(size)

    def check(self, progress: Progress) -> None:
        manifest = self.manifest
        listed = {BLOBS + digest.removeprefix("sha256:"): size for digest, size in manifest.blobs.items()}
        others = {MANIFEST} if manifest.base else {MANIFEST, LAYOUT, INDEX}
        found = {name: size for name, (_start, size) in self._members.items() if name not in others}
        if found != listed or not others <= self._members.keys():
            raise self._broken(", ".join(sorted(found.keys() ^ listed.keys())) or INDEX)
        progress.begin(_("Checking the package's content"), len(listed))
        try:
            for digest in manifest.blobs:
                for _part in self._parts(digest):
                    pass
                progress.step(digest[7:19])
        finally:
            progress.end()
        if manifest.base is None:
            self._check_layout()
        for image in manifest.images:
            self._check_image(image)

    def _check_layout(self) -> None:
        """What standard tools see is what is loaded here."""
        for name, content in ((LAYOUT, _LAYOUT), (INDEX, _index(self.manifest))):
            if self._read(name) != content:
                raise self._broken(name)
        for image in self.manifest.images:
            if self.blob(str(image.manifest)) != _oci_manifest(image, self.manifest.blobs):
                raise self._broken(image.name)

    def _check_image(self, image: PackedImage) -> None:
        """An image unchanged since the base of a delta has its configuration there."""
        if image.id not in self.manifest.blobs:
            return
        try:
            chain = tuple(json.loads(self.blob(image.id))["rootfs"]["diff_ids"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._broken(image.name) from error
        if chain != image.chain:
            raise self._broken(image.name)

    def has(self, digest: str | None) -> bool:
        return digest in self.manifest.blobs

    def blob(self, digest: str) -> bytes:
        if self.manifest.blobs[digest] > _SMALL:
            raise self._broken(digest)
        return b"".join(self._parts(digest))

    def _parts(self, digest: str) -> Iterator[bytes]:
        """A blob as it is in the file; it is whole and right when the last part was taken."""
        name = BLOBS + digest.removeprefix("sha256:")
        if name not in self._members:
            raise self._broken(name)
        start, size = self._members[name]
        hashed = hashlib.sha256()
        while size:
            self._file.seek(start)
            part = self._file.read(min(size, _CHUNK))
            if not part:
                raise self._broken(name)
            hashed.update(part)
            start, size = start + len(part), size - len(part)
            yield part
        if f"sha256:{hashed.hexdigest()}" != digest:
            raise self._broken(name)

    def layer(self, layer: Layer) -> Iterator[bytes]:
        parts = self._parts(str(layer.blob))
        try:
            source = cast("IO[bytes]", _Reader(parts))
            yield from zstandard.ZstdDecompressor().read_to_iter(source, read_size=_CHUNK, write_size=_CHUNK)
            # To its very end, where it is checked.
            for _more in parts:
                raise self._broken(str(layer.blob))
        except zstandard.ZstdError as error:
            raise self._broken(str(layer.blob)) from error

    def patched(self, layer: Layer, base: Path) -> Iterator[bytes]:
        patch = io.BytesIO(b"".join(self._parts(str(layer.patch))))
        try:
            yield from layer_patch.apply(base, patch)
        except layer_patch.PatchMalformed as error:
            raise self._broken(str(layer.patch)) from error


class _Reader:
    """The parts of a blob, as a library reads a file."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def read(self, _size: int) -> bytes:
        return next(self._parts, b"")

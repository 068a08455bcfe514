"""Evidence archives on the disk. Implements ports.Sealing.

An archive is a gzipped tar that anyone can check with ``tar`` and ``sha256sum -c SHA256SUMS``: what the image's
``export`` wrote (``database.sql``, ``deleted``, ``files/…``), then ``manifest.json``, then ``SHA256SUMS``.
"""

import contextlib
import errno
import gzip
import hashlib
import io
import itertools
import json
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from orchestrator.errors import E5BError, EvidenceInvalid, NoSpace
from orchestrator.i18n import _
from orchestrator.ports import SealedArchive

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"

DAMAGED = ".damaged"
"""Ends the name of an archive that was put aside."""

CHUNK = 1 << 20


class FolderSealing:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, manifest: Mapping[str, Any], parts: Iterator[bytes]) -> SealedArchive:
        path = self._folder / name
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as raw:
                # Level 1: the room waits for it, and evidence is small.
                with (
                    gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as packed,
                    tarfile.open(fileobj=packed, mode="w|") as archive,
                ):
                    _copy_parts(archive, manifest, parts)
                raw.flush()
                os.fsync(raw.fileno())
                # What is read back must come from the disk, not from the memory of having written it.
                os.posix_fadvise(raw.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            checked = _check(partial)
            partial.rename(path)
            sync_folder(path.parent)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise NoSpace(
                    _("The disk is full: the evidence {name} could not be written.").format(name=name),
                    hint=_("Free some room in {folder}, then seal again: nothing is lost.").format(folder=self._folder),
                ) from error
            raise EvidenceInvalid(
                _("The evidence {name} could not be written: {error}.").format(name=name, error=error),
                hint=_("Check the folder {folder}, then seal again: nothing is lost.").format(folder=self._folder),
            ) from error
        except tarfile.TarError as error:
            raise EvidenceInvalid(
                _("What the environment exported for {name} is not complete.").format(name=name),
                hint=_("Seal again: the environment is untouched."),
            ) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        return replace(checked, path=path)

    def verify(self, name: str, sha256: str) -> None:
        path = self._folder / name
        if self.read(path).sha256 != sha256:
            raise invalid(path, _("its digest is not the one in the record"))

    def read(self, path: Path) -> SealedArchive:
        try:
            return _check(path)
        except FileNotFoundError:
            raise invalid(path, _("it is not there")) from None
        except OSError as error:
            raise invalid(path, str(error)) from error

    def content(self, path: Path) -> Iterator[bytes]:
        try:
            # What was added to the exported tar comes after it: it is cut off there.
            with tarfile.open(path, "r:gz") as opened:
                end = opened.getmember(MANIFEST).offset
            with gzip.open(path) as unpacked:
                while end > 0 and (piece := unpacked.read(min(CHUNK, end))):
                    end -= len(piece)
                    yield piece
        except (tarfile.TarError, EOFError, KeyError, OSError, zlib.error) as error:
            raise invalid(path, str(error)) from error
        yield bytes(2 * tarfile.BLOCKSIZE)

    def manifest_of_damaged(self, name: str) -> Mapping[str, Any] | None:
        try:
            with tarfile.open(self._folder / name, "r|gz") as archive:
                member = next((item for item in archive if item.name == MANIFEST), None)
                content = None if member is None else archive.extractfile(member)
                found = None if content is None else json.loads(content.read())
        except (OSError, tarfile.TarError, EOFError, ValueError, zlib.error):
            return None
        return found if isinstance(found, dict) else None

    def size(self, name: str) -> int | None:
        with contextlib.suppress(OSError):
            return (self._folder / name).stat().st_size
        return None

    def set_aside(self, name: str) -> str:
        path, aside = self._folder / name, f"{name}{DAMAGED}"
        if not path.exists():
            return aside
        numbers = itertools.count(2)
        while (self._folder / aside).exists():
            aside = f"{name}{DAMAGED}-{next(numbers)}"
        try:
            path.rename(self._folder / aside)
            sync_folder(path.parent)
        except OSError as error:
            raise invalid(path, str(error)) from error
        return aside

    def remove(self, name: str) -> None:
        path = self._folder / name
        try:
            path.unlink(missing_ok=True)
            if path.parent.exists():
                sync_folder(path.parent)
        except OSError as error:
            raise EvidenceInvalid(
                _("{path} cannot be removed: {error}.").format(path=path, error=error.strerror or error),
                hint=_("Check the folder's owner, then run the command again."),
            ) from error
        with contextlib.suppress(OSError):
            # Not while anything is in it.
            path.parent.rmdir()

    def leftovers(self, wave: str) -> list[str]:
        found = self._folder / wave
        patterns = (".poste-*.partial", f"poste-*{DAMAGED}*")
        return sorted(f"{wave}/{path.name}" for pattern in patterns for path in found.glob(pattern))


def _copy_parts(archive: tarfile.TarFile, manifest: Mapping[str, Any], parts: Iterator[bytes]) -> None:
    sums: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=_Readable(parts), mode="r|") as exported:
        for member in exported:
            content = exported.extractfile(member) if member.isreg() else None
            if content is None:
                archive.addfile(member)
                continue
            hashed = _Hashing(content)
            archive.addfile(member, hashed)
            sums[member.name] = {"sha256": hashed.hexdigest(), "size": member.size}
    # To its end, past the tar's own: there the engine tells that the export failed.
    for _rest in parts:
        pass
    if "database.sql" not in sums:
        raise tarfile.ReadError("no database.sql")
    # A file's name may hold bytes that are not UTF-8: these alone are escaped, as JSON itself does it.
    complete = json.dumps({**manifest, "parts": sums}, ensure_ascii=False, indent=1, sort_keys=True).encode(
        errors="backslashreplace"
    )
    _add(archive, MANIFEST, complete)
    lines = [_sum_line(part, content["sha256"]) for part, content in sums.items()]
    lines.append(_sum_line(MANIFEST, hashlib.sha256(complete).hexdigest()))
    _add(archive, SUMS, "".join(lines).encode("utf-8", "surrogateescape"))


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))


def _sum_line(name: str, sha256: str) -> str:
    """A line of sha256sum's format, with the escapes that coreutils documents for odd names."""
    if "\\" in name or "\n" in name:
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
        return f"\\{sha256}  {escaped}\n"
    return f"{sha256}  {name}\n"


def _check(path: Path) -> SealedArchive:
    """Read the whole archive. Raises EvidenceInvalid when a part is not as its manifest says."""
    sums: dict[str, dict[str, Any]] = {}
    manifest: Any = None
    try:
        with path.open("rb") as raw:
            whole = _Hashing(raw)
            with (
                gzip.GzipFile(fileobj=whole) as unpacked,
                tarfile.open(fileobj=unpacked, mode="r|") as archive,
            ):
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is None or member.name == SUMS:
                        continue
                    if member.name == MANIFEST:
                        manifest = json.loads(content.read())
                        continue
                    hashed = _Hashing(content)
                    while hashed.read(CHUNK):
                        pass
                    sums[member.name] = {"sha256": hashed.hexdigest(), "size": member.size}
                # To its end, past the tar's own: there gzip's checksum covers what no manifest names, links and modes.
                while unpacked.read(CHUNK):
                    pass
            while whole.read(CHUNK):
                pass
    except (tarfile.TarError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise invalid(path, _("it is cut short or altered")) from error
    if not isinstance(manifest, dict):
        raise invalid(path, _("it is cut short or altered"))
    if manifest.get("parts") != sums:
        raise invalid(path, _("a part is not what its manifest says"))
    return SealedArchive(path, whole.hexdigest(), path.stat().st_size, manifest)


def invalid(path: Path, reason: str) -> E5BError:
    return EvidenceInvalid(
        _("The evidence {name} does not hold: {reason}.").format(name=path.name, reason=reason),
        hint=_("Seal the seat again while its environment is still there, or run `e5b evidence verify --repair`."),
    )


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Hashing(io.RawIOBase):
    """Reads through to *source* and keeps the SHA-256 of what went by."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self._sha256 = source, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._sha256.update(data)
        return data

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


class _Readable(io.RawIOBase):
    """An iterator of bytes as a file that tarfile can read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        pieces, have = [self._rest], len(self._rest)
        while size < 0 or have < size:
            piece = next(self._parts, None)
            if piece is None:
                break
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        if size < 0:
            size = len(data)
        data, self._rest = data[:size], data[size:]
        return data

"""Evidence copied to a folder outside the machine, such as a USB stick. Implements ports.Copies."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from orchestrator.adapters.sealing import CHUNK, MANIFEST, invalid, sync_folder
from orchestrator.errors import Conflict, InputInvalid, NoSpace
from orchestrator.i18n import _


class FolderCopies:
    def __init__(self, evidence: Path) -> None:
        self._evidence = evidence

    def manifest(self, folder: Path) -> Mapping[str, Any] | None:
        if not folder.is_dir():
            raise InputInvalid(
                _("{path} is not a folder that exists.").format(path=folder),
                hint=_("Create the folder, or plug the stick in and mount it; then run the command again."),
            )
        with _used(folder):
            # A stick that is write-protected says so at the first file only.
            probe = folder / f".e5b-{os.getpid()}.partial"
            probe.touch()
            probe.unlink()
            try:
                found = json.loads((folder / MANIFEST).read_bytes())
            except FileNotFoundError:
                return None
            except ValueError:
                found = None
        if not isinstance(found, dict) or found.get("format") != 1 or not isinstance(found.get("archives"), list):
            raise _in_the_way(folder / MANIFEST)
        return found

    def holds(self, folder: Path, name: str, sha256: str) -> bool:
        with _used(folder):
            try:
                found = _digest(folder / name)
            except FileNotFoundError:
                return False
        if found != sha256:
            raise _in_the_way(folder / name)
        return True

    def copy(self, folder: Path, name: str, sha256: str) -> None:
        source, target = self._evidence / name, folder / name
        partial = target.with_name(f".{target.name}.partial")
        try:
            reading = source.open("rb")
        except OSError as error:
            raise invalid(source, error.strerror or str(error)) from error
        with reading, _used(folder):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                read = hashlib.sha256()
                with partial.open("wb") as writing:
                    while piece := reading.read(CHUNK):
                        read.update(piece)
                        writing.write(piece)
                    _to_disk(writing)
                if read.hexdigest() != sha256:
                    raise invalid(source, _("its digest is not the one in the record"))
                if _digest(partial) != sha256:
                    raise _cannot_be_read_back()
                partial.rename(target)
            finally:
                partial.unlink(missing_ok=True)
            _sync(target.parent)

    def write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        with _used(folder):
            for name, content in files.items():
                partial = folder / f".{name}.partial"
                try:
                    with partial.open("wb") as file:
                        file.write(content)
                        _to_disk(file)
                    if partial.read_bytes() != content:
                        raise _cannot_be_read_back()
                    partial.replace(folder / name)
                finally:
                    partial.unlink(missing_ok=True)
            _sync(folder)


@contextmanager
def _used(folder: Path) -> Iterator[None]:
    """What the disk says of the export's folder becomes our errors."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise NoSpace(
                _("{path} is full.").format(path=folder),
                hint=_("Free some room there, or take another stick, then run the command again: it goes on."),
            ) from error
        raise InputInvalid(
            _("{path} cannot be used: {error}.").format(path=folder, error=error.strerror or error),
            hint=_("Check its owner and its write protection, then run the command again: it goes on."),
        ) from error


def _in_the_way(path: Path) -> Conflict:
    return Conflict(
        _("{path} is there with other content, and was not touched.").format(path=path),
        hint=_("Export to another folder, or move this file away."),
    )


def _cannot_be_read_back() -> OSError:
    return OSError(errno.EIO, _("what was written there cannot be read back"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
    # What is read back must come from the stick, not from the memory of having written it.
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sync(folder: Path) -> None:
    # Not every file system of a stick or a share can do this for a folder; each file is on the disk already.
    with contextlib.suppress(OSError):
        sync_folder(folder)

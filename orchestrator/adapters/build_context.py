"""What a build is made from: files on the disk and files that an operator supplies, digested and sent as one tar."""

import hashlib
import io
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from orchestrator.errors import ImageUnusable
from orchestrator.i18n import _
from orchestrator.ports import Member

# Same files, same image: neither who checked the project out nor when is part of it.
_TIME = 1735689600


def tree(path: Path, at: str = "") -> Iterator[Member]:
    """*path* and all that is in it, as members under *at*, in a stable order."""
    if path.is_symlink():
        yield Member(at, target=str(path.readlink()))
    elif path.is_dir():
        if at:
            yield Member(at)
        yield from _inside(str(path), f"{at}/" if at else "")
    else:
        facts = path.stat()
        yield _file(str(path), at, facts)


def _inside(folder: str, at: str) -> Iterator[Member]:
    # A release has forty thousand files: os.scandir is several times faster than Path.iterdir.
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        name = at + entry.name
        if entry.is_symlink():
            yield Member(name, target=str(Path(entry.path).readlink()))
        elif entry.is_dir():
            if entry.name != "__pycache__":
                yield Member(name)
                yield from _inside(entry.path, f"{name}/")
        elif not entry.name.endswith(".pyc"):
            yield _file(entry.path, name, entry.stat())


def _file(path: str, at: str, facts: os.stat_result) -> Member:
    return Member(
        at,
        executable=bool(facts.st_mode & 0o100),
        size=facts.st_size,
        open=lambda: Path(path).open("rb"),
    )


def digest(members: Iterable[Member], *also: str) -> str:
    """One digest of the members' names and content, and of *also*."""
    whole = hashlib.sha256()
    for text in also:
        whole.update(f"{text}\n".encode())
    for member in sorted(members, key=lambda member: member.path):
        if member.open is not None:
            with member.open() as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
            kind = "x" if member.executable else "f"
        else:
            content = member.target or ""
            kind = "d" if member.target is None else "l"
        whole.update(json.dumps([kind, member.path, content]).encode() + b"\n")
    return f"sha256:{whole.hexdigest()}"


class _Sink(io.RawIOBase):
    """What tarfile has written and nobody has taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        chunk = bytes(data)  # type: ignore[call-overload]
        self._chunks.append(chunk)
        return len(chunk)

    def take(self) -> bytes:
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken


def archive(members: Iterable[Member]) -> Iterator[bytes]:
    """The members as a tar, made while it is read: no copy of them is needed on the disk."""
    sink = _Sink()
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20) as tar:
        for member in members:
            info = tarfile.TarInfo(member.path)
            info.mtime = _TIME
            if member.open is not None:
                info.size = member.size
                info.mode = 0o755 if member.executable else 0o644
                try:
                    with member.open() as stream:
                        tar.addfile(info, stream)
                except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                    raise ImageUnusable(
                        _("{name} cannot be read whole: its archive is damaged.").format(name=member.path),
                        hint=_("Remove the archive and fetch it again."),
                    ) from error
            elif member.target is not None:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, member.target, 0o777
                tar.addfile(info)
            else:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            if chunk := sink.take():
                yield chunk
    yield sink.take()


def copied(dockerfile: str) -> list[str]:
    """The sources, relative to the context, that *dockerfile* copies from it."""
    sources: list[str] = []
    for words in _instructions(dockerfile):
        if words[0].upper() not in ("COPY", "ADD"):
            continue
        rest = words[1:]
        flags = [word for word in rest if word.startswith("--")]
        if any(flag.startswith("--from") for flag in flags):
            continue
        rest = [word for word in rest if not word.startswith("--")]
        if rest and rest[0].startswith("["):
            rest = json.loads(" ".join(rest))
        sources += [str(PurePosixPath(word.lstrip("/"))) for word in rest[:-1] if "://" not in word]
    return sources


def built_from(dockerfile: str) -> list[str]:
    """The images of others that *dockerfile* starts from."""
    stages: set[str] = set()
    found: list[str] = []
    for words in _instructions(dockerfile):
        if words[0].upper() != "FROM":
            continue
        rest = [word for word in words[1:] if not word.startswith("--")]
        if rest[0] not in stages and rest[0] != "scratch" and rest[0] not in found:
            found.append(rest[0])
        if len(rest) == 3 and rest[1].upper() == "AS":
            stages.add(rest[2])
    return found


def _instructions(dockerfile: str) -> Iterator[list[str]]:
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        words = line.split()
        if words:
            yield words


def matching(images: Path, source: str) -> list[Member]:
    """The members on the disk that ``COPY source`` takes. Raises ImageUnusable when there is none."""
    if source == ".":
        return list(tree(images))
    found = sorted(images.glob(source))
    if not found:
        raise ImageUnusable(
            _("{source} is missing in {folder}.").format(source=source, folder=images),
            hint=_("Restore the project's files (`git status` shows what is missing)."),
        )
    return [member for path in found for member in tree(path, path.relative_to(images).as_posix())]


def with_parents(members: Iterable[Member]) -> Iterator[Member]:
    """The members, each path once, each after the folders that it is in."""
    seen: set[str] = set()
    for member in members:
        for parent in reversed(PurePosixPath(member.path).parents[:-1]):
            if str(parent) not in seen:
                seen.add(str(parent))
                yield Member(str(parent))
        if member.path not in seen:
            seen.add(member.path)
            yield member

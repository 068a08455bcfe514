"""A layer told by what another one holds: what a delta carries of a layer that was made anew.

A patch is ``E5BPATCH1\\n``, the length of the steps (8 bytes, big-endian), the steps (JSON in a frame of zstd), and
then the frames of zstd that the steps take, each after its length (4 bytes, big-endian). A step is one of

- ``["copy", offset, length]``: bytes of the base;
- ``["new"]``: what the next frame holds;
- ``["like", offset, length]``: what the next frame holds, with these bytes of the base as its dictionary.

Files are found by their content, then by their path: neither their order nor their dates make them new. The heads of
the tar's members, which hold the dates, are kept together: ``["head", length]`` takes as many bytes of the first frame.
"""

import hashlib
import json
import mmap
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

MAGIC = b"E5BPATCH1\n"
LEVEL = 12

PIECE = 1 << 20
"""Bytes of a changed file that are compressed with the same bytes of the former one, and some around them."""

AROUND = 1 << 17

_MOST = 1 << 28
"""Bytes: no frame of a patch holds more."""


class PatchMalformed(ValueError):
    """It is not a patch, or not one of this base."""


@dataclass(frozen=True)
class _Part:
    """A member of a layer's tar: where its head and its data begin, and where the next member does."""

    path: str
    head: int
    data: int
    end: int


def _parts(file: IO[bytes], size: int) -> list[_Part]:
    with tarfile.open(fileobj=file, mode="r:") as tar:
        found = [(member.name, member.offset, member.offset_data) for member in tar]
    ends = [head for _name, head, _data in found[1:]] + [size]
    return [_Part(name, head, data, end) for (name, head, data), end in zip(found, ends, strict=False)]


class _Bytes:
    """A file's bytes by their place; an empty file as well, which cannot be mapped."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self._file = path.open("rb")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""

    def __enter__(self) -> "_Bytes":
        return self

    def __exit__(self, *_ended: object) -> None:
        if isinstance(self._map, mmap.mmap):
            self._map.close()
        self._file.close()

    def parts(self) -> list[_Part]:
        self._file.seek(0)
        return _parts(self._file, self.size)

    def __call__(self, start: int, end: int) -> bytes:
        return self._map[start:end]


def make(base: Path, layer: Path, out: IO[bytes]) -> None:
    """Write to *out* the patch that makes the tar *layer* of the tar *base*."""
    with _Bytes(base) as old, _Bytes(layer) as new:
        by_path: dict[str, _Part] = {}
        by_content: dict[bytes, _Part] = {}
        for part in old.parts():
            by_path[part.path] = part
            if part.end > part.data:
                by_content.setdefault(hashlib.sha256(old(part.data, part.end)).digest(), part)
        steps = _Steps()
        parts = new.parts()
        _heads(steps, old, new(0, parts[0].head if parts else new.size), None)
        for part in parts:
            _member(steps, old, new, part, by_path.get(part.path), by_content)
        steps.write(out)


class _Steps:
    def __init__(self) -> None:
        self._steps: list[list[Any]] = []
        self._heads: list[bytes] = []
        self._frames: list[bytes] = []
        self._plain = zstandard.ZstdCompressor(level=LEVEL)

    def copy(self, start: int, end: int) -> None:
        last: list[Any] = self._steps[-1] if self._steps else [""]
        if last[0] == "copy" and last[1] + last[2] == start:
            last[2] += end - start
        elif end > start:
            self._steps.append(["copy", start, end - start])

    def head(self, content: bytes) -> None:
        if content:
            self._heads.append(content)
            if self._steps and self._steps[-1][0] == "head":
                self._steps[-1][1] += len(content)
            else:
                self._steps.append(["head", len(content)])

    def new(self, content: bytes) -> None:
        self._steps.append(["new"])
        self._frames.append(self._plain.compress(content))

    def like(self, start: int, like: bytes, content: bytes) -> None:
        known = zstandard.ZstdCompressionDict(like, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        self._steps.append(["like", start, len(like)])
        self._frames.append(zstandard.ZstdCompressor(level=LEVEL, dict_data=known).compress(content))

    def write(self, out: IO[bytes]) -> None:
        steps = self._plain.compress(json.dumps(self._steps, separators=(",", ":")).encode())
        out.write(MAGIC + struct.pack(">Q", len(steps)) + steps)
        for frame in [self._plain.compress(b"".join(self._heads)), *self._frames]:
            out.write(struct.pack(">L", len(frame)))
            out.write(frame)


def _heads(steps: _Steps, old: _Bytes, content: bytes, before: _Part | None) -> None:
    if before is not None and content == old(before.head, before.data):
        steps.copy(before.head, before.data)
    else:
        steps.head(content)


def _member(
    steps: _Steps, old: _Bytes, new: _Bytes, part: _Part, before: _Part | None, by_content: dict[bytes, _Part]
) -> None:
    _heads(steps, old, new(part.head, part.data), before)
    if part.end == part.data:
        return
    content = new(part.data, part.end)
    if before is not None and content == old(before.data, before.end):
        steps.copy(before.data, before.end)
        return
    same = by_content.get(hashlib.sha256(content).digest())
    if same is not None:
        steps.copy(same.data, same.end)
        return
    for start in range(0, len(content), PIECE):
        piece = content[start : start + PIECE]
        if before is None or before.data + start >= before.end:
            steps.new(piece)
            continue
        first = max(before.data, before.data + start - AROUND)
        steps.like(first, old(first, min(before.end, before.data + start + PIECE + AROUND)), piece)


def apply(base: Path, patch: IO[bytes]) -> Iterator[bytes]:
    """The layer that *patch* makes of the tar *base*. Raises PatchMalformed."""
    if patch.read(len(MAGIC)) != MAGIC:
        raise PatchMalformed("no patch")
    try:
        (length,) = struct.unpack(">Q", patch.read(8))
        plain = zstandard.ZstdDecompressor()
        steps = json.loads(plain.decompress(patch.read(min(length, _MOST)), max_output_size=_MOST))
        with _Bytes(base) as old:
            heads = plain.decompress(_frame(patch), max_output_size=_MOST)
            taken = 0
            for step in steps:
                if step[0] == "copy":
                    for start in range(step[1], step[1] + step[2], PIECE):
                        yield old(start, min(start + PIECE, step[1] + step[2]))
                elif step[0] == "head":
                    yield heads[taken : taken + step[1]]
                    taken += step[1]
                elif step[0] == "new":
                    yield plain.decompress(_frame(patch), max_output_size=_MOST)
                else:
                    like = old(step[1], step[1] + step[2])
                    known = zstandard.ZstdCompressionDict(like, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
                    made = zstandard.ZstdDecompressor(dict_data=known)
                    yield made.decompress(_frame(patch), max_output_size=_MOST)
    except (struct.error, zstandard.ZstdError, ValueError, IndexError, TypeError) as error:
        raise PatchMalformed(str(error)) from error


def _frame(patch: IO[bytes]) -> bytes:
    (length,) = struct.unpack(">L", patch.read(4))
    return patch.read(min(length, _MOST))

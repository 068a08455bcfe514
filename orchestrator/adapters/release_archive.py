"""What an operator supplies to an image and the project does not hold: the CMS's release and its language packs.

What an image needs is written in its ``site.toml``. A release is looked for where the operator says
(``E5B_<IMAGE>_ARCHIVE``: a zip or an unpacked tree), then in the cache folder, then at its official address.
"""

import contextlib
import errno
import functools
import hashlib
import os
import re
import stat
import tempfile
import time
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import requests

from orchestrator.adapters import build_context
from orchestrator.errors import ImageUnusable, NoSpace
from orchestrator.i18n import _
from orchestrator.ports import Content, Member, Progress, Supplied

# To connect and between two packets, in seconds; the name server has its own limit.
_PATIENCE = (10, 30)
# For the whole download: a set-up ends, whatever the network is like.
_LONGEST = 900
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Definition:
    """The part of ``site.toml`` that says what an operator supplies."""

    path: Path
    name: str
    title: str
    versions: tuple[str, ...]
    url: str
    sha256: str
    inner: str
    requires: tuple[str, ...]
    version_file: str
    version_pattern: str
    packs: str

    @property
    def archive_name(self) -> str:
        return PurePosixPath(self.url).name

    @property
    def archive_variable(self) -> str:
        return f"E5B_{self.name.upper()}_ARCHIVE"

    @property
    def packs_variable(self) -> str:
        return f"E5B_{self.name.upper()}_LANGUAGE_PACKS"


def definition(path: Path) -> Definition | None:
    """What ``site.toml`` declares; None when the image needs nothing from an operator."""
    if not path.is_file():
        return None
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        if "archive" not in raw:
            return None
        archive = raw["archive"]
        return Definition(
            path=path,
            name=raw["name"],
            title=raw["title"],
            versions=tuple(raw["versions"]),
            url=archive["url"],
            sha256=archive["sha256"],
            inner=archive.get("inner", ""),
            requires=tuple(archive["requires"]),
            version_file=archive["version_file"],
            version_pattern=archive["version_pattern"],
            packs=raw.get("language_packs", {}).get("pattern", ""),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImageUnusable(_("{path} cannot be read: {error}.").format(path=path, error=error)) from error


class OperatorSupplies:
    """*images* is the folder of the project's images; *cache* is where releases are kept."""

    def __init__(self, images: Path, cache: Path) -> None:
        self._images = images
        self._cache = cache

    def find(self, image: str, progress: Progress | None = None) -> Supplied:
        wanted = definition(self._images / image / "site.toml")
        if wanted is None:
            return Supplied({})
        release = self._release(wanted, progress)
        if isinstance(release, Supplied):
            return release
        folders: dict[str, Content] = {f"{image}/release": release}
        notes: tuple[str, ...] = ()
        if wanted.packs:
            packs = self._packs(wanted)
            folders[f"{image}/language-packs"] = packs
            if packs.path is None:
                notes = (
                    _(
                        "No language packs for {title}: its interface will be in English "
                        "({variable} names the folder with them)."
                    ).format(title=wanted.title, variable=wanted.packs_variable),
                )
        return Supplied(folders, notes=notes)

    def _release(self, wanted: Definition, progress: Progress | None) -> "Release | Supplied":
        given = os.environ.get(wanted.archive_variable)
        if given:
            path = Path(given).expanduser()
            if not path.exists():
                raise ImageUnusable(
                    _("{variable} names {path}, which does not exist.").format(
                        variable=wanted.archive_variable, path=path
                    ),
                    hint=_("Correct or unset {variable}.").format(variable=wanted.archive_variable),
                )
            return opened(path, wanted)
        tree = self._cache / wanted.name
        if tree.is_dir():
            return opened(tree, wanted)
        for path in sorted(self._cache.glob(f"{wanted.name}*.zip")):
            if path.name == wanted.archive_name and wanted.sha256:
                _check_sum(path, wanted)
            return opened(path, wanted)
        reason = _("it is not on this machine")
        if progress is not None:
            try:
                return self._download(wanted, progress)
            except requests.RequestException as error:
                reason = _("{url} does not answer").format(url=wanted.url)
                if isinstance(error, requests.HTTPError) or "IncompleteRead" in str(error):
                    reason = _("{url}: {error}").format(url=wanted.url, error=_short(error))
        return Supplied(
            {},
            missing=_("The release archive of {title} {version} cannot be had: {reason}.").format(
                title=wanted.title, version=wanted.versions[-1], reason=reason
            ),
            hint=_(
                "Set {variable} to the archive or the unpacked folder, or put {name} in {cache}; "
                "then run `e5b setup` again."
            ).format(variable=wanted.archive_variable, name=wanted.archive_name, cache=self._cache),
        )

    def _download(self, wanted: Definition, progress: Progress) -> "Release":
        """Fetch the official archive into the cache: whole, checked, or not at all."""
        target = self._cache / wanted.archive_name
        part = target.with_suffix(".part")
        end = time.monotonic() + _LONGEST
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with requests.get(wanted.url, stream=True, timeout=_PATIENCE) as answer:
                answer.raise_for_status()
                total = int(answer.headers.get("Content-Length") or 0)
                progress.begin(_("Downloading {name}").format(name=wanted.archive_name), max(1, -(-total // _CHUNK)))
                try:
                    with part.open("wb") as file:
                        for chunk in answer.iter_content(_CHUNK):
                            file.write(chunk)
                            if time.monotonic() > end:
                                raise requests.Timeout(f"not done after {_LONGEST} seconds")
                            progress.step(_("{size} MB").format(size=file.tell() // 1_000_000))
                finally:
                    progress.end()
            found = _sha256(part)
            if wanted.sha256 and found != wanted.sha256:
                raise ImageUnusable(
                    _("What {url} sends is not the archive that was recorded: its SHA-256 is {found}.").format(
                        url=wanted.url, found=found
                    ),
                    hint=_("Find out why before changing sha256 in {path}.").format(path=wanted.path),
                )
            opened(part, wanted)
            if not wanted.sha256:
                _record(wanted.path, found)
            part.replace(target)
        except OSError as error:
            if isinstance(error, requests.RequestException):
                raise
            if error.errno == errno.ENOSPC:
                raise NoSpace(
                    _("There is no room in {folder} for {name}.").format(folder=self._cache, name=wanted.archive_name)
                ) from error
            raise ImageUnusable(
                _("{name} cannot be kept in {folder}: {error}.").format(
                    name=wanted.archive_name, folder=self._cache, error=error
                )
            ) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return opened(target, wanted)

    def _packs(self, wanted: Definition) -> "LanguagePacks":
        given = os.environ.get(wanted.packs_variable)
        if not given:
            return LanguagePacks(None)
        path = Path(given).expanduser()
        found = sorted(path.glob(wanted.packs)) if path.is_dir() else []
        if not found:
            raise ImageUnusable(
                _("{variable} names {path}, which holds no {pattern}.").format(
                    variable=wanted.packs_variable, path=path, pattern=wanted.packs
                ),
                hint=_("Correct or unset {variable}.").format(variable=wanted.packs_variable),
            )
        for pack in found:
            if not zipfile.is_zipfile(pack):
                raise ImageUnusable(_("{path} is not a zip archive, or not a whole one.").format(path=pack))
        return LanguagePacks(path, tuple(found))


@dataclass(frozen=True)
class LanguagePacks:
    """The packs in *path*; an empty folder when there is none, so that a Dockerfile can always copy it."""

    path: Path | None
    files: tuple[Path, ...] = ()

    @property
    def where(self) -> str:
        return str(self.path or "")

    @functools.cached_property
    def digest(self) -> str:
        return build_context.digest(self.members())

    def members(self) -> Iterator[Member]:
        for path in self.files:
            yield from build_context.tree(path, path.name)


@dataclass(frozen=True)
class Release:
    """A release that was looked at and is what it should be. For a zip, *inner* is the archive within it and
    *prefix* the folder in which all of it lies."""

    path: Path
    version: str
    zipped: bool = False
    inner: str = ""
    prefix: str = ""

    @property
    def where(self) -> str:
        return str(self.path)

    @functools.cached_property
    def digest(self) -> str:
        return f"sha256:{_sha256(self.path)}" if self.zipped else build_context.digest(self.members())

    def members(self) -> Iterator[Member]:
        if not self.zipped:
            yield from build_context.tree(self.path)
            return
        with _archive(self.path, self.inner) as archive:
            for info in archive.infolist():
                name = info.filename.removeprefix(self.prefix).rstrip("/")
                if not name or not info.filename.startswith(self.prefix):
                    continue
                if info.is_dir():
                    yield Member(name)
                else:
                    yield Member(
                        name,
                        executable=bool(info.external_attr >> 16 & 0o100),
                        size=info.file_size,
                        open=functools.partial(archive.open, info),
                    )


def opened(path: Path, wanted: Definition) -> Release:
    """The release at *path*, a tree or a zip. Raises ImageUnusable, in one sentence, when it is anything else."""
    if path.is_dir():
        return _opened_tree(path, wanted)
    try:
        with _archive(path) as outer:
            inner = wanted.inner if wanted.inner in outer.namelist() else ""
        with _archive(path, inner) as archive:
            names = [_safe(info, path) for info in archive.infolist()]
            prefix = _prefix(names)
            relative = {name.removeprefix(prefix) for name in names}
            missing = [
                need
                for need in wanted.requires
                if need not in relative and not any(name.startswith(f"{need}/") for name in relative)
            ]
            version = ""
            if not missing and wanted.version_file in relative:
                version = _version(archive.read(prefix + wanted.version_file), wanted)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _damaged(path) from error
    except OSError as error:
        raise ImageUnusable(_("{path} cannot be read: {error}.").format(path=path, error=error)) from error
    _check(path, missing, version, wanted)
    return Release(path, version, zipped=True, inner=inner, prefix=prefix)


def _opened_tree(path: Path, wanted: Definition) -> Release:
    missing = [need for need in wanted.requires if not (path / need).exists()]
    version_file = path / wanted.version_file
    try:
        version = _version(version_file.read_bytes(), wanted) if not missing and version_file.is_file() else ""
        _check(path, missing, version, wanted)
        for member in build_context.tree(path):
            if member.target is not None:
                inside = (path / member.path).parent.joinpath(member.target).resolve()
                if not inside.is_relative_to(path.resolve()):
                    raise _unsafe(path, member.path)
    except OSError as error:
        raise ImageUnusable(_("{path} cannot be read: {error}.").format(path=path, error=error)) from error
    return Release(path, version)


@contextlib.contextmanager
def _archive(path: Path, inner: str = "") -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(path) as outer:
        if not inner:
            yield outer
            return
        # Reading within a compressed member would start again from its beginning at every seek.
        with tempfile.TemporaryFile() as copy:
            with outer.open(inner) as stream:
                while chunk := stream.read(_CHUNK):
                    copy.write(chunk)
            copy.seek(0)
            with zipfile.ZipFile(cast("IO[bytes]", copy)) as archive:
                yield archive


def _safe(info: zipfile.ZipInfo, path: Path) -> str:
    parts = PurePosixPath(info.filename).parts
    if (
        ".." in parts
        or info.filename.startswith("/")
        or "\\" in info.filename
        or re.match(r"[A-Za-z]:", info.filename)
        or stat.S_ISLNK(info.external_attr >> 16)
    ):
        raise _unsafe(path, info.filename)
    return info.filename


def _prefix(names: list[str]) -> str:
    """The one folder that everything lies in, with its slash, when a release was packed with its folder."""
    tops = {name.partition("/")[0] for name in names}
    if len(tops) == 1 and all("/" in name for name in names):
        return f"{tops.pop()}/"
    return ""


def _version(content: bytes, wanted: Definition) -> str:
    match = re.search(wanted.version_pattern, content.decode("utf-8", errors="replace"))
    return match[1] if match else ""


def _check(path: Path, missing: list[str], version: str, wanted: Definition) -> None:
    hint = _("Give the official archive, {name}.").format(name=wanted.archive_name)
    if missing or not version:
        raise ImageUnusable(
            _("{path} is not a release of {title}: {what} is not in it.").format(
                path=path, title=wanted.title, what=missing[0] if missing else wanted.version_file
            ),
            hint=hint,
        )
    if version not in wanted.versions:
        raise ImageUnusable(
            _("{path} is {title} {version}; the site is made for {versions}.").format(
                path=path, title=wanted.title, version=version, versions=", ".join(wanted.versions)
            ),
            hint=hint,
        )


def _damaged(path: Path) -> ImageUnusable:
    return ImageUnusable(
        _("{path} is not a zip archive, or not a whole one.").format(path=path),
        hint=_("Remove it and fetch it again."),
    )


def _unsafe(path: Path, name: str) -> ImageUnusable:
    return ImageUnusable(
        _("{path} cannot be trusted: the name {name} leads out of it.").format(path=path, name=repr(name)),
        hint=_("Fetch the archive again from its official address."),
    )


def _check_sum(path: Path, wanted: Definition) -> None:
    found = _sha256(path)
    if found != wanted.sha256:
        raise ImageUnusable(
            _("{path} is not the archive that was recorded: its SHA-256 is {found}.").format(path=path, found=found),
            hint=_("Remove it, so that it is fetched again; {site} holds the recorded sum.").format(site=wanted.path),
        )


def _record(path: Path, sha256: str) -> None:
    """Write the checksum in ``site.toml``, in the line that waits for it: the rest is people's own text."""
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'^sha256 = ""', f'sha256 = "{sha256}"', text, count=1, flags=re.M), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _short(error: Exception) -> str:
    return re.sub(r" for url: .*$", "", str(error))[:160]

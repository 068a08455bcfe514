"""The reference context as a package: what its manifest says, which version is newer, how two of them differ.

The form of the package is in docs/reference/context-package.md.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.exam import Site

FORMAT = 1
VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,3}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FILE = re.compile(r"[a-z0-9][a-zA-Z0-9._-]{0,99}")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class ManifestMalformed(ValueError):
    """What a package says of itself cannot be read; the message says what is wrong, in English."""


def newer(version: str, other: str) -> bool:
    """Whether *version* comes after *other*: numbers between dots are compared as numbers (2027.10 after 2027.9)."""
    return _numbers(version) > _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@dataclass(frozen=True)
class Layer:
    """A layer of an image. *diff_id* is the digest of its tar, *size* the tar's bytes, *blob* the digest that the
    package holds it by, compressed. In a delta, *blob* may be the base's; *patch* is the digest of what makes it of
    the base's layer *base*."""

    diff_id: str
    size: int
    blob: str | None = None
    patch: str | None = None
    base: str | None = None


@dataclass(frozen=True)
class PackedImage:
    """An image. *id* is the digest of its configuration, which the engine calls it by; *manifest* the digest of the
    OCI manifest, None in a delta. Of a site: its *version* and *language*, the *fingerprint*'s digest, and *details*,
    the digest of what ``diff`` compares."""

    name: str
    id: str
    layers: tuple[Layer, ...]
    manifest: str | None = None
    version: str = ""
    language: str = ""
    fingerprint: str | None = None
    details: str | None = None

    @property
    def site(self) -> Site | None:
        return Site(self.name) if self.name in set(Site) else None

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(layer.diff_id for layer in self.layers)


@dataclass(frozen=True)
class Base:
    """What a delta is made against: the *version*, the *file* that it was, the *digest* of its manifest."""

    version: str
    file: str
    digest: str


@dataclass(frozen=True)
class ContextManifest:
    """What a package says of itself. *blobs*: all that the file holds, digest to bytes. *candidate*: what the candidate
    may use. *varies*: what two builds may differ in, site by site. *guard*: the files of the session's rules for the
    network guard, by name to the digest of their content."""

    version: str
    session: str
    made: str
    contract: str
    images: tuple[PackedImage, ...]
    blobs: Mapping[str, int]
    archives: Mapping[str, str] = field(default_factory=dict)
    candidate: tuple[str, ...] = ()
    varies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    base: Base | None = None
    guard: Mapping[str, str] = field(default_factory=dict)

    @property
    def sites(self) -> dict[Site, PackedImage]:
        return {image.site: image for image in self.images if image.site is not None}

    def layer(self, diff_id: str) -> Layer | None:
        return next((layer for image in self.images for layer in image.layers if layer.diff_id == diff_id), None)

    def dump(self) -> bytes:
        """As it is written: one form for one content."""
        content = {
            "format": FORMAT,
            "version": self.version,
            "session": self.session,
            "made": self.made,
            "contract": self.contract,
            "images": {image.name: _image_out(image) for image in self.images},
            "archives": dict(self.archives),
            "candidate": list(self.candidate),
            "varies": {site: dict(items) for site, items in self.varies.items()},
            "base": None if self.base is None else vars(self.base),
            "guard": dict(self.guard),
            "blobs": dict(self.blobs),
        }
        return (json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.dump()).hexdigest()

    @classmethod
    def parse(cls, content: bytes) -> "ContextManifest":
        """Raises ManifestMalformed."""
        try:
            raw: dict[str, Any] = json.loads(content)
            if raw["format"] != FORMAT:
                raise ManifestMalformed(f"format {raw['format']}")
            base = raw["base"]
            manifest = cls(
                version=_matching(VERSION, raw["version"]),
                session=str(raw["session"]),
                made=str(raw["made"]),
                contract=str(raw["contract"]),
                images=tuple(_image_in(name, item) for name, item in raw["images"].items()),
                blobs={_matching(_DIGEST, digest): int(size) for digest, size in raw["blobs"].items()},
                archives={str(name): str(digest) for name, digest in raw["archives"].items()},
                candidate=tuple(str(item) for item in raw["candidate"]),
                varies={str(site): {str(k): str(v) for k, v in items.items()} for site, items in raw["varies"].items()},
                base=None
                if base is None
                else Base(_matching(VERSION, base["version"]), str(base["file"]), _matching(_DIGEST, base["digest"])),
                guard={_matching(_FILE, name): _matching(_DIGEST, found) for name, found in raw["guard"].items()},
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ManifestMalformed(str(error)) from error
        manifest._check()
        return manifest

    def _check(self) -> None:
        """What is named is there. Raises ManifestMalformed."""
        for name, content in self.guard.items():
            if content not in self.blobs:
                raise ManifestMalformed(f"{name}: {content} is not listed")
        if not self.images:
            raise ManifestMalformed("no image")
        for image in self.images:
            whole = [image.id, image.manifest, *(layer.blob for layer in image.layers)]
            if image.site is not None:
                whole.append(image.details)
            if self.base is None:
                needed = whole
            else:
                needed = [layer.patch for layer in image.layers if layer.blob is None]
                if any(layer.patch is not None and layer.base is None for layer in image.layers):
                    raise ManifestMalformed(f"{image.name}: a patch without its base")
            for digest in needed:
                if digest is None or digest not in self.blobs:
                    raise ManifestMalformed(f"{image.name}: {digest} is not listed")
            if image.site is not None and image.fingerprint is None:
                raise ManifestMalformed(f"{image.name}: no fingerprint")


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ManifestMalformed(f"{value!r}")
    return value


def _image_out(image: PackedImage) -> dict[str, Any]:
    layers = [{key: value for key, value in vars(layer).items() if value is not None} for layer in image.layers]
    rest = {key: value for key, value in vars(image).items() if value and key not in ("name", "layers")}
    return rest | {"layers": layers}


def _image_in(name: str, raw: Mapping[str, Any]) -> PackedImage:
    def digest(item: Mapping[str, Any], key: str) -> str | None:
        return None if item.get(key) is None else _matching(_DIGEST, item[key])

    return PackedImage(
        name=_matching(_NAME, name),
        id=_matching(_DIGEST, raw["id"]),
        layers=tuple(
            Layer(
                _matching(_DIGEST, item["diff_id"]),
                int(item["size"]),
                digest(item, "blob"),
                digest(item, "patch"),
                digest(item, "base"),
            )
            for item in raw["layers"]
        ),
        manifest=digest(raw, "manifest"),
        version=str(raw.get("version", "")),
        language=str(raw.get("language", "")),
        fingerprint=digest(raw, "fingerprint"),
        details=digest(raw, "details"),
    )


# What two versions differ in


@dataclass(frozen=True)
class Details:
    """What a site holds, to be compared. *files*: path to a short digest of its kind, mode, owner and content; *tables*
    as in the fingerprint; *packages*: the system's, with their versions; *plugins*: folders that hold one each."""

    version: str
    files: Mapping[str, str]
    tables: Mapping[str, str]
    packages: Mapping[str, str]
    plugins: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, version: str, manifest: str, tables: Mapping[str, str], packages: str, plugins: Sequence[str]
    ) -> "Details":
        """From the image's baked list of files (see docs/reference/image-contract.md) and the system's list of packages
        (``/var/lib/dpkg/status``)."""
        lines = [line.split("\t", 1) for line in manifest.splitlines()]
        return cls(
            version=version,
            files={path: hashlib.sha256(entry.encode()).hexdigest()[:12] for entry, path in lines},
            tables=dict(tables),
            packages=dict(re.findall(r"^Package: (.+)\n(?:.+\n)*?Version: (.+)$", packages, re.MULTILINE)),
            plugins=tuple(plugins),
        )

    def dump(self) -> bytes:
        return json.dumps(vars(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def parse(cls, content: bytes) -> "Details":
        """Raises ManifestMalformed."""
        try:
            raw = json.loads(content)
            return cls(
                str(raw["version"]),
                dict(raw["files"]),
                dict(raw["tables"]),
                dict(raw["packages"]),
                tuple(raw["plugins"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestMalformed(str(error)) from error


@dataclass(frozen=True)
class Change:
    """*what* is ``version``, ``plugin``, ``package``, ``table`` or ``file``; *before* and *after* are None where there
    is none of it. Of a plug-in, *files* says how many files differ."""

    what: str
    name: str
    before: str | None
    after: str | None
    files: int = 0

    @property
    def kind(self) -> str:
        return "added" if self.before is None else "removed" if self.after is None else "changed"


def changes(before: Details, after: Details) -> list[Change]:
    """All that differs: what a plug-in is made of is told as the plug-in, the rest by name."""
    found = [Change("version", "", before.version, after.version)] if before.version != after.version else []
    files = list(_changed("file", before.files, after.files))
    folders = [f"{folder.rstrip('/')}/" for folder in {*before.plugins, *after.plugins}]
    plugins: dict[str, int] = {}
    rest = []
    for change in files:
        folder = next((item for item in folders if change.name.startswith(item)), None)
        if folder is None:
            rest.append(change)
        else:
            plugin = folder + change.name.removeprefix(folder).partition("/")[0]
            plugins[plugin] = plugins.get(plugin, 0) + 1
    for plugin, count in sorted(plugins.items()):
        name = plugin.rpartition("/")[2]
        found.append(Change("plugin", name, before.files.get(plugin), after.files.get(plugin), count))
    found += _changed("package", before.packages, after.packages)
    found += _changed("table", before.tables, after.tables)
    return found + rest


def _changed(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Change(what, name, before.get(name), after.get(name))


def explained(found: Sequence[Change], varies: Mapping[str, str]) -> tuple[dict[str, int], list[Change]]:
    """How many of *found* each entry of *varies* names, a path (``*`` stands for anything) or a table's name; and what
    no entry names."""
    patterns = {name: re.compile(".*".join(map(re.escape, name.split("*")))) for name in varies}
    counted: Counter[str] = Counter()
    left = []
    for change in found:
        name = next((name for name, pattern in patterns.items() if pattern.fullmatch(change.name)), None)
        if name is None:
            left.append(change)
        else:
            counted[name] += 1
    return dict(counted), left

"""Make the one file of a reference context that was built, and sign it; or a delta, with what is new since another."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.domain import context, naming
from orchestrator.domain.context import Base, ContextManifest, Layer, PackedImage
from orchestrator.domain.guard import SESSION_RULES
from orchestrator.errors import ImageUnusable, InputInvalid, Refused
from orchestrator.i18n import _
from orchestrator.ports import Package, PackageDraft
from orchestrator.services import context_definition
from orchestrator.services.context_build import Academy, details
from orchestrator.services.context_definition import Built, Definition


@dataclass(frozen=True)
class Packed:
    """*path* and its *signature*, the manifest in it, and bytes."""

    path: Path
    signature: Path
    manifest: ContextManifest
    size: int


def pack(
    academy: Academy, definition_path: Path, path: Path, secret_key: Path, password: str, since: Path | None = None
) -> Packed:
    """Write *path* and its signature, and read it back. *since*: a whole package, against which a delta is made.

    Raises Refused when the definition was not built, when *path* is there or the version is not newer; ImageUnusable
    when an image is gone; InputInvalid, NoSpace, SignatureInvalid.
    """
    definition, built = context_definition.load(definition_path), context_definition.built(definition_path)
    if path.exists():
        raise Refused(_("{path} exists: it was not changed.").format(path=path), hint=_("Name another file."))
    rules = _guard_rules(definition, definition_path.parent)
    if since is None:
        _pack(academy, definition, built, path, None, rules)
    else:
        with academy.packages.open(since) as old:
            _check_base(definition, old)
            old.check(academy.progress)
            _pack(academy, definition, built, path, old, rules)
    with academy.packages.open(path) as package:
        package.check(academy.progress)
        manifest = package.manifest
    comment = f"e5b context {manifest.version}\tmanifest:{manifest.digest}"
    signature = academy.signatures.sign(path, secret_key, password, comment)
    return Packed(path, signature, manifest, path.stat().st_size)


def _check_base(definition: Definition, old: Package) -> None:
    if old.manifest.base is not None:
        raise Refused(
            _("{name} is a delta itself.").format(name=old.path.name),
            hint=_("Give the whole package that it was made against."),
        )
    if not context.newer(definition.version, old.manifest.version):
        raise Refused(
            _("Version {version} is not newer than {old}, the version of {name}.").format(
                version=definition.version, old=old.manifest.version, name=old.path.name
            ),
            hint=_("Raise the version in the definition, then build and pack again."),
        )


def _guard_rules(definition: Definition, beside: Path) -> dict[str, bytes]:
    """The session's rules for the guard, file by file. A centre reads them as it reads those that were handed to it:
    with the academy's signature. Raises InputInvalid."""
    if definition.guard is None:
        return {}
    folder = beside / definition.guard
    try:
        found = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
    except OSError as error:
        raise InputInvalid(_("{path} cannot be read: {error}.").format(path=folder, error=error.strerror)) from error
    missing = [name for name in (SESSION_RULES, f"{SESSION_RULES}.minisig") if name not in found]
    if missing:
        raise InputInvalid(
            _("{path} holds no signed rules of the guard: {missing} is missing.").format(
                path=folder, missing=", ".join(missing)
            ),
            hint=_("`minisign -S -s KEY -m academy.toml` signs them."),
        )
    return found


def _pack(
    academy: Academy, definition: Definition, built: Built, path: Path, old: Package | None, rules: Mapping[str, bytes]
) -> None:
    academy.progress.begin(_("Packing {version}").format(version=definition.version), len(built.images))
    try:
        with academy.packages.draft(path) as draft:
            guard = {name: draft.add(content) for name, content in rules.items()}
            images = []
            for name, image in sorted(built.images.items()):
                packed = _delta(academy, draft, name, image, old) if old else _whole(academy, draft, name, image)
                site = packed.site
                if site is not None:
                    known = built.sites[site]
                    plugins = definition.sites[site].plugins
                    compared = details(academy, image, known.version, known.fingerprint, plugins).dump()
                    unchanged = old is not None and _digest(compared) in old.manifest.blobs
                    packed = replace(
                        packed,
                        version=known.version,
                        language=known.language,
                        fingerprint=known.fingerprint.digest,
                        details=_digest(compared) if unchanged else draft.add(compared),
                    )
                images.append(packed)
                academy.progress.step(name)
            draft.write(
                ContextManifest(
                    version=definition.version,
                    session=definition.session,
                    made=datetime.now(UTC).isoformat(timespec="seconds"),
                    contract=naming.CONTRACT_VERSION,
                    images=tuple(images),
                    blobs=draft.blobs,
                    archives=definition.archives,
                    candidate=definition.candidate,
                    varies={site.value: item.varies for site, item in definition.sites.items()},
                    base=None if old is None else Base(old.manifest.version, old.path.name, old.manifest.digest),
                    guard=guard,
                )
            )
    finally:
        academy.progress.end()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _whole(academy: Academy, draft: PackageDraft, name: str, image: str) -> PackedImage:
    layers: dict[str, Layer] = {}

    def keep(parts: Iterator[bytes]) -> None:
        stored = draft.layer(parts)
        layers[stored.diff_id] = Layer(stored.diff_id, stored.size, stored.blob)

    saved = academy.images.save(image, keep)
    packed = PackedImage(name, draft.add(saved.config), tuple(layers[diff_id] for diff_id in saved.chain))
    _check_same(name, image, packed)
    return replace(packed, manifest=draft.oci_manifest(packed))


def _delta(academy: Academy, draft: PackageDraft, name: str, image: str, old: Package) -> PackedImage:
    """What *old* holds already is only named; a layer made anew is told by the one that was in its place."""
    former = next((item for item in old.manifest.images if item.name == name), None)
    if former is not None and former.id == image:
        return replace(former, manifest=None)
    tars: dict[str, Path] = {}

    def keep(parts: Iterator[bytes]) -> None:
        tar = draft.folder / f"layer-{len(tars)}.tar"
        hashed = hashlib.sha256()
        with tar.open("wb") as file:
            for part in parts:
                hashed.update(part)
                file.write(part)
        diff_id = f"sha256:{hashed.hexdigest()}"
        if old.manifest.layer(diff_id) is None and diff_id not in tars:
            tars[diff_id] = tar
        else:
            tar.unlink()

    saved = academy.images.save(image, keep)
    before = former.layers if former is not None else ()
    layers = []
    for place, diff_id in enumerate(saved.chain):
        known = old.manifest.layer(diff_id)
        if known is None:
            base = before[place] if place < len(before) and len(before) == len(saved.chain) else None
            known = _new_layer(draft, diff_id, tars[diff_id], base, old)
        layers.append(known)
    for tar in tars.values():
        tar.unlink()
    packed = PackedImage(name, draft.add(saved.config), tuple(layers))
    _check_same(name, image, packed)
    return packed


def _new_layer(draft: PackageDraft, diff_id: str, tar: Path, base: Layer | None, old: Package) -> Layer:
    size = tar.stat().st_size
    if base is None:
        with tar.open("rb") as file:
            stored = draft.layer(iter(lambda: file.read(1 << 20), b""))
        return Layer(diff_id, size, stored.blob)
    former = draft.folder / "former.tar"
    with former.open("wb") as out:
        for part in old.layer(base):
            out.write(part)
    try:
        return Layer(diff_id, size, patch=draft.patch(former, tar), base=base.diff_id)
    finally:
        former.unlink()


def _check_same(name: str, image: str, packed: PackedImage) -> None:
    if packed.id != image:
        raise ImageUnusable(
            _("The engine gave another configuration of {name} than the one it calls the image by.").format(name=name)
        )

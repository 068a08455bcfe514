"""What changed from one package to another, in words."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.context import Change, Details, ManifestMalformed, PackedImage, changes
from orchestrator.errors import InputInvalid, SignatureInvalid
from orchestrator.i18n import _
from orchestrator.ports import Package, Packages


@dataclass(frozen=True)
class ImageChanges:
    """*kind* is ``added``, ``removed``, ``changed`` or ``same``; *found* is what changed in a site, *layers* how many
    layers of the later image are new."""

    name: str
    kind: str
    found: tuple[Change, ...] = ()
    layers: int = 0


@dataclass(frozen=True)
class ContextChanges:
    """From version *before* to version *after*."""

    before: str
    after: str
    images: tuple[ImageChanges, ...]


def diff(packages: Packages, before: Path, after: Path) -> ContextChanges:
    """Compare two packages, of which one may be a delta. Their signatures are not looked at. Raises InputInvalid,
    SignatureInvalid."""
    with packages.open(before) as old, packages.open(after) as new:
        were = {image.name: image for image in old.manifest.images}
        are = {image.name: image for image in new.manifest.images}
        found = [_image(name, were.get(name), are.get(name), old, new) for name in sorted(were.keys() | are.keys())]
        return ContextChanges(old.manifest.version, new.manifest.version, tuple(found))


def _image(name: str, was: PackedImage | None, now: PackedImage | None, old: Package, new: Package) -> ImageChanges:
    if was is None or now is None:
        return ImageChanges(name, "added" if was is None else "removed")
    if was.id == now.id:
        return ImageChanges(name, "same")
    layers = len(set(now.chain) - set(was.chain))
    if was.details is None or now.details is None or was.details == now.details:
        return ImageChanges(name, "changed", layers=layers)
    found = changes(_details(was, old, new), _details(now, new, old))
    return ImageChanges(name, "changed", tuple(found), layers)


def _details(image: PackedImage, package: Package, other: Package) -> Details:
    holder = next((item for item in (package, other) if image.details in item.manifest.blobs), None)
    if holder is None or image.details is None:
        raise InputInvalid(
            _("{name} is a delta, and does not say what is in the site {site}.").format(
                name=package.path.name, site=image.name
            ),
            hint=_("Compare it with the whole package that it was made against."),
        )
    try:
        return Details.parse(holder.blob(image.details))
    except ManifestMalformed as error:
        raise SignatureInvalid(
            _("{name} is not a whole package of the reference context ({what}).").format(
                name=package.path.name, what=image.details
            )
        ) from error

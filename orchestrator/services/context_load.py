"""Install a reference context in a centre: verified first, then into the engine, then proved in real containers."""

import hashlib
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from orchestrator.domain import context
from orchestrator.domain.context import ContextManifest, Details, Layer, ManifestMalformed, PackedImage
from orchestrator.domain.exam import Site
from orchestrator.domain.fingerprint import Fingerprint, differences
from orchestrator.domain.lifecycle import WaveState
from orchestrator.errors import NoSpace, NotProved, Refused, SignatureInvalid
from orchestrator.i18n import _
from orchestrator.ports import Entry, ImageToLoad, ImageTransfer, Package, Packages, Signatures
from orchestrator.services.centre import Centre
from orchestrator.services.context_verify import verify

LOADED = "context.loaded"


@dataclass(frozen=True)
class Depot:
    """Where a centre takes packages from, and what it puts them into."""

    centre: Centre
    images: ImageTransfer
    packages: Packages
    signatures: Signatures


@dataclass(frozen=True)
class Loaded:
    """*loaded* and *kept* are images by name: those that the engine did not have, and had. *proved* are the sites whose
    reference fingerprint was measured here and is the package's. *rules*: whether the session's rules for the network
    guard came with it. *seconds*: of ``verify``, ``load`` and ``prove``.
    *done* is False for what would be done."""

    version: str
    session: str
    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    proved: tuple[str, ...]
    candidate: tuple[str, ...]
    seconds: Mapping[str, float]
    rules: bool = False
    done: bool = True


def load(depot: Depot, path: Path, base: Path | None = None, *, dry_run: bool = False) -> Loaded:
    """Load the package *path*, a delta with the help of its *base*: the file, or the images that came of it.

    The engine has whole images or none of them; those that it has are not loaded again, so that an interrupted load
    goes on. Raises SignatureInvalid, Refused (an older version, no base, a wave is open), NoSpace, NotProved with
    nothing left of what was loaded, and what the engine raises.
    """
    centre, seconds, begun = depot.centre, dict[str, float](), time.monotonic()

    def over(part: str) -> None:
        nonlocal begun
        now = time.monotonic()
        seconds[part], begun = now - begun, now

    manifest = verify(depot.signatures, depot.packages, path, centre.settings.trust.public_key, centre.progress)
    over("verify")
    _check_allowed(centre, manifest)
    names = {image.name: _name(centre, image) for image in manifest.images}
    missing = [image for image in manifest.images if centre.engine.image(image.id) is None]
    kept = tuple(image.name for image in manifest.images if image not in missing)
    result = Loaded(
        version=manifest.version,
        session=manifest.session,
        loaded=tuple(image.name for image in missing),
        kept=kept,
        proved=tuple(site.value for site in manifest.sites),
        candidate=manifest.candidate,
        seconds=seconds,
        rules=bool(manifest.guard),
    )
    with ExitStack() as stack:
        package = stack.enter_context(depot.packages.open(path))
        if package.manifest != manifest:
            raise SignatureInvalid(_("{name} was changed while it was read.").format(name=path.name))
        source = stack.enter_context(_source(depot, package, base, missing))
        _check_room(centre, missing)
        if dry_run:
            return replace(result, proved=(), done=False)
        data = {
            "version": manifest.version,
            "session": manifest.session,
            "manifest": manifest.digest,
            "file": path.name,
            "images": {image.name: image.id for image in manifest.images},
        }
        centre.store.save(Entry("context.load", data=data))
        for image in missing:
            depot.images.load(source(image), centre.progress)
        over("load")
        references = _prove(depot, package, missing)
        over("prove")
        _keep_rules(centre.settings.session_rules, package)
    for image in manifest.images:
        depot.images.tag(image.id, _version_tag(manifest, image))
        depot.images.tag(image.id, names[image.name])
    centre.store.save(Entry(LOADED, data=data), references=references)
    return result


def _keep_rules(current: Path, package: Package) -> None:
    """Put the session's rules for the guard where its policy is read from, in one step: all of them or those before. A
    context without any takes the former ones away."""
    rules = package.manifest.guard
    if not rules:
        current.unlink(missing_ok=True)
        return
    folder = current.with_name(package.manifest.digest.removeprefix("sha256:")[:12])
    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in rules.items():
        (folder / name).write_bytes(package.blob(digest))
    link = current.with_name("next")
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(current)


def _check_allowed(centre: Centre, manifest: ContextManifest) -> None:
    if any(wave.state is WaveState.OPEN for wave in centre.store.waves()):
        raise Refused(
            _("A wave is open: nothing is loaded while candidates work."), hint=_("Load it when the wave is closed.")
        )
    last = centre.store.last(LOADED)
    if last is None:
        return
    version = str(last.data["version"])
    if context.newer(version, manifest.version):
        raise Refused(
            _("Version {version} is older than {loaded}, which is loaded: a centre never goes back.").format(
                version=manifest.version, loaded=version
            ),
            hint=_("Ask the pilot academy for the present version."),
        )
    same = last.data["images"] == {image.name: image.id for image in manifest.images}
    if not context.newer(manifest.version, version) and not same:
        raise Refused(
            _("Version {version} is loaded already, and this package holds another one under the same number.").format(
                version=version
            ),
            hint=_("Ask the pilot academy which of the two is right."),
        )


def _version_tag(manifest: ContextManifest, image: PackedImage) -> str:
    return f"e5b/{image.name}:{manifest.version}"


def _name(centre: Centre, image: PackedImage) -> str:
    """The name by which the centre uses the image."""
    name = centre.settings.sites.image(image.site) if image.site is not None else f"e5b/{image.name}:current"
    if "@" in name or ":" not in name.rpartition("/")[2]:
        raise Refused(
            _("centre.toml names the image of {site} as {name}: a package can only be loaded under a tag.").format(
                site=image.name, name=name
            ),
            hint=_("Write for instance {name} there.").format(name=f"e5b/{image.name}:current"),
        )
    return name


def _check_room(centre: Centre, missing: Sequence[PackedImage]) -> None:
    # The engine unpacks what it is sent before it makes layers of it.
    root = centre.engine.facts().root
    needed = 2 * sum({layer.diff_id: layer.size for image in missing for layer in image.layers}.values())
    if not missing or not root.is_dir():
        return
    free = centre.host.disk_free(root)
    if free < needed:
        raise NoSpace(
            _("{missing} MB are missing on the disk of {root} to load the context.").format(
                missing=-(-(needed - free) // 1_000_000), root=root
            ),
            hint=_("It needs {needed} MB free and there are {free} MB.").format(
                needed=needed // 1_000_000, free=free // 1_000_000
            ),
        )


# Where the bytes of an image come from

Source = Callable[[PackedImage], ImageToLoad]


@contextmanager
def _source(depot: Depot, package: Package, base: Path | None, missing: Sequence[PackedImage]) -> Iterator[Source]:
    """What gives an image of *package* to the engine. Raises Refused when a delta's base is nowhere."""
    with ExitStack() as stack:
        found: Package | None = None
        if package.manifest.base is not None and missing:
            found = _base_file(depot, package, base)
            if found is not None:
                stack.enter_context(found)
        former = _Former(depot, package, found)
        stack.callback(former.remove)
        wanted = {digest for image in missing for digest in _wanted(depot, package, image)}
        former.check(wanted, missing)

        def source(image: PackedImage) -> ImageToLoad:
            # Only now: what was loaded before it may have brought some of its layers.
            present = depot.images.present(image.chain)
            return ImageToLoad(
                _version_tag(package.manifest, image),
                former.config(image),
                image.chain,
                {layer.diff_id: (layer.size, partial(former.layer, layer)) for layer in image.layers[present:]},
            )

        yield source


def _base_file(depot: Depot, package: Package, given: Path | None) -> Package | None:
    """The base of a delta, open and verified: the file that was given, or one that lies beside and is it."""
    wanted = package.manifest.base
    if wanted is None:
        return None
    path = given or package.path.with_name(wanted.file)
    if given is None and not path.exists():
        return None
    centre = depot.centre
    manifest = verify(depot.signatures, depot.packages, path, centre.settings.trust.public_key, centre.progress)
    if manifest.digest != wanted.digest:
        raise Refused(
            _("{base} is not the package that {name} was made against.").format(base=path.name, name=package.path.name),
            hint=_("It was made against version {version}, {file}.").format(version=wanted.version, file=wanted.file),
        )
    return depot.packages.open(path)


def _here(package: Package, digest: str | None) -> bool:
    return digest in package.manifest.blobs


def _wanted(depot: Depot, package: Package, image: PackedImage) -> set[str]:
    """The layers that must come from elsewhere than the package: its base's."""
    layers = image.layers[depot.images.present(image.chain) :]
    return {layer.base or layer.diff_id for layer in layers if not _here(package, layer.blob)}


class _Former:
    """The layers of a delta's base: from its file, or else from the engine that once loaded it."""

    def __init__(self, depot: Depot, package: Package, base: Package | None) -> None:
        self._depot, self._package, self._base = depot, package, base
        self._folder = depot.centre.settings.centre.state / "context"
        self._tars: dict[str, Path] = {}

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def check(self, wanted: Collection[str], images: Sequence[PackedImage]) -> None:
        """All of it can be had. Raises Refused."""
        self._wanted = set(wanted)
        base = self._package.manifest.base
        if base is None or self._base is not None:
            return
        self._holders = self._depot.images.holding(self._wanted)
        if self._wanted - self._holders.keys() or not all(_here(self._package, image.id) for image in images):
            raise Refused(
                _("{name} is a delta to version {version}, which is not here.").format(
                    name=self._package.path.name, version=base.version
                ),
                hint=_("Load {file} first, put it beside, or name it with --base.").format(file=base.file),
            )

    def config(self, image: PackedImage) -> bytes:
        holder = self._package if _here(self._package, image.id) or self._base is None else self._base
        return holder.blob(image.id)

    def layer(self, layer: Layer) -> Iterator[bytes]:
        if _here(self._package, layer.blob):
            yield from self._package.layer(layer)
        elif layer.patch is not None and layer.base is not None:
            yield from self._package.patched(layer, self._tar(layer.base))
        elif self._base is not None:
            yield from self._base.layer(layer)
        else:
            with self._tar(layer.diff_id).open("rb") as file:
                while part := file.read(1 << 20):
                    yield part

    def _tar(self, diff_id: str) -> Path:
        """The base's layer as a file."""
        if diff_id in self._tars:
            return self._tars[diff_id]
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._base is None:
            for image in sorted(set(self._holders.values())):
                self._depot.images.save(image, self._keep)
        else:
            layer = self._base.manifest.layer(diff_id)
            if layer is None:
                raise SignatureInvalid(
                    _("{name} names a layer that its base does not have.").format(name=self._package.path.name)
                )
            self._keep(self._base.layer(layer))
        return self._tars[diff_id]

    def _keep(self, parts: Iterator[bytes]) -> None:
        path = self._folder / f"layer-{len(self._tars)}.tar"
        hashed = hashlib.sha256()
        with path.open("wb") as file:
            for part in parts:
                hashed.update(part)
                file.write(part)
        diff_id = f"sha256:{hashed.hexdigest()}"
        if diff_id in self._wanted and diff_id not in self._tars:
            self._tars[diff_id] = path
        else:
            path.unlink()


# The proof


def _prove(depot: Depot, package: Package, loaded: Sequence[PackedImage]) -> dict[str, Fingerprint]:
    """Measure each site's reference. When one is not the package's, what was *loaded* goes again."""
    centre, sites = depot.centre, package.manifest.sites
    centre.progress.begin(_("Measuring the references"), len(sites))
    found: dict[str, Fingerprint] = {}
    faults: list[str] = []

    def measure(site: Site) -> None:
        image = sites[site]
        observed = centre.engine.reference(site, image.id)
        found[image.id] = observed
        if observed.digest != image.fingerprint:
            faults.extend(_faults(package, image, observed))
        centre.progress.step(site.value)

    try:
        with centre.locks.measuring(), ThreadPoolExecutor(len(sites)) as pool:
            list(pool.map(measure, sites))
    finally:
        centre.progress.end()
    if faults:
        for image in loaded:
            depot.images.untag(_version_tag(package.manifest, image))
        raise NotProved(
            _("What was loaded is not the reference that the package names; it was removed again."),
            hint=_("Run the command again. If it fails again, tell the pilot academy."),
            details=faults,
        )
    return found


def _faults(package: Package, image: PackedImage, observed: Fingerprint) -> list[str]:
    said = [
        _("{site}: the fingerprint is {found}, the package names {wanted}").format(
            site=image.name, found=observed.digest, wanted=image.fingerprint
        )
    ]
    if image.details in package.manifest.blobs and image.details is not None:
        try:
            tables = Details.parse(package.blob(image.details)).tables
        except ManifestMalformed:
            return said
        reference = Fingerprint(observed.manifest, {}, tables, "")
        said += [f"{image.name}: {item.what} {item.name}" for item in differences(reference, observed)]
    return said

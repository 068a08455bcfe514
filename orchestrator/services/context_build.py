"""Build a reference context from its definition, and prove that it can be built again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.domain import context, naming
from orchestrator.domain.context import Change, Details
from orchestrator.domain.exam import Site
from orchestrator.domain.fingerprint import Fingerprint
from orchestrator.errors import ImageUnusable, NotProved, Refused
from orchestrator.i18n import _
from orchestrator.ports import (
    Aside,
    Engine,
    ImageBuilder,
    ImageTransfer,
    Packages,
    Progress,
    Signatures,
    Supplies,
)
from orchestrator.services import context_definition
from orchestrator.services.context_definition import Built, BuiltSite, Definition
from orchestrator.services.environments import READY_TIMEOUT
from orchestrator.services.setup import Setup, Step

MANIFEST, PACKAGES = "/opt/e5b/reference/manifest", "/var/lib/dpkg/status"


@dataclass(frozen=True)
class Academy:
    """Where contexts are made. *again* builds under names of its own, which are no image's in use."""

    engine: Engine
    images: ImageTransfer
    setup: Setup
    builder: ImageBuilder
    again: ImageBuilder
    supplies: Supplies
    packages: Packages
    signatures: Signatures
    progress: Progress


def new_definition(supplies: Supplies, path: Path, version: str, session: str) -> None:
    """Write a definition with the checksums of what is supplied on this machine. Raises Refused, InputInvalid."""
    found = [supplies.find(site.value).folders for site in Site]
    archives = {place: content.digest for folders in found for place, content in folders.items()}
    context_definition.new(path, version, session, archives)


def build(academy: Academy, path: Path, *, twice: bool = False) -> Iterator[Step]:
    """Build the images, measure the sites' references, and put them on record beside the definition.

    With *twice* the sites are built once more, from nothing, and compared: what differs and is not named in the
    definition is a failure. Raises InputInvalid, ImageUnusable, NotProved.
    """
    definition = context_definition.load(path)
    others = [name for name in academy.builder.names() if name not in set(Site)]
    names = [*others, *(site.value for site in definition.sites)]
    _check_archives(academy, definition, names)
    yield from academy.setup.build(names, academy.progress)
    images = {name: current.id for name in names if (current := academy.builder.current(name)) is not None}
    sites = {site: measure(academy, site, images[site.value]) for site in definition.sites}
    _check_versions(definition, sites)
    if twice:
        sites = {site: _again(academy, definition, site, images[site.value], item) for site, item in sites.items()}
    context_definition.save(
        path, Built(datetime.now(UTC).isoformat(timespec="seconds"), context_definition.digest(path), images, sites)
    )


def _check_archives(academy: Academy, definition: Definition, names: Sequence[str]) -> None:
    faults, missing = [], []
    for name in names:
        supplied = academy.supplies.find(name, academy.progress)
        if supplied.missing:
            missing.append(supplied.missing)
        for place, content in supplied.folders.items():
            wanted = definition.archives.get(place)
            if wanted is None:
                faults.append(
                    _("{place}: not in the definition; here it is {found}").format(place=place, found=content.digest)
                )
            elif wanted != content.digest:
                faults.append(
                    _("{place}: {found}, the definition wants {wanted}").format(
                        place=place, found=content.digest, wanted=wanted
                    )
                )
    if missing:
        raise ImageUnusable(missing[0], details=missing[1:])
    if faults:
        raise ImageUnusable(
            _("What is supplied to the build is not what the definition names."),
            hint=_("Supply the same archives, or change the definition and its version."),
            details=faults,
        )


def _check_versions(definition: Definition, sites: dict[Site, BuiltSite]) -> None:
    faults = [
        _("{site}: {found}, the definition wants {wanted}").format(
            site=site.value, found=f"{item.version} ({item.language})", wanted=f"{wanted.version} ({wanted.language})"
        )
        for site, item in sites.items()
        if not item.version.startswith((wanted := definition.sites[site]).version) or item.language != wanted.language
    ]
    if faults:
        raise ImageUnusable(_("What was built is not what the definition names."), details=faults)


def measure(academy: Academy, site: Site, image: str) -> BuiltSite:
    """The reference of *image*, in a real container."""
    name = naming.reference_name(ACADEMY, site.value)
    academy.progress.begin(_("Measuring the reference of {site}").format(site=site.value), 1)
    try:
        academy.engine.create_aside(Aside(name, naming.ROLE_REFERENCE, image))
        academy.engine.ready(name, READY_TIMEOUT)
        described = academy.engine.describe(name)
        fingerprint = academy.engine.fingerprint(name, full=True)
    finally:
        academy.engine.remove(name)
        academy.progress.end()
    return BuiltSite(fingerprint, str(described["version"]), str(described["language"]))


ACADEMY = "academy"
"""The id under which what is made here is labelled: no centre's."""


def details(academy: Academy, image: str, version: str, fingerprint: Fingerprint, plugins: Sequence[str]) -> Details:
    """What *image* holds, to be compared."""
    return Details.of(
        version,
        academy.images.read(image, MANIFEST).decode(errors="surrogateescape"),
        fingerprint.tables,
        academy.images.read(image, PACKAGES).decode(errors="replace"),
        plugins,
    )


def _again(academy: Academy, definition: Definition, site: Site, image: str, first: BuiltSite) -> BuiltSite:
    supplied = academy.supplies.find(site.value)
    source = academy.again.source(site.value, supplied)
    academy.again.build(site.value, source, supplied, academy.progress, anew=True)
    made = academy.again.current(site.value)
    if made is None:
        raise Refused(_("The second build of {site} is gone.").format(site=site.value))
    try:
        second = measure(academy, site, made.id)
        found = context.changes(
            details(academy, image, first.version, first.fingerprint, ()),
            details(academy, made.id, second.version, second.fingerprint, ()),
        )
    finally:
        for tag in made.tags:
            academy.images.untag(tag)
    varied, left = context.explained(found, definition.sites[site].varies)
    if left:
        raise NotProved(
            _("Two builds of {site} from the same inputs differ.").format(site=site.value),
            hint=_(
                "The distribution has other packages by now: `e5b image build --force {site}`, then build again."
            ).format(site=site.value)
            if any(change.what == "package" for change in left)
            else _("Make the build repeatable, or name what cannot be equal, and why, in sites.{site}.varies.").format(
                site=site.value
            ),
            details=[sentence(change) for change in left],
        )
    return BuiltSite(first.fingerprint, first.version, first.language, not found, varied)


def sentence(change: Change) -> str:
    """A change, as a person reads it."""
    said = {
        ("version", "changed"): _("version: {before} became {after}"),
        ("plugin", "added"): _("plug-in {name}: added ({files} files)"),
        ("plugin", "removed"): _("plug-in {name}: removed ({files} files)"),
        ("plugin", "changed"): _("plug-in {name}: changed in {files} files"),
        ("package", "added"): _("system package {name}: added, {after}"),
        ("package", "removed"): _("system package {name}: removed, {before}"),
        ("package", "changed"): _("system package {name}: {before} became {after}"),
        ("table", "added"): _("table {name}: added, {rows_after} rows"),
        ("table", "removed"): _("table {name}: removed, {rows_before} rows"),
        ("table", "changed"): _("table {name}: changed, {rows_before} rows before and {rows_after} after"),
        ("file", "added"): _("file {name}: added"),
        ("file", "removed"): _("file {name}: removed"),
        ("file", "changed"): _("file {name}: changed"),
    }[change.what, change.kind]
    rows = {
        "rows_before": (change.before or "").partition(":")[0],
        "rows_after": (change.after or "").partition(":")[0],
    }
    return said.format(**vars(change), **rows)

"""Bring a sealed site back for a jury, read-only, from its archive alone."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain import naming
from orchestrator.domain.exam import Site
from orchestrator.errors import E5BError, EvidenceInvalid, ImageUnusable, InputInvalid, Refused
from orchestrator.i18n import _
from orchestrator.ports import Aside, Entry, SealedArchive
from orchestrator.services.centre import Centre
from orchestrator.services.environments import READY_TIMEOUT, addresses, check_image, free_address
from orchestrator.services.evidence_list import holding

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")

PATH = re.compile(r"/[A-Za-z0-9._/-]*")
"""A path that the gateway's configuration can hold as it is."""


@dataclass(frozen=True)
class Sealed:
    """An archive that holds, as its manifest tells it; *recorded*: it is the one in this centre's record."""

    path: Path
    sha256: str
    recorded: bool
    centre: str
    wave: str
    seat: int
    candidate: str
    attempt: int
    site: Site
    image: str
    fingerprint: str
    sealed_at: str


@dataclass(frozen=True)
class Shown:
    """A sealed site that a jury can look at. *proved*: its fingerprint is the one that was sealed; *how* says it in
    words. *login* and *password* are the account that the candidate was given."""

    sealed: Sealed
    url: str
    admin: str
    login: str
    password: str
    image: str
    proved: bool
    how: str


def is_open(centre: Centre) -> bool:
    """Whether a sealed site is shown, or is left half there."""
    names = {naming.jury_name(centre.settings.centre.id), naming.jury_gateway_name(centre.settings.centre.id)}
    return not names.isdisjoint(centre.engine.observe())


def newest_archive(centre: Centre, wave_id: str, seat: int) -> Path:
    """Raises NotFound."""
    newest = max(holding(centre, wave_id, seat), key=lambda item: item.attempt)
    return centre.settings.evidence_folder / newest.archive


def open_evidence(centre: Centre, path: Path, *, image: str | None = None, host: str | None = None) -> Shown:
    """Show the site in the archive *path*, in the place of one that is shown already.

    *image* names another image of the same site than the one it was sealed with: what is shown is not proved then.
    *host* is this machine's address as the jury types it (gateway.host by default). Raises EvidenceInvalid, Refused,
    ImageUnusable, InputInvalid, Conflict, EnvironmentFailed, Busy.
    """
    if host is not None and HOST.fullmatch(host) is None:
        raise InputInvalid(_("{text} is not an address or a host name.").format(text=host))
    url = centre.settings.evidence_url(host)
    sealed = read_sealed(centre, path)
    used = sealed.image if image is None else check_image(centre, sealed.site, image)
    if centre.engine.image(used) is None:
        reference = centre.settings.sites.image(sealed.site)
        raise ImageUnusable(
            _("This machine does not have the image that the site was sealed with, {image}.").format(
                image=sealed.image
            ),
            hint=_(
                "Where it was sealed: `docker save {image} -o image.tar`; here: `docker load -i image.tar`. "
                "Or try another with `--image {reference}`: what is shown is then not proved."
            ).format(image=sealed.image, reference=reference),
        )
    with centre.locks.jury():
        _take_away(centre)
        centre.progress.begin(_("Bringing the sealed site back"), 4)
        try:
            site, digest = _bring_back(centre, sealed, used, url)
        except BaseException:
            with contextlib.suppress(E5BError):
                _take_away(centre)
            raise
        finally:
            centre.progress.end()
        proved = digest == sealed.fingerprint
        centre.store.save(
            Entry(
                "evidence.opened",
                sealed.wave,
                sealed.seat,
                {
                    "centre": sealed.centre,
                    "archive": str(path),
                    "sha256": sealed.sha256,
                    "image": used,
                    "proved": proved,
                },
            )
        )
    return Shown(
        sealed,
        url,
        url + str(site["admin"]),
        str(site["login"]),
        str(site["password"]),
        used,
        proved,
        _how(sealed, used, digest),
    )


def close_evidence(centre: Centre) -> bool:
    """Take away what is shown; False when nothing was."""
    with centre.locks.jury():
        if not is_open(centre):
            return False
        _take_away(centre)
        centre.store.save(Entry("evidence.closed"))
        return True


def read_sealed(centre: Centre, path: Path) -> Sealed:
    """The archive, read whole and held against its own manifest, and against this centre's record if it has one.

    Raises EvidenceInvalid, Refused for an archive of a newer format.
    """
    archive = centre.sealing.read(path)
    if archive.manifest.get("format") != 1:
        raise Refused(
            _("{path} was written by a newer version of this program.").format(path=path),
            hint=_("Install the newer version; nothing was changed."),
        )
    try:
        sealed = _sealed(archive)
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceInvalid(
            _("The manifest of {path} does not say what is needed to show its site ({error}).").format(
                path=path, error=error
            ),
            hint=_("Take another copy of this archive."),
        ) from error
    if sealed.centre != centre.settings.centre.id:
        return sealed
    for record in centre.store.evidence(sealed.wave):
        if (record.seat, record.attempt) == (sealed.seat, sealed.attempt):
            if record.sha256 != sealed.sha256:
                raise EvidenceInvalid(
                    _("{path} is not the archive that was sealed: its digest is not the one in the record.").format(
                        path=path
                    ),
                    hint=_("`e5b evidence verify` says which archives hold."),
                )
            return Sealed(**{**vars(sealed), "recorded": True})
    return sealed


def _sealed(archive: SealedArchive) -> Sealed:
    manifest = archive.manifest
    return Sealed(
        path=archive.path,
        sha256=archive.sha256,
        recorded=False,
        centre=str(manifest["centre"]),
        wave=str(manifest["wave"]),
        seat=int(manifest["seat"]),
        candidate=str(manifest["candidate"]),
        attempt=int(manifest["attempt"]),
        site=Site(manifest["site"]["site"]),
        image=str(manifest["image"]),
        fingerprint=str(manifest["fingerprint"]),
        sealed_at=str(manifest["sealed_at"]),
    )


def _bring_back(centre: Centre, sealed: Sealed, image: str, url: str) -> tuple[dict[str, Any], str]:
    """The site behind the jury's gateway: what it says of itself, and its fingerprint as it came out of the archive."""
    engine, name = centre.engine, naming.jury_name(centre.settings.centre.id)
    engine.ensure_network()
    address = _address(centre)
    engine.create_aside(Aside(name, naming.ROLE_JURY, image, url, address))
    engine.ready(name, READY_TIMEOUT)
    centre.progress.step(_("an environment of the image"))
    engine.load(name, centre.sealing.content(sealed.path))
    centre.progress.step(_("its files and its database"))
    # Before it gets another address: the content may name the old one, and is changed then.
    digest = engine.fingerprint(name, full=True).digest
    centre.progress.step(_("its fingerprint"))
    engine.set_url(name, url)
    engine.ready(name, READY_TIMEOUT)
    site = engine.describe(name)
    sign_in = site.get("sign_in")
    centre.jury.open(address, sign_in if isinstance(sign_in, str) and PATH.fullmatch(sign_in) else None)
    centre.progress.step(_("the jury's gateway"))
    return site, digest


def _take_away(centre: Centre) -> None:
    centre.jury.close()
    centre.engine.remove(naming.jury_name(centre.settings.centre.id))


def _address(centre: Centre) -> str:
    """The environments take the lowest, and know nothing of this one."""
    seen = {item.address for item in centre.engine.observe().values() if item.address is not None}
    taken = addresses(centre.store.environments()) | seen
    return free_address(centre.settings.network.subnet, taken, highest=True)


def _how(sealed: Sealed, image: str, digest: str) -> str:
    if digest == sealed.fingerprint:
        return _("files and database have the fingerprint that was sealed, {digest}").format(digest=digest)
    if image != sealed.image:
        return _("it is shown with another image than it was sealed with, {image}").format(image=sealed.image)
    return _("the fingerprint is {digest}, and {sealed} was sealed").format(digest=digest, sealed=sealed.fingerprint)

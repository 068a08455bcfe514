"""Check a package without an engine: its signature, then every byte of its content."""

from pathlib import Path

from orchestrator.domain import naming
from orchestrator.domain.context import ContextManifest
from orchestrator.errors import Refused, SettingsInvalid, SignatureInvalid
from orchestrator.i18n import _
from orchestrator.ports import Packages, Progress, Signatures


def verify(
    signatures: Signatures, packages: Packages, path: Path, public_key: str | None, progress: Progress
) -> ContextManifest:
    """What *path* says of itself, all of which holds. Raises SettingsInvalid without a key, InputInvalid,
    SignatureInvalid, Refused for a contract that is not known here."""
    if not public_key:
        raise SettingsInvalid(
            _("No key is trusted here: centre.toml has no trust.public_key."),
            hint=_("Write the pilot academy's public key there, as it was received by another way than the package."),
        )
    comment = signatures.verify(path, public_key)
    with packages.open(path) as package:
        if f"\tmanifest:{package.manifest.digest}\t" not in comment:
            raise SignatureInvalid(
                _("{name} is signed, but not as a package of the reference context.").format(name=path.name)
            )
        if package.manifest.contract != naming.CONTRACT_VERSION:
            raise Refused(
                _("{name} follows version {version} of the image contract, which is not known here.").format(
                    name=path.name, version=package.manifest.contract
                ),
                hint=_("Install the version of e5b that the pilot academy names."),
            )
        package.check(progress)
        return package.manifest

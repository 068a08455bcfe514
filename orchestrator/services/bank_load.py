"""Load the national bank into a centre: the sealed file is kept, nothing of it is opened."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.bank import SealedBank
from orchestrator.errors import InputInvalid, Refused, SignatureInvalid
from orchestrator.i18n import _
from orchestrator.ports import Entry, SealedBanks, Signatures, Store
from orchestrator.services.bank_read import read_bank
from orchestrator.settings import Settings


@dataclass(frozen=True)
class LoadedBank:
    """*half_days* are those of the centre's zone. *changed* is False when the same bank was loaded already."""

    bank: SealedBank
    comment: str
    half_days: tuple[str, ...]
    changed: bool


def check_bank(settings: Settings, store: Store, banks: SealedBanks, signatures: Signatures, path: Path) -> LoadedBank:
    """What :func:`load_bank` would load; nothing is done.

    Raises SignatureInvalid with its own sentence for each thing that does not hold, Refused for a bank that is older
    than the one loaded, or that has nothing for this centre's zone, or when no key is trusted.
    """
    key = settings.trust.public_key
    if not key:
        raise Refused(
            _("This centre trusts no key yet: no bank can be loaded."),
            hint=_("Write the academy's public key under [trust] in centre.toml."),
        )
    read = read_bank(banks, signatures, path, key)
    bank, loaded = read.bank, store.bank()
    if loaded is not None:
        _check_newer(bank, loaded)
    zone = settings.centre.zone
    half_days = tuple(sorted({entry.half_day for entry in bank.entries if entry.zone is zone}))
    if not half_days:
        raise Refused(
            _("This bank has no subject for the zone {zone}.").format(zone=zone.value),
            hint=_("Correct centre.zone in centre.toml, or ask the academy for the bank of this zone."),
        )
    return LoadedBank(bank, read.comment, half_days, changed=bank != loaded)


def load_bank(settings: Settings, store: Store, banks: SealedBanks, signatures: Signatures, path: Path) -> LoadedBank:
    """Copy the bank into the centre's state. Can be run again at any time. Raises as :func:`check_bank`."""
    target = settings.bank_file
    new = target.with_name(f".{target.name}")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for suffix in ("", ".minisig"):
            source = path.with_name(path.name + suffix)
            # Without a signature the check has its own sentence for that.
            new.with_name(new.name + suffix).unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, new.with_name(new.name + suffix))
        # What was copied is what is checked.
        found = _checked_copy(settings, store, banks, signatures, path, new)
        for suffix in ("", ".minisig"):
            copy = new.with_name(new.name + suffix)
            with copy.open("rb") as file:
                os.fsync(file.fileno())
            copy.replace(target.with_name(target.name + suffix))
    except OSError as error:
        raise InputInvalid(
            _("{path} cannot be copied: {error}.").format(path=path, error=error.strerror or error)
        ) from error
    finally:
        for suffix in ("", ".minisig"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)
    entry = Entry(
        "bank.loaded",
        data={
            "session": found.bank.session,
            "version": found.bank.version,
            "half_days": list(found.half_days),
            "signed": found.comment,
        },
    )
    store.save(*([entry] if found.changed else []), bank=found.bank)
    return found


def _checked_copy(
    settings: Settings, store: Store, banks: SealedBanks, signatures: Signatures, path: Path, copy: Path
) -> LoadedBank:
    # First where it came from: an error names the file that the person knows.
    check_bank(settings, store, banks, signatures, path)
    return check_bank(settings, store, banks, signatures, copy)


def _check_newer(bank: SealedBank, loaded: SealedBank) -> None:
    known = _("{session}, version {version}").format(session=loaded.session, version=loaded.version)
    if bank.session == loaded.session:
        older, same = bank.version < loaded.version, bank.version == loaded.version
    else:
        older, same = bank.sealed_at < loaded.sealed_at, False
    if older:
        raise Refused(
            _("This bank is older than the one that is loaded ({known}).").format(known=known),
            hint=_("Ask the academy for the newest one; the one that is loaded stays."),
        )
    if same and bank != loaded:
        raise SignatureInvalid(
            _("This bank has the version of the one that is loaded ({known}), and is another.").format(known=known),
            hint=_("Tell the academy: two banks were sealed under one version. The one that is loaded stays."),
        )

"""Seal a bank: one signed file for the country, and the file of its codes, which stays in the academy."""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from orchestrator.domain.bank import Bank, Role, SealedBank
from orchestrator.domain.calendar import Calendar, Window, Zone
from orchestrator.domain.exam import Site
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import E5BError, InputInvalid, NotProved, Refused
from orchestrator.i18n import _
from orchestrator.ports import BankFiles, Documents, Progress, SealedBanks, Signatures, ToSeal
from orchestrator.services.bank_check import Checked
from orchestrator.services.bank_render import pdfs

FORMAT = 1


@dataclass(frozen=True)
class KeptCode:
    """One code, as the academy keeps it."""

    half_day: str
    zone: Zone
    role: Role
    site: Site
    window: Window
    code: UnlockCode


@dataclass(frozen=True)
class Codes:
    """All codes of a sealed bank. *second_lock* is what the codes of second locks are drawn from."""

    session: str
    version: int
    second_lock: bytes = field(repr=False)
    codes: tuple[KeptCode, ...]


@dataclass(frozen=True)
class Sealed:
    """*signature* and *codes* are the files beside the bank's."""

    path: Path
    signature: Path
    codes: Path
    size: int
    bank: SealedBank


def refuse_faults(checked: Checked) -> Calendar:
    """Raises NotProved with every fault of the bank; its calendar when there is none."""
    faults = checked.faults
    if faults or checked.bank.calendar is None:
        raise NotProved(
            _("The bank breaks {count} rules.").format(count=len(faults))
            if len(faults) != 1
            else _("The bank breaks a rule."),
            hint=_("Correct what is named here, then run `e5b bank check` again."),
            details=faults,
        )
    return checked.bank.calendar


def seal(
    checked: Checked,
    files: BankFiles,
    documents: Documents,
    banks: SealedBanks,
    signatures: Signatures,
    progress: Progress,
    *,
    output: Path,
    codes: Path,
    key: Path,
    password: str,
    now: datetime,
) -> Sealed:
    """Seal the bank into *output*, sign it with the secret *key*, and write its codes to *codes* (mode 600).

    Nothing remains of a sealing that fails. Raises NotProved when the bank breaks a rule, Refused when a file exists,
    InputInvalid when one cannot be written or the key and its password do not fit.
    """
    calendar = refuse_faults(checked)
    for path in (output, codes):
        if path.exists():
            raise Refused(_("{path} exists: it was not changed.").format(path=path), hint=_("Name another file."))
    signatures.encrypted(key)  # so that a key that cannot be read is told before anything is made
    subjects = _to_seal(checked.bank, calendar, files, documents, progress)
    kept = Codes(
        calendar.session,
        calendar.version,
        secrets.token_bytes(32),
        tuple(
            KeptCode(item.half_day, item.zone, item.role, item.subject.site, item.window, item.code)
            for item in subjects
        ),
    )
    made: list[Path] = []
    try:
        _write_codes(codes, kept)
        made.append(codes)
        sealed = banks.write(output, calendar.session, calendar.version, now, subjects)
        made.append(output)
        comment = f"e5b bank {sealed.session} version {sealed.version} sealed {now.isoformat(timespec='seconds')}"
        signature = signatures.sign(output, key, password, comment)
    except E5BError:
        for path in made:
            with suppress(OSError):
                path.unlink()
        raise
    return Sealed(output, signature, codes, output.stat().st_size, sealed)


def _to_seal(
    bank: Bank, calendar: Calendar, files: BankFiles, documents: Documents, progress: Progress
) -> list[ToSeal]:
    used = list(dict.fromkeys(name for item in calendar.half_days for pair in item.pairs for name in pair))
    subjects = {subject.id: subject for subject in bank.subjects}
    made = {}
    progress.begin(_("Making the documents"), len(used))
    try:
        for name in used:
            made[name] = pdfs(documents, calendar.session, subjects[name])
            progress.step(name)
    finally:
        progress.end()
    return [
        ToSeal(
            half_day=half_day.id,
            zone=zone,
            role=role,
            window=window,
            code=UnlockCode.draw(),
            subject=subjects[name],
            documents=made[name],
            fixtures=files.fixtures(subjects[name]),
        )
        for half_day in calendar.half_days
        for zone, window in calendar.windows(half_day).items()
        for role, name in zip(Role, half_day.pair_of(zone), strict=True)
    ]


def _write_codes(path: Path, codes: Codes) -> None:
    value = {
        "format": FORMAT,
        "session": codes.session,
        "version": codes.version,
        "second_lock": codes.second_lock.hex(),
        "codes": [
            {
                "half_day": item.half_day,
                "zone": item.zone.value,
                "role": item.role.value,
                "site": item.site.value,
                "unlock_from": item.window.unlock_from.isoformat(),
                "enter": item.window.enter.isoformat(),
                "leave": item.window.leave.isoformat(),
                "ends_at": item.window.ends_at.isoformat(),
                "code": " ".join(item.code.words),
            }
            for item in codes.codes
        ],
    }
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputInvalid(_("{path} cannot be written: {error}.").format(path=path, error=error.strerror)) from error


def read_codes(path: Path) -> Codes:
    """What ``seal`` wrote to *path*. Raises InputInvalid."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise ValueError
        return Codes(
            value["session"],
            value["version"],
            bytes.fromhex(value["second_lock"]),
            tuple(
                KeptCode(
                    item["half_day"],
                    Zone(item["zone"]),
                    Role(item["role"]),
                    Site(item["site"]),
                    Window(
                        *(datetime.fromisoformat(item[name]) for name in ("unlock_from", "enter", "leave", "ends_at"))
                    ),
                    UnlockCode.typed(item["code"]),
                )
                for item in value["codes"]
            ),
        )
    except OSError as error:
        raise InputInvalid(_("{path} cannot be read: {error}.").format(path=path, error=error.strerror)) from error
    except (KeyError, TypeError, ValueError):
        # Without the cause: it may hold a code.
        raise InputInvalid(_("{path} is not a file of codes.").format(path=path)) from None

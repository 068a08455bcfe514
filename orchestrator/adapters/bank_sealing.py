"""The sealed bank: one tar with ``manifest.json`` and, for each subject of a half-day in a zone, one age file.

An entry's age identity is derived by scrypt from its unlock code, with a salt that holds its half-day, zone and role:
an entry that is put in another's place opens with no code. age's own passphrases are not used, since pyrage chooses
their work by the speed of the machine. docs/reference/subject-bank.md says how to open one with standard tools.
"""

import hashlib
import io
import json
import os
import secrets
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pyrage

from orchestrator.domain.bank import Document, Role, SealedBank, SealedEntry, Unlocked
from orchestrator.domain.calendar import Window, Zone
from orchestrator.domain.exam import Site
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import InputInvalid, Refused, SignatureInvalid
from orchestrator.i18n import _
from orchestrator.ports import ToSeal

FORMAT = 1
MANIFEST = "manifest.json"

WORK = 18
"""scrypt's N is 2 to this power, as age's own tool has it: 256 MB and about a second for each try."""

MOST_WORK = 20

SIZE_CLASSES = tuple(2**power for power in range(20, 31))
"""1 MiB to 1 GiB. Every entry of a file is padded to the class of the largest one; age then adds to each a header whose
length it draws."""

_MOST_MANIFEST = 16 * 2**20
_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


class FolderSealedBanks:
    """Implements ports.SealedBanks. *log_n* is the work that a new bank's codes cost."""

    def __init__(self, log_n: int = WORK) -> None:
        self._log_n = log_n

    def write(
        self, path: Path, session: str, version: int, sealed_at: datetime, subjects: Sequence[ToSeal]
    ) -> SealedBank:
        plain = [_packed(item) for item in subjects]
        largest = max(map(len, plain), default=0)
        size = next((limit for limit in SIZE_CLASSES if largest <= limit), None)
        if size is None:
            raise InputInvalid(_("A subject with its fixtures is larger than one gibibyte."))
        names = sorted(f"{secrets.token_hex(8)}.age" for _subject in subjects)
        # Neither the order in the file nor the names follow the calendar.
        secrets.SystemRandom().shuffle(names)
        salts = [secrets.token_hex(16) for _subject in subjects]

        def key(item: ToSeal, salt: str) -> pyrage.x25519.Identity:
            return _identity(item.code, item.half_day, item.zone, item.role, salt, self._log_n)

        # A second each, during which other threads go on.
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            keys = list(pool.map(key, subjects, salts))
        sealed: dict[str, bytes] = {}
        entries = []
        for item, content, name, salt, identity in zip(subjects, plain, names, salts, keys, strict=True):
            padded = content + bytes(size - len(content))
            sealed[name] = pyrage.encrypt(padded, [identity.to_public()])
            digest = hashlib.sha256(sealed[name]).hexdigest()
            entries.append(
                SealedEntry(item.half_day, item.zone, item.role, item.subject.site, item.window, name, salt, digest)
            )
        bank = SealedBank(session, version, sealed_at, self._log_n, tuple(entries))
        _write_tar(path, {MANIFEST: _manifest(bank), **dict(sorted(sealed.items()))})
        return bank

    def read(self, path: Path) -> SealedBank:
        with _opened(path) as file:
            bank = _public_part(path, file)
            wanted = {entry.file: entry.sha256 for entry in bank.entries}
            for member in _members(path, file):
                if member.name == MANIFEST:
                    continue
                if wanted.pop(member.name, None) != _digest(file, member):
                    raise _incomplete(path)
            if wanted:
                raise _incomplete(path)
        return bank

    def unlock(self, path: Path, entry: SealedEntry, code: UnlockCode) -> Unlocked | None:
        with _opened(path) as file:
            bank = _public_part(path, file)
            member = next((item for item in _members(path, file) if item.name == entry.file), None)
            if member is None or entry not in bank.entries or _digest(file, member) != entry.sha256:
                raise _incomplete(path)
            file.seek(member.offset_data)
            sealed = file.read(member.size)
        identity = _identity(code, entry.half_day, entry.zone, entry.role, entry.salt, bank.log_n)
        try:
            plain = pyrage.decrypt(sealed, [identity])
        except pyrage.DecryptError:
            return None
        unlocked = _unpacked(plain, entry)
        if unlocked is None:
            raise _incomplete(path)
        return unlocked


# The key


def _identity(code: UnlockCode, half_day: str, zone: Zone, role: Role, salt: str, log_n: int) -> pyrage.x25519.Identity:
    key = hashlib.scrypt(
        code.secret,
        salt=f"e5b/{FORMAT}/{half_day}/{zone.value}/{role.value}/{salt}".encode(),
        n=2**log_n,
        r=8,
        p=1,
        maxmem=2 * 128 * 8 * 2**log_n,
        dklen=32,
    )
    return pyrage.x25519.Identity.from_str(_bech32("age-secret-key-", key).upper())


def _bech32(prefix: str, content: bytes) -> str:
    """*content* as BIP 173 writes it: what age's keys look like."""
    bits = int.from_bytes(content, "big") << (-len(content) * 8 % 5)
    count = -(-len(content) * 8 // 5)
    values = [bits >> 5 * place & 31 for place in range(count - 1, -1, -1)]
    checked = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix] + values
    state = 1
    for value in [*checked, 0, 0, 0, 0, 0, 0]:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for place, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            state ^= term if top >> place & 1 else 0
    state ^= 1
    return (
        prefix + "1" + "".join(_CHARSET[value] for value in [*values, *(state >> 5 * n & 31 for n in range(5, -1, -1))])
    )


# What is sealed: a tar of its own


def _packed(item: ToSeal) -> bytes:
    about = {
        "half_day": item.half_day,
        "zone": item.zone.value,
        "role": item.role.value,
        "subject": item.subject.id,
        "site": item.subject.site.value,
        "title": item.subject.title,
        "minutes": item.subject.minutes,
        "competences": item.subject.competences,
    }
    files = {"subject.json": _json(about)}
    files |= {f"{document.value}.pdf": content for document, content in item.documents.items()}
    if item.fixtures is not None:
        files["fixtures.tar"] = item.fixtures
    target = io.BytesIO()
    _fill(target, files)
    return target.getvalue()


def _unpacked(plain: bytes, entry: SealedEntry) -> Unlocked | None:
    """None when that is not what *entry* says: whoever sealed it made a mistake, or is another."""
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            files = {member.name: tar.extractfile(member) for member in tar.getmembers()}
            contents = {name: file.read() for name, file in files.items() if file is not None}
        about = json.loads(contents["subject.json"])
        if (about["half_day"], about["zone"], about["role"]) != (entry.half_day, entry.zone.value, entry.role.value):
            return None
        return Unlocked(
            subject=about["subject"],
            site=Site(about["site"]),
            title=about["title"],
            minutes=about["minutes"],
            competences=tuple(about["competences"]),
            documents={document: contents[f"{document.value}.pdf"] for document in Document},
            fixtures=contents.get("fixtures.tar"),
        )
    except (tarfile.TarError, KeyError, TypeError, ValueError):
        return None


# The file


def _manifest(bank: SealedBank) -> bytes:
    entries = sorted(bank.entries, key=lambda item: (item.half_day, item.zone, item.role))
    return _json(
        {
            "format": FORMAT,
            "session": bank.session,
            "version": bank.version,
            "sealed_at": bank.sealed_at.isoformat(),
            "log_n": bank.log_n,
            "entries": [
                {
                    "half_day": entry.half_day,
                    "zone": entry.zone.value,
                    "role": entry.role.value,
                    "site": entry.site.value,
                    "unlock_from": entry.window.unlock_from.isoformat(),
                    "enter": entry.window.enter.isoformat(),
                    "leave": entry.window.leave.isoformat(),
                    "ends_at": entry.window.ends_at.isoformat(),
                    "file": entry.file,
                    "salt": entry.salt,
                    "sha256": entry.sha256,
                }
                for entry in entries
            ],
        }
    )


def _parsed(content: bytes) -> SealedBank:
    """Raises KeyError, TypeError, ValueError for what is no manifest of ours."""
    value = json.loads(content)
    if value["format"] != FORMAT or not 1 <= value["log_n"] <= MOST_WORK or not isinstance(value["version"], int):
        raise ValueError
    entries = []
    for item in value["entries"]:
        moments = (_moment(item[name]) for name in ("unlock_from", "enter", "leave", "ends_at"))
        drawn = (str(item[name]) for name in ("file", "salt", "sha256"))
        names = (Zone(item["zone"]), Role(item["role"]), Site(item["site"]))
        entries.append(SealedEntry(str(item["half_day"]), *names, Window(*moments), *drawn))
    keys = {(entry.half_day, entry.zone, entry.role) for entry in entries}
    files = {entry.file for entry in entries}
    if not entries or len(keys) != len(entries) or len(files) != len(entries):
        raise ValueError
    return SealedBank(
        str(value["session"]), value["version"], _moment(value["sealed_at"]), value["log_n"], tuple(entries)
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


def _public_part(path: Path, file: IO[bytes]) -> SealedBank:
    members = _members(path, file)
    if not members or members[0].name != MANIFEST or members[0].size > _MOST_MANIFEST:
        raise _not_ours(path)
    file.seek(members[0].offset_data)
    try:
        return _parsed(file.read(members[0].size))
    except (KeyError, TypeError, ValueError):
        raise _not_ours(path) from None


def _members(path: Path, file: IO[bytes]) -> list[tarfile.TarInfo]:
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            members = tar.getmembers()
    except (tarfile.TarError, ValueError, OSError):
        raise _not_ours(path) from None
    names = {member.name for member in members}
    if len(names) != len(members) or not all(member.isreg() for member in members):
        raise _not_ours(path)
    if members and members[-1].offset_data + members[-1].size > file.seek(0, os.SEEK_END):
        raise _incomplete(path)
    return members


def _digest(file: IO[bytes], member: tarfile.TarInfo) -> str:
    file.seek(member.offset_data)
    digest, left = hashlib.sha256(), member.size
    while left and (part := file.read(min(left, 2**20))):
        digest.update(part)
        left -= len(part)
    return digest.hexdigest()


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputInvalid(_("{path} cannot be read: {error}.").format(path=path, error=error.strerror)) from error


def _write_tar(path: Path, files: dict[str, bytes]) -> None:
    if path.exists():
        raise Refused(
            _("{path} exists: it was not changed.").format(path=path), hint=_("Name another file for the sealed bank.")
        )
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            _fill(file, files)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise InputInvalid(_("{path} cannot be written: {error}.").format(path=path, error=error.strerror)) from error


def _fill(target: IO[bytes], files: dict[str, bytes]) -> None:
    """A tar that says nothing of who made it, where, or when."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o444
            tar.addfile(member, io.BytesIO(content))


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _not_ours(path: Path) -> SignatureInvalid:
    return SignatureInvalid(
        _("{name} is not a sealed bank.").format(name=path.name),
        hint=_("Copy the file again, from where it was received."),
    )


def _incomplete(path: Path) -> SignatureInvalid:
    return SignatureInvalid(
        _("{name} is not complete: a subject is missing, or is not the one that was sealed.").format(name=path.name),
        hint=_("Copy the file again, from where it was received. If it fails again, tell the academy."),
    )

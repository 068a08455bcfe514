"""Detached signatures in the format of minisign (https://jedisct1.github.io/minisign/), whose own tool checks them too.

The content is hashed while it is read (minisign's prehashed form): a file of any size.
"""

import base64
import os
import re
from pathlib import Path

import minisign

from orchestrator.errors import InputInvalid, Refused, SignatureInvalid
from orchestrator.i18n import _
from orchestrator.ports import KeyFiles

_SIZE = re.compile(r"(?:^|\t)size:(\d+)(?:\t|$)")


def beside(path: Path) -> Path:
    """Where the signature of *path* is."""
    return path.with_name(path.name + ".minisig")


class MinisignSignatures:
    """Implements ports.Signatures."""

    def new_keys(self, folder: Path, password: str) -> KeyFiles:
        keys = minisign.KeyPair.generate()
        if password:
            keys.secret_key.encrypt(password)
        secret, public = folder / "minisign.key", folder / "minisign.pub"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(bytes(keys.secret_key) + b"\n")
            with public.open("xb") as file:
                file.write(bytes(keys.public_key) + b"\n")
        except FileExistsError as error:
            raise Refused(
                _("{path} exists: it was not changed.").format(path=error.filename),
                hint=_("What was signed with a key can only be checked with the same key: keep it."),
            ) from error
        except OSError as error:
            raise InputInvalid(
                _("{path} cannot be written: {error}.").format(path=folder, error=error.strerror)
            ) from error
        return KeyFiles(secret, public, keys.public_key.to_base64().decode())

    def encrypted(self, secret_key: Path) -> bool:
        return bool(_secret(secret_key).is_encrypted())

    def sign(self, path: Path, secret_key: Path, password: str, comment: str) -> Path:
        key = _secret(secret_key)
        try:
            if key.is_encrypted():
                key.decrypt(password)
        except minisign.Error as error:
            raise InputInvalid(_("The password does not open the key {path}.").format(path=secret_key)) from error
        target = beside(path)
        with key, path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            signed = key.sign(file, trusted_comment=f"{comment}\tfile:{path.name}\tsize:{size}")
        partial = target.with_name(target.name + ".partial")
        with partial.open("wb") as out:
            out.write(bytes(signed) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        partial.replace(target)
        return target

    def verify(self, path: Path, public_key: str) -> str:
        key = _public(public_key)
        try:
            file = path.open("rb")
        except OSError as error:
            raise InputInvalid(_("{path} cannot be read: {error}.").format(path=path, error=error.strerror)) from error
        with file:
            signature = _signature(path)
            signer = _key_id(bytes(signature).splitlines()[1])
            if signer != _key_id(key.to_base64()):
                raise SignatureInvalid(
                    _("{name} is signed with a key that this centre does not trust ({key}).").format(
                        name=path.name, key=signer
                    ),
                    hint=_("It was not made by the pilot academy, or centre.toml holds another key: ask the academy."),
                )
            size, found = _SIZE.search(signature.trusted_comment), os.fstat(file.fileno()).st_size
            if size is not None and found < int(size[1]):
                raise SignatureInvalid(
                    _("{name} is cut short: {found} bytes are there of {size}.").format(
                        name=path.name, found=found, size=size[1]
                    ),
                    hint=_("Copy the file again, from where it was received."),
                )
            try:
                key.verify(file, signature)
            except minisign.Error as error:
                raise SignatureInvalid(
                    _("{name} is not what was signed: its content was changed.").format(name=path.name),
                    hint=_("Copy the file again, from where it was received. If it fails again, tell the academy."),
                ) from error
        return str(signature.trusted_comment)


def _secret(path: Path) -> minisign.SecretKey:
    try:
        return minisign.SecretKey.from_file(path)
    except OSError as error:
        raise InputInvalid(_("{path} cannot be read: {error}.").format(path=path, error=error.strerror)) from error
    except minisign.Error as error:
        raise InputInvalid(_("{path} is not a secret key of minisign.").format(path=path)) from error


def _public(text: str) -> minisign.PublicKey:
    """The key in *text*: the base64 line alone, as centre.toml holds it."""
    try:
        return minisign.PublicKey.from_base64(text)
    except minisign.Error as error:
        raise InputInvalid(
            _("{text} is not a public key of minisign.").format(text=text),
            hint=_("It is the second line of the file minisign.pub, 56 characters that begin with RW."),
        ) from error


def _key_id(line: bytes) -> str:
    """The key's number, as minisign shows it: it follows two bytes in keys and signatures, least significant first."""
    return base64.b64decode(line)[2:10][::-1].hex().upper()


def _signature(path: Path) -> minisign.Signature:
    target = beside(path)
    try:
        return minisign.Signature.from_file(target)
    except FileNotFoundError:
        raise SignatureInvalid(
            _("There is no signature of {name}: {signature} is missing.").format(name=path.name, signature=target.name),
            hint=_("Copy both files, side by side."),
        ) from None
    except OSError as error:
        raise InputInvalid(_("{path} cannot be read: {error}.").format(path=target, error=error.strerror)) from error
    except minisign.Error as error:
        raise SignatureInvalid(
            _("{signature} is not a signature of minisign.").format(signature=target.name),
            hint=_("Copy the file again, from where it was received."),
        ) from error

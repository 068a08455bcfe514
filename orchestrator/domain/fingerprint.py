"""Fingerprints of a site and how two of them differ (see docs/reference/image-contract.md)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class FingerprintMalformed(ValueError):
    """What an image printed is not a fingerprint of the contract's version."""


@dataclass(frozen=True)
class Fingerprint:
    """Digest of a site's files and of the logical content of its database."""

    manifest: str
    files: Mapping[str, str]
    tables: Mapping[str, str]
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Fingerprint":
        """The fingerprint in *text*, JSON as the contract defines it.

        Raises FingerprintMalformed when it is not JSON, when a key is missing, when the contract's version is
        unknown, or when the digest is not that of the rest.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            if raw["contract"] != 1:
                raise FingerprintMalformed(f"contract version {raw['contract']}")
            # PHP prints an empty object as an empty list
            files, tables = dict(raw["files"] or {}), dict(raw["tables"] or {})
            manifest, digest = str(raw["manifest"]), str(raw["digest"])
        except (KeyError, TypeError, ValueError) as error:
            raise FingerprintMalformed(str(error)) from error
        if digest != content_digest(manifest, files, tables):
            raise FingerprintMalformed("the digest is not that of the content")
        return cls(manifest, files, tables, digest)

    def dump(self) -> str:
        return json.dumps(
            {
                "contract": 1,
                "manifest": self.manifest,
                "files": dict(self.files),
                "tables": dict(self.tables),
                "digest": self.digest,
            },
            sort_keys=True,
            ensure_ascii=False,
        )


def content_digest(manifest: str, files: Mapping[str, str], tables: Mapping[str, str]) -> str:
    """SHA-256 of the compact JSON of everything but the digest itself."""
    content = {"contract": 1, "manifest": manifest, "files": dict(files), "tables": dict(tables)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Difference:
    """One file or table that is not as in the reference; *kind* is ``added``, ``changed`` or ``missing``."""

    what: str
    name: str
    kind: str


def differences(reference: Fingerprint, observed: Fingerprint) -> list[Difference]:
    """How *observed* differs from *reference*; empty when they are equal."""
    found: list[Difference] = []
    if reference.manifest != observed.manifest:
        found.append(Difference("image", observed.manifest, "changed"))
    for what, before, after in (
        ("file", reference.files, observed.files),
        ("table", reference.tables, observed.tables),
    ):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) == after.get(name):
                continue
            found.append(Difference(what, name, _kind(what, before.get(name), after.get(name))))
    return found


def _kind(what: str, before: str | None, after: str | None) -> str:
    if what == "file":
        # A file that is not listed is as in the image's manifest: it is there, unless it never was.
        return "missing" if after == "deleted" else "changed"
    if before is None:
        return "added"
    return "missing" if after is None else "changed"

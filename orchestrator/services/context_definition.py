"""``context.toml``: what a reference context is built from, and the record of what was built, beside it."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.domain import context
from orchestrator.domain.exam import Site
from orchestrator.domain.fingerprint import Fingerprint, FingerprintMalformed
from orchestrator.errors import InputInvalid, Refused
from orchestrator.i18n import N_, _
from orchestrator.settings import fault

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteDefinition(_Section):
    """*version*: what the site's version begins with; empty for any. *varies*: path or table to the reason why two
    builds may differ in it."""

    version: str = ""
    language: str = "fr"
    plugins: tuple[str, ...] = ()
    varies: dict[str, str] = {}


class Definition(_Section):
    """*archives*: what an operator supplies, by its place in the build, to its digest. *guard*: the folder of the
    session's rules for the network guard, beside the definition."""

    version: Annotated[str, Field(pattern=rf"^{context.VERSION.pattern}$")]
    session: Annotated[str, Field(min_length=1)]
    candidate: tuple[str, ...] = ()
    sites: Annotated[dict[Site, SiteDefinition], Field(min_length=1)]
    archives: dict[str, Digest] = {}
    guard: Path | None = None


def load(path: Path) -> Definition:
    """The definition in *path*. Raises InputInvalid with every fault of the file."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputInvalid(
            _("There is no definition of a context: {path}.").format(path=path),
            hint=_("`e5b context new` writes one."),
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputInvalid(_("{path} cannot be read: {error}.").format(path=path, error=error)) from error
    except tomllib.TOMLDecodeError as error:
        raise InputInvalid(_("{path} is not valid TOML: {error}.").format(path=path, error=error)) from error
    try:
        return Definition.model_validate(raw)
    except ValidationError as error:
        raise InputInvalid(
            _("{path} does not define a context.").format(path=path),
            details=[fault(item["loc"], item["type"], item["msg"], item.get("input")) for item in error.errors()],
        ) from error


def new(path: Path, version: str, session: str, archives: Mapping[str, str]) -> None:
    """Write a commented definition of both sites. Raises Refused when there is one, InputInvalid."""
    candidate = [_("The site of the seat, with the account that is given.")]
    lines = [
        "# " + _("A reference context: `e5b context build` builds it, `e5b context pack` makes the file of it."),
        "",
        "# " + _("Version: numbers between dots. A centre never goes back to an older one."),
        f"version = {json.dumps(version)}",
        f"session = {json.dumps(session, ensure_ascii=False)}",
        "# " + _("What the candidate may use, one sentence each: it is shown with the package."),
        f"candidate = {json.dumps(candidate, ensure_ascii=False)}",
        "",
        "# " + _("Folder of the session's rules for the network guard: academy.toml, signed, and what it imports."),
        '# guard = "guard"',
        "",
        "# " + _("What is supplied to the build, and its SHA-256: of a zip the file's own (`sha256sum`), of a folder"),
        "# " + _("what `e5b context new` has found. The build refuses anything else."),
        "[archives]",
        *(f"{json.dumps(name)} = {json.dumps(digest)}" for name, digest in sorted(archives.items())),
        "",
    ]
    for site in Site:
        varies = {name: _(why) for name, why in VARIES[site].items()}
        lines += [
            f"[sites.{site.value}]",
            "# " + _("What the site's version begins with; empty for any."),
            'version = ""',
            'language = "fr"',
            "# " + _("Folders whose sub-folders are plug-ins: `e5b context diff` names these."),
            f"plugins = {json.dumps(PLUGINS[site])}",
            "# " + _("What two builds may differ in, and why: paths (* is anything) and tables."),
            f"[sites.{site.value}.varies]",
            *(f"{json.dumps(name)} = {json.dumps(why, ensure_ascii=False)}" for name, why in varies.items()),
            "",
        ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines))
    except FileExistsError:
        raise Refused(_("{path} exists: it was not changed.").format(path=path)) from None
    except OSError as error:
        raise InputInvalid(_("{path} cannot be written: {error}.").format(path=path, error=error.strerror)) from error


# What was built


@dataclass(frozen=True)
class BuiltSite:
    """*twice*: whether a second build from the same inputs was equal; None when there was none. *varied*: in
    how many files or tables it differed, by the entry of the definition's *varies* that names them."""

    fingerprint: Fingerprint
    version: str
    language: str
    twice: bool | None = None
    varied: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """The images by their name to their id, and what is known of the sites among them. *definition* is the digest of
    the definition that they were built from."""

    at: str
    definition: str
    images: Mapping[str, str]
    sites: Mapping[Site, BuiltSite]


def record(definition: Path) -> Path:
    """Where what was built from *definition* is on record."""
    return definition.with_suffix(".built.json")


def digest(definition: Path) -> str:
    return "sha256:" + hashlib.sha256(definition.read_bytes()).hexdigest()


def save(definition: Path, built: Built) -> None:
    sites = {
        site.value: vars(item) | {"fingerprint": json.loads(item.fingerprint.dump())}
        for site, item in built.sites.items()
    }
    content = vars(built) | {"images": dict(built.images), "sites": sites}
    record(definition).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def built(definition: Path) -> Built:
    """Raises Refused unless this very definition was built."""
    hint = _("Next: `e5b context build {path}`.").format(path=definition)
    try:
        raw: dict[str, Any] = json.loads(record(definition).read_text(encoding="utf-8"))
        sites = {
            Site(site): BuiltSite(
                Fingerprint.parse(json.dumps(item["fingerprint"])),
                item["version"],
                item["language"],
                item["twice"],
                {str(name): int(count) for name, count in item["varied"].items()},
            )
            for site, item in raw["sites"].items()
        }
        found = Built(raw["at"], raw["definition"], raw["images"], sites)
    except FileNotFoundError:
        raise Refused(_("{path} was not built yet.").format(path=definition), hint=hint) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FingerprintMalformed) as error:
        raise Refused(
            _("{path} cannot be read: {error}.").format(path=record(definition), error=error), hint=hint
        ) from error
    if found.definition != digest(definition):
        raise Refused(_("{path} was changed since it was built.").format(path=definition), hint=hint)
    return found


PLUGINS = {
    Site.WORDPRESS: ["/var/www/site/wp-content/plugins", "/var/www/site/wp-content/mu-plugins"],
    Site.PRESTASHOP: ["/var/www/site/modules"],
}

_ALWAYS = {
    "/var/cache/opcache/*": N_("code compiled by PHP: it holds the time at which it was compiled"),
    "/var/cache/ldconfig/aux-cache": N_("cache of the system's linker: it holds places on the disk"),
}

VARIES: Mapping[Site, Mapping[str, str]] = {
    Site.WORDPRESS: {"/var/www/site/wp-salts.php": N_("keys of the cookies, drawn at each build"), **_ALWAYS},
    Site.PRESTASHOP: {
        "/var/www/site/app/config/parameters.php": N_("keys of the shop, drawn at each build"),
        **_ALWAYS,
    },
}
"""What two builds of the project's own images differ in."""

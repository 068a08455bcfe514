"""The bank's folder: ``calendar.toml`` and a folder for each subject (docs/reference/subject-bank.md)."""

import io
import os
import re
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import jinja2
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestrator.domain.bank import (
    CRITERIA,
    GROUP,
    MINUTES,
    SUBJECT_ID,
    TO_WRITE,
    Bank,
    BankFault,
    BankFinding,
    Document,
    Subject,
)
from orchestrator.domain.calendar import Calendar, HalfDay, Hours, Pair, Zone
from orchestrator.domain.exam import Site, parse_half_day
from orchestrator.errors import InputInvalid, Refused
from orchestrator.i18n import _
from orchestrator.settings import fault

CALENDAR, SUBJECT = "calendar.toml", "subject.toml"
PICTURES, FIXTURES = "pictures", "fixtures"
TEMPLATES = Path(__file__).parent / "templates"

WEB_USER = 33
"""www-data, in the images: what a site has in its own folders must stay writable by it."""

_WEB = "files/var/www/"
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")

M = TypeVar("M", bound=BaseModel)


def _clock(value: object) -> object:
    if isinstance(value, str) and not _CLOCK.fullmatch(value):
        raise ValueError(_("write an hour as 08:15"))
    return value


def _half_day(value: object) -> object:
    try:
        return parse_half_day(str(value))
    except ValueError:
        raise ValueError(_("write a half-day as 2027-05-11-am or 2027-05-11-pm")) from None


Clock = Annotated[time, BeforeValidator(_clock)]
SubjectId = Annotated[str, Field(pattern=rf"^{SUBJECT_ID.pattern}$", max_length=64)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Hours(_Section):
    unlock: Clock
    enter: Clock
    end: Clock


class _Pair(_Section):
    subject: SubjectId
    spare: SubjectId


class _HalfDay(_Pair):
    half_day: Annotated[str, BeforeValidator(_half_day)]
    own: dict[Zone, _Pair] = {}


class _Calendar(_Section):
    session: str = Field(pattern=r"^[0-9A-Za-z.-]{1,32}$")
    version: int = Field(1, ge=1)
    zones: tuple[Zone, ...] = Field(tuple(Zone), min_length=1)
    longest_hold_minutes: int = Field(150, ge=0, le=480)
    hours: dict[Literal["am", "pm"], _Hours]
    half_days: tuple[_HalfDay, ...] = ()


class _Subject(_Section):
    id: str
    site: Site
    title: str = Field(min_length=1, max_length=200)
    duration: int
    competences: tuple[str, ...] = ()


class FolderBankFiles:
    """Implements ports.BankFiles."""

    def read(self, folder: Path) -> Bank:
        if not folder.is_dir():
            raise InputInvalid(
                _("There is no folder {path}.").format(path=folder), hint=_("`e5b bank new` makes a bank.")
            )
        findings: list[BankFinding] = []
        calendar = _read(folder / CALENDAR, CALENDAR, _Calendar, findings)
        if calendar is not None and (missing := {"am", "pm"} - calendar.hours.keys()):
            what = _("hours.{part}: this setting is required").format(part=min(missing))
            findings.append(BankFinding(BankFault.UNREADABLE, CALENDAR, what))
            calendar = None
        subjects = []
        for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            about = _read(place / SUBJECT, f"{place.name}/{SUBJECT}", _Subject, findings)
            if SUBJECT_ID.fullmatch(place.name) is None:
                what = _("the folder's name is the subject's id: lower-case letters, digits, hyphens")
                findings.append(BankFinding(BankFault.UNREADABLE, place.name, what))
            elif about is not None:
                if about.id != place.name:
                    what = _("id: it is the folder's name, {name}").format(name=place.name)
                    findings.append(BankFinding(BankFault.UNREADABLE, f"{place.name}/{SUBJECT}", what))
                subjects.append(_subject(place, about, findings))
        return Bank(tuple(subjects), None if calendar is None else _to_calendar(calendar), tuple(findings))

    def scaffold(self, folder: Path, subject_id: str, site: Site, title: str) -> list[Path]:
        if SUBJECT_ID.fullmatch(subject_id) is None:
            raise InputInvalid(
                _("{text} cannot be a subject's id.").format(text=subject_id),
                hint=_("Use lower-case letters, digits and hyphens."),
            )
        place = folder / subject_id
        values = {
            "id": subject_id,
            "site": site.value,
            "title": title,
            "minutes": MINUTES,
            "criteria": CRITERIA,
            "group": GROUP,
            "to_write": TO_WRITE,
            "zones": [zone.value for zone in Zone],
        }
        files = {place / SUBJECT: "subject.toml.j2"}
        files |= {place / f"{document.value}.md": f"subject-{document.value}.md.j2" for document in Document}
        try:
            place.mkdir(parents=True)
            if not (folder / CALENDAR).exists():
                files = {folder / CALENDAR: "calendar.toml.j2", **files}
            for path, template in files.items():
                path.write_text(_templates().get_template(template).render(values), encoding="utf-8")
            (place / FIXTURES).mkdir()
        except FileExistsError:
            raise Refused(
                _("{path} exists: it was not changed.").format(path=place), hint=_("Give the new subject another id.")
            ) from None
        except OSError as error:
            raise InputInvalid(
                _("{path} cannot be written: {error}.").format(path=error.filename or place, error=error.strerror)
            ) from error
        return list(files)

    def fixtures(self, subject: Subject) -> bytes | None:
        if not subject.fixtures:
            return None
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in sorted(subject.fixtures.items()):
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                # No folders: tar makes those that are missing, and leaves those of the image as they are.
                member.uid = member.gid = WEB_USER if name.startswith(_WEB) else 0
                tar.addfile(member, io.BytesIO(content))
        return target.getvalue()


def _templates() -> jinja2.Environment:
    # Plain text, not HTML: nothing is to be escaped.
    return jinja2.Environment(  # noqa: S701
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )


def _read(path: Path, name: str, model: type[M], findings: list[BankFinding]) -> M | None:
    def say(what: str) -> None:
        findings.append(BankFinding(BankFault.UNREADABLE, name, what))

    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        say(_("the file is missing"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        say(str(error))
    except ValidationError as error:
        for item in error.errors():
            say(fault(item["loc"], item["type"], item["msg"], item.get("input")))
    return None


def _to_calendar(read: _Calendar) -> Calendar:
    def pair(of: _Pair) -> Pair:
        return Pair(of.subject, of.spare)

    return Calendar(
        session=read.session,
        version=read.version,
        zones=tuple(dict.fromkeys(read.zones)),
        hours={part: Hours(hours.unlock, hours.enter, hours.end) for part, hours in read.hours.items()},
        longest_hold=timedelta(minutes=read.longest_hold_minutes),
        half_days=tuple(
            HalfDay(item.half_day, pair(item), {zone: pair(own) for zone, own in item.own.items()})
            for item in read.half_days
        ),
    )


def _subject(place: Path, about: _Subject, findings: list[BankFinding]) -> Subject:
    def read(path: Path, how: Callable[[Path], bytes | str]) -> bytes | str | None:
        try:
            return how(path)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            findings.append(BankFinding(BankFault.UNREADABLE, str(path.relative_to(place.parent)), str(error)))
            return None

    texts = {document: read(place / f"{document.value}.md", _text) for document in Document}
    trees: dict[str, Mapping[str, bytes]] = {}
    for tree in (PICTURES, FIXTURES):
        contents = {path: read(path, Path.read_bytes) for path in _files(place / tree)}
        trees[tree] = {
            path.relative_to(place).as_posix(): content
            for path, content in contents.items()
            if isinstance(content, bytes)
        }
    return Subject(
        id=place.name,
        site=about.site,
        title=about.title,
        minutes=about.duration,
        competences=about.competences,
        documents={document: text for document, text in texts.items() if isinstance(text, str)},
        pictures=trees[PICTURES],
        fixtures={name.removeprefix(f"{FIXTURES}/"): content for name, content in trees[FIXTURES].items()},
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    """Every file under *folder*; a link as what it leads to, if that is a file."""
    for above, _folders, names in os.walk(folder):
        yield from (Path(above) / name for name in sorted(names) if not name.startswith(".git"))

"""The national bank: subjects, the rules that it keeps, and what it becomes when it is sealed."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.calendar import Calendar, CalendarFinding, Window, Zone, faults_of
from orchestrator.domain.exam import DURATION, Site

CRITERIA = (
    "Qualité et pertinence des contenus publiés",
    "Référencement naturel",
    "Cohérence des techniques, des outils, des contenus et des canaux",
    "Rythme des mises à jour",
    "Suivi des publications et maîtrise de l’image",
    "Pertinence des choix et des actions pour développer les ventes et créer de la valeur",
    "Qualité de l’assistance et prise en compte des risques et de la réglementation",
    "Pertinence des indicateurs",
)
"""What a candidate is assessed on (the exam's rule); all eight are in each evaluation sheet, in these words."""

GROUP = 5
"""Two examiners watch five candidates at most (the exam's rule)."""

MINUTES = round(DURATION.total_seconds() / 60)

SUBJECT_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

FIXTURE = re.compile(r"deleted|database\.sql|files/.+|sql/[^/]+\.sql|php/[^/]+\.php")
"""What ``load-fixtures`` takes (docs/reference/image-contract.md)."""


class Document(StrEnum):
    """The documents of a subject, by the name of their file."""

    CANDIDATE = "candidate"
    AID = "jury-aid"
    GRID = "jury-grid"
    SHEET = "jury-sheet"

    @property
    def for_jury(self) -> bool:
        """Never shown to a candidate."""
        return self is not Document.CANDIDATE


class Role(StrEnum):
    SUBJECT = "subject"
    SPARE = "spare"


@dataclass(frozen=True)
class Subject:
    """*documents* in Markdown, *pictures* by the path that a document names, *fixtures* by their name in the tar that
    ``load-fixtures`` takes. Nothing of it shows by itself."""

    id: str
    site: Site
    title: str = field(repr=False)
    minutes: int
    competences: tuple[str, ...] = field(repr=False)
    documents: Mapping[Document, str] = field(repr=False)
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    fixtures: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class BankFault(StrEnum):
    UNREADABLE = "unreadable"
    NOT_BALANCED = "not balanced"
    DURATION = "duration"
    NO_COMPETENCE = "no competence"
    DOCUMENT_MISSING = "document missing"
    CRITERION_MISSING = "criterion missing"
    GRID_TOO_SMALL = "grid too small"
    PICTURE_MISSING = "picture missing"
    PICTURE_ELSEWHERE = "picture elsewhere"
    FIXTURE_UNKNOWN = "fixture unknown"
    TO_BE_WRITTEN = "to be written"
    UNKNOWN_SUBJECT = "unknown subject"
    SPARE_SITE = "spare site"


@dataclass(frozen=True)
class BankFinding:
    """*where* is a file, a subject or a half-day; *what* says more (of UNREADABLE: a sentence)."""

    fault: BankFault
    where: str
    what: str = ""


Finding = BankFinding | CalendarFinding


@dataclass(frozen=True)
class Bank:
    """What a folder holds. *findings* are what could not be read."""

    subjects: tuple[Subject, ...]
    calendar: Calendar | None
    findings: tuple[BankFinding, ...] = ()

    def subject(self, subject_id: str) -> Subject | None:
        return next((item for item in self.subjects if item.id == subject_id), None)


TO_WRITE = "À RÉDIGER"
"""What a scaffold holds where a person has to write."""

_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)")


def findings_of(bank: Bank) -> list[Finding]:
    """Every rule that the bank breaks, in the order in which a person reads it."""
    found: list[Finding] = list(bank.findings)
    sites = Counter(subject.site for subject in bank.subjects)
    if len({sites[site] for site in Site}) > 1 or not bank.subjects:
        what = ", ".join(f"{site.value}: {sites[site]}" for site in Site)
        found.append(BankFinding(BankFault.NOT_BALANCED, "", what))
    for subject in bank.subjects:
        found += _of_subject(subject)
    if bank.calendar is not None:
        found += faults_of(bank.calendar)
        found += _of_assignments(bank, bank.calendar)
    return found


def _of_subject(subject: Subject) -> list[BankFinding]:
    found = []

    def say(fault: BankFault, what: str = "") -> None:
        found.append(BankFinding(fault, subject.id, what))

    if subject.minutes != MINUTES:
        say(BankFault.DURATION, str(subject.minutes))
    if not subject.competences:
        say(BankFault.NO_COMPETENCE)
    for document in Document:
        text = subject.documents.get(document, "")
        if not text.strip():
            say(BankFault.DOCUMENT_MISSING, f"{document.value}.md")
            continue
        if TO_WRITE in text:
            say(BankFault.TO_BE_WRITTEN, f"{document.value}.md")
        for picture in _PICTURE.findall(text):
            if ":" in picture or picture.startswith(("/", "..")):
                say(BankFault.PICTURE_ELSEWHERE, picture)
            elif picture not in subject.pictures:
                say(BankFault.PICTURE_MISSING, picture)
    sheet = subject.documents.get(Document.SHEET, "")
    if sheet.strip():
        for number, criterion in enumerate(CRITERIA, 1):
            if _plain(criterion) not in _plain(sheet):
                say(BankFault.CRITERION_MISSING, f"{number}. {criterion}")
    grid = subject.documents.get(Document.GRID, "")
    if grid.strip() and _candidates(grid) < GROUP:
        say(BankFault.GRID_TOO_SMALL)
    for name in subject.fixtures:
        if not FIXTURE.fullmatch(name) or ".." in name.split("/"):
            say(BankFault.FIXTURE_UNKNOWN, name)
    return found


def _of_assignments(bank: Bank, calendar: Calendar) -> list[BankFinding]:
    found = []
    for half_day in calendar.half_days:
        for pair in half_day.pairs:
            subject, spare = bank.subject(pair.subject), bank.subject(pair.spare)
            for name, there in ((pair.subject, subject), (pair.spare, spare)):
                if there is None:
                    found.append(BankFinding(BankFault.UNKNOWN_SUBJECT, half_day.id, name))
            # The environments of a half-day are prepared for one site before anything is unlocked.
            if subject is not None and spare is not None and subject.site is not spare.site:
                found.append(BankFinding(BankFault.SPARE_SITE, half_day.id, pair.spare))
    return found


def _candidates(grid: str) -> int:
    """The most columns of candidates that a table of *grid* has."""
    heads = [line for line in grid.splitlines() if line.lstrip().startswith("|")]
    return max((len(re.findall(r"\|\s*\**candidat", line, re.IGNORECASE)) for line in heads), default=0)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).replace("’", "'").replace("*", "").lower().split())


# What is sealed


@dataclass(frozen=True)
class SealedEntry:
    """One subject of one half-day in one zone, in the sealed file. All of this is public; *file* and *salt* (hex) are
    drawn, and all entries have one size."""

    half_day: str
    zone: Zone
    role: Role
    site: Site
    window: Window
    file: str
    salt: str
    sha256: str


@dataclass(frozen=True)
class SealedBank:
    """What anybody may read of a sealed bank. *version* rises with each sealing of a *session*; *log_n* is the work
    of a try: scrypt's N is 2 to that power."""

    session: str
    version: int
    sealed_at: datetime
    log_n: int
    entries: tuple[SealedEntry, ...]

    def entry(self, half_day: str, zone: Zone, role: Role = Role.SUBJECT) -> SealedEntry | None:
        wanted = (half_day, zone, role)
        return next((item for item in self.entries if (item.half_day, item.zone, item.role) == wanted), None)


@dataclass(frozen=True)
class Unlocked:
    """A subject in clear, in memory alone: nothing of it shows by itself. Documents are PDF; *fixtures* is the tar that
    ``load-fixtures`` takes, or None."""

    subject: str = field(repr=False)
    site: Site
    title: str = field(repr=False)
    minutes: int
    competences: tuple[str, ...] = field(repr=False)
    documents: Mapping[Document, bytes] = field(repr=False)
    fixtures: bytes | None = field(repr=False)

    @property
    def candidate(self) -> bytes:
        return self.documents[Document.CANDIDATE]

    @property
    def jury(self) -> dict[Document, bytes]:
        return {document: content for document, content in self.documents.items() if document.for_jury}

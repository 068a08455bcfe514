"""The guard's lists as files: the project's own, the pilot academy's, the centre's, and what these import.

A list is read whole or not at all: every fault of every file is gathered first, with file and line. Formats, and what
each party may write: ``docs/reference/policy.md``.
"""

import gzip
import hashlib
import ipaddress
import re
import tarfile
import tomllib
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.adapters.signatures import beside
from orchestrator.domain.guard import NAME, SESSION_RULES, Category, Origin, Rule, canonical
from orchestrator.errors import InputInvalid, SignatureInvalid
from orchestrator.i18n import _, ngettext
from orchestrator.ports import PolicyLists, Signatures
from orchestrator.settings import fault

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

UT1 = {
    "ai": Category.ASSISTANTS,
    "chat": Category.MESSAGING,
    "dating": Category.SOCIAL,
    "doh": Category.DOH,
    "filehosting": Category.TRANSFER,
    "forums": Category.SOCIAL,
    "redirector": Category.VPN,
    "remote-control": Category.REMOTE,
    "residential-proxies": Category.VPN,
    "social_networks": Category.SOCIAL,
    "vpn": Category.VPN,
    "webmail": Category.WEBMAIL,
}
"""The categories of Toulouse that are one of ours (https://dsi.ut-capitole.fr/blacklists/). Not ``translation``, whose
names are mostly dictionaries, nor ``strict_redirector`` and ``strong_redirector``, which hold search engines."""

# What a hosts file says of its own machine.
_OWN_MACHINE = re.compile(r"localhost|localhost\.localdomain|local|broadcasthost|ip6-[a-z]+")
_SHOWN = 200  # Faults of one list that are shown; a file of another kind has one in each line.
_STRING = re.compile(r"""#.*|"((?:[^"\\]|\\.)*)"|'([^']*)'""")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Import(_Table):
    file: Path
    format: Literal["ut1", "hosts"]
    category: Category | None = None
    categories: dict[str, Category] = {}
    left_out: tuple[str, ...] = Field((), alias="except")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")


class _Rules(_Table):
    only_allowed: bool = False
    allow: tuple[str, ...] | None = None
    block: dict[Category, tuple[str, ...]] = {}
    imports: tuple[_Import, ...] = Field((), alias="import")


class FolderPolicyFiles:
    """Implements ports.PolicyFiles. *project* is the folder of the project's own lists, *session* that of the rules
    that came with the context (it need not be there), *own* the centre's; *public_key* is the one that the academy
    signs with."""

    def __init__(
        self, project: Path, session: Path, own: Path | None, signatures: Signatures, public_key: str | None
    ) -> None:
        self._project = project
        self._session = session
        self._own = own
        self._signatures = signatures
        self._public_key = public_key

    def read(self) -> PolicyLists:
        reading = _Reading()
        for category in Category:
            reading.text(self._project / "blocked" / f"{category}.txt", category, Origin.PROJECT, self._project.parent)
        for path in sorted((self._project / "allowed").glob("*.txt")):
            reading.text(path, None, Origin.PROJECT, self._project.parent)
        imports: list[tuple[Path, _Import, Origin, int]] = []
        if self._session.exists():
            academy = self._session / SESSION_RULES
            imports += reading.toml(academy, Origin.ACADEMY, self._signed(academy))
        if self._own is not None:
            imports += self._read_own(self._own, reading)
        for path, item, origin, line in imports:
            reading.imported(path, item, origin, line)
        if reading.faults:
            raise InputInvalid(
                ngettext(
                    "The guard's lists hold {n} fault; nothing of them was taken.",
                    "The guard's lists hold {n} faults; nothing of them was taken.",
                    reading.count,
                ).format(n=reading.count),
                hint=_("Correct the files; docs/reference/policy.md shows how they are written."),
                details=reading.faults,
            )
        return PolicyLists(reading.rules, reading.only_allowed, reading.notes)

    def _read_own(self, folder: Path, reading: "_Reading") -> list[tuple[Path, _Import, Origin, int]]:
        """What its files import is left to be read."""
        try:
            paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            reading.fault(str(folder), 0, _("this folder cannot be read: {error}").format(error=error.strerror))
            return []
        imports: list[tuple[Path, _Import, Origin, int]] = []
        academy = folder / SESSION_RULES
        if self._session.exists() and academy in paths:
            reading.notes.append(_("{path} was not read: the rules of the loaded context hold.").format(path=academy))
        elif academy in paths or beside(academy) in paths:
            imports += reading.toml(academy, Origin.ACADEMY, self._signed(academy))
        for path in paths:
            if path.suffix == ".toml" and path != academy:
                imports += reading.toml(path, Origin.CENTRE)
        imported = {path.parent / item.file for path, item, _origin, _line in imports}
        for path in paths:
            if path in imported or path.suffix == ".toml" or path == beside(academy):
                continue
            if path.suffix != ".txt":
                reading.notes.append(_("{path} is no list and was not read.").format(path=path))
            elif path.stem not in set(Category):
                reading.fault(str(path), 0, _unknown_category(path.stem))
            else:
                reading.text(path, Category(path.stem), Origin.CENTRE)
        return imports

    def _signed(self, path: Path) -> bytes:
        """The content of *path*, which is what the academy signed."""
        if self._public_key is None:
            raise SignatureInvalid(
                _("{name} cannot be checked: centre.toml holds no public key of the pilot academy.").format(name=path),
                hint=_("The academy publishes it: one line that begins with RW."),
            )
        self._signatures.verify(path, self._public_key)
        return path.read_bytes()


class _Reading:
    """What was read so far. A name without a category is an exception."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.only_allowed = False
        self.count = 0
        self._of: dict[str, int] = defaultdict(int)

    def fault(self, file: str, line: int, sentence: str) -> None:
        self.count += 1
        self._of[file] += 1
        if self._of[file] <= _SHOWN:
            self.faults.append(f"{file}:{line}: {sentence}" if line else f"{file}: {sentence}")
        elif self._of[file] == _SHOWN + 1:
            self.faults.append(_("{file}: further faults are not shown").format(file=file))

    def text(self, path: Path, category: Category | None, origin: Origin, below: Path | None = None) -> None:
        """Read a list of names; its rules show the path *below* that folder."""
        file = str(path if below is None else path.relative_to(below))
        try:
            with path.open("rb") as lines:
                self._names(lines, file, category, origin)
        except OSError as error:
            self.fault(file, 0, _unreadable(error))

    def toml(self, path: Path, origin: Origin, content: bytes | None = None) -> list[tuple[Path, _Import, Origin, int]]:
        """What *path* imports, with the line that says so; its own rules are read. *content* is what was signed."""
        file = str(path)
        try:
            text = (path.read_bytes() if content is None else content).decode("utf-8-sig")
            raw = tomllib.loads(text)
        except OSError as error:
            self.fault(file, 0, _unreadable(error))
            return []
        except UnicodeDecodeError as error:
            self.fault(file, error.object[: error.start].count(b"\n") + 1, _not_utf8())
            return []
        except tomllib.TOMLDecodeError as error:
            self.fault(file, 0, _("not valid TOML: {error}").format(error=error))
            return []
        lines = _Lines(text)
        try:
            rules = _Rules.model_validate(raw)
        except ValidationError as error:
            for item in error.errors():
                self.fault(file, lines.of_key(item["loc"]), _sentence(item))
            return []
        before = len(self.rules), self.count
        if origin is Origin.CENTRE and rules.allow is not None:
            self.fault(file, lines.of_key(("allow",)), _("a centre closes more, it opens nothing: no `allow` here"))
        elif rules.allow is not None:
            self._values(rules.allow, file, lines, lines.of_key(("allow",)), None, origin)
        if origin is Origin.CENTRE and "only_allowed" in raw:
            sentence = _("a centre says so in centre.toml, as `only_allowed` of the section [guard]")
            self.fault(file, lines.of_key(("only_allowed",)), sentence)
        self.only_allowed |= rules.only_allowed
        for category, names in rules.block.items():
            self._values(names, file, lines, lines.of_key(("block", category)), category, origin)
        if (len(self.rules), self.count) == before and not rules.imports and not rules.only_allowed:
            self.fault(file, 0, _empty())
        return [
            (path, item, origin, lines.of_key(("import", number, "file"))) for number, item in enumerate(rules.imports)
        ]

    def imported(self, named_in: Path, item: _Import, origin: Origin, line: int) -> None:
        """Read what *named_in* imports at *line*. What the academy imports is covered by its signature, through the
        checksum."""
        path = named_in.parent / item.file
        if origin is Origin.ACADEMY and item.sha256 is None:
            self.fault(str(named_in), line, _("what the academy imports has a `sha256`"))
            return
        try:
            with path.open("rb") as content:
                if item.sha256 is not None:
                    if hashlib.file_digest(content, "sha256").hexdigest() != item.sha256:
                        self.fault(str(path), 0, _("its SHA-256 is not the one in {file}").format(file=named_in))
                        return
                    content.seek(0)
                left_out = {canonical(name) or name for name in item.left_out}
                if item.format == "ut1" and item.category is None:
                    self._ut1(path, content, item.categories, left_out)
                elif item.format == "hosts" and item.category is not None and not item.categories:
                    self._names(content, str(path), item.category, Origin.IMPORT, left_out, hosts=True)
                else:
                    self.fault(
                        str(named_in), line, _("`hosts` goes with one `category`, `ut1` with `categories` or nothing")
                    )
        except OSError as error:
            self.fault(str(named_in), line, f"{item.file}: {_unreadable(error)}")

    def _ut1(self, path: Path, content: IO[bytes], wanted: Mapping[str, Category], left_out: Collection[str]) -> None:
        """Read an archive of Toulouse: ``<category>/domains``, below any folder. Only *wanted* is read of it; without,
        all of it, and each of its categories must be one of UT1."""
        found: set[str] = set()
        passed: set[str] = set()
        paths = False
        try:
            # tarfile's own reader of gzip does not check the checksum.
            with gzip.open(content) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
                for member in archive:
                    folder, kind = PurePosixPath(member.name).parts[-2:] if "/" in member.name else ("", "")
                    paths |= kind == "urls"
                    category = wanted.get(folder) if wanted else UT1.get(folder)
                    read = kind == "domains" and category is not None and member.isfile()
                    lines = archive.extractfile(member) if read else None
                    if lines is not None:
                        found.add(folder)
                        self._names(lines, f"{path}/{folder}/domains", category, Origin.IMPORT, left_out, hosts=True)
                    elif kind == "domains":
                        passed.add(folder)
                while unpacked.read(1 << 20):
                    pass
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.fault(str(path), 0, _("this is no whole archive of Toulouse: {error}").format(error=error))
            return
        for folder in sorted(wanted.keys() - found):
            self.fault(str(path), 0, _("the archive holds no category {category}").format(category=folder))
        if not wanted:
            for folder in sorted(passed):
                sentence = _("{category}: this category is none of ours; name those that you want in `categories`")
                self.fault(str(path), 0, sentence.format(category=folder))
            if not found and not passed:
                self.fault(str(path), 0, _empty())
        elif passed:
            self.notes.append(
                _("{path}: not read, since it is not named: {categories}").format(
                    path=path, categories=", ".join(sorted(passed))
                )
            )
        if paths:
            self.notes.append(_("{path}: the files `urls` are not read, a name is all that is seen.").format(path=path))

    def _names(
        self,
        lines: Iterable[bytes],
        file: str,
        category: Category | None,
        origin: Origin,
        left_out: Collection[str] = (),
        *,
        hosts: bool = False,
    ) -> None:
        """One name a line. In a list of *hosts*, an address may stand before it, or alone: raw addresses are closed
        to the seats as it is."""
        matches, add, blocked, before = NAME.fullmatch, self.rules.append, category is not None, len(self.rules)
        addresses = 0
        for number, raw in enumerate(lines, 1):
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                text = "\0"
            if "\0" in text:  # Not UTF-8, or UTF-16.
                self.fault(file, number, _not_utf8())
                continue
            name = text.strip()
            if matches(name) and name not in left_out:
                add(Rule(name, blocked, category, origin, file, number))
                continue
            words = text.removeprefix("\ufeff").partition("#")[0].split()
            if hosts and words and _is_address(words[0]):
                addresses += len(words) == 1
                words = [word for word in words[1:] if not _OWN_MACHINE.fullmatch(word) and not _is_address(word)]
            elif len(words) > 1:
                words = [" ".join(words)]
            for word in words:
                self._name(word, file, number, category, origin, left_out)
        if addresses:
            self.notes.append(
                ngettext(
                    "{file}: {n} address was passed over; seats reach no address without a name.",
                    "{file}: {n} addresses were passed over; seats reach no address without a name.",
                    addresses,
                ).format(file=file, n=addresses)
            )
        if len(self.rules) == before and not self._of[file] and not addresses:
            self.fault(file, 0, _empty())

    def _values(
        self,
        names: Sequence[str],
        file: str,
        lines: "_Lines",
        heading: int,
        category: Category | None,
        origin: Origin,
    ) -> None:
        if not names:
            self.fault(file, heading, _empty())
        for name in names:
            self._name(name, file, lines.of_value(name) or heading, category, origin)

    def _name(
        self,
        word: str,
        file: str,
        line: int,
        category: Category | None,
        origin: Origin,
        left_out: Collection[str] = (),
    ) -> None:
        name = canonical(word)
        if (name or word) in left_out:
            return
        if name is None:
            self.fault(file, line, _why_no_name(word))
        else:
            self.rules.append(Rule(name, category is not None, category, origin, file, line))


class _Lines:
    """Where a TOML file says what: tomllib does not tell."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._values: dict[str, list[int]] = defaultdict(list)
        for number, line in enumerate(self._lines, 1):
            for match in _STRING.finditer(line):
                self._values[match[1] or match[2] or ""].append(number)

    def of_value(self, value: str) -> int:
        """The line of the next string that is *value*; 0 when it is written in another form."""
        numbers = self._values.get(value)
        return numbers.pop(0) if numbers else 0

    def of_key(self, location: Sequence[int | str]) -> int:
        """The line of the key at *location*, of the table that lacks it, or 0."""
        start = 0
        if len(location) > 1 and location[0] == "import":
            heads = [number for number, line in enumerate(self._lines, 1) if line.strip().startswith("[[import]]")]
            start = heads[int(location[1])] if int(location[1]) < len(heads) else 0
        for part in reversed(location):
            key = re.compile(rf"""(?<![\w-])["']?{re.escape(str(part))}["']?\s*(=|\])""")
            for number, line in enumerate(self._lines[start:], start + 1):
                if isinstance(part, str) and key.search(line):
                    return number
        return start


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def _why_no_name(word: str) -> str:
    shown = "".join(sign if sign.isprintable() else "�" for sign in word[:80]) + "…" * (len(word) > 80)
    if _is_address(word):
        return _("{word} is an address; seats reach no address without a name").format(word=shown)
    if word and not set(word.strip(".")) & set("./:@*, ") and canonical(f"{word.strip('.')}.fr"):
        return _("{word} is a whole top-level domain").format(word=shown)
    return _("{word} is no host name").format(word=shown)


def _sentence(error: "ErrorDetails") -> str:
    if error["type"] == "enum":
        return _unknown_category(error["input"])
    location = tuple(part for part in error["loc"] if part != "[key]")
    return fault(location, error["type"], error["msg"], error.get("input"))


def _unknown_category(name: object) -> str:
    return _("{name}: unknown category; there are {categories}").format(name=name, categories=", ".join(Category))


def _unreadable(error: OSError) -> str:
    return _("this file cannot be read: {error}").format(error=error.strerror)


def _not_utf8() -> str:
    return _("this is not UTF-8")


def _empty() -> str:
    return _("this list is empty")

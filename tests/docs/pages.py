"""The documentation as data: pages, the commands that they show, the links that they hold."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)


@dataclass
class Shown:
    """A command of a ``console`` block, and the lines shown under it."""

    command: str
    output: list[str] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """A command is expected to fail when the page shows its error."""
        return any(line.startswith(("Error:", "Erreur :")) for line in self.output)


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def prose(self) -> str:
        """The page without its fenced blocks."""
        return FENCE.sub("", self.text)

    def shown(self, *, runnable: bool) -> list[Shown]:
        """The commands of the page's ``console`` blocks; only those marked ``run`` when *runnable*."""
        found: list[Shown] = []
        for block in FENCE.finditer(self.text):
            words = block["info"].split()
            if words[:1] == ["console"] and (not runnable or "run" in words):
                found += commands(block["text"])
        return found

    def programs(self) -> Iterator[list[str]]:
        """The words of every ``e5b`` or ``make`` command that the page writes, wherever it writes it."""
        for item in self.shown(runnable=False):
            yield from simple_commands(item.command)
        for span in SPAN.findall(self.prose()):
            if span.partition(" ")[0] in {"e5b", "make", "sudo"}:
                yield from simple_commands(span)

    def links(self) -> list[str]:
        return ["".join(groups) for groups in LINK.findall(self.prose())]

    def anchors(self) -> set[str]:
        """What can follow ``#`` in a link to the page, as GitHub makes it from the headings."""
        found: set[str] = set()
        for heading in HEADING.findall(FENCE.sub("", self.text)):
            text = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
            found.add(text)
        return found


def commands(block: str) -> list[Shown]:
    """``$ command`` lines, each with the output under it; a line that ends with a backslash goes on."""
    found: list[Shown] = []
    goes_on = False
    for line in block.splitlines():
        if goes_on:
            found[-1].command += "\n" + line
        elif line.startswith("$ "):
            found.append(Shown(line[2:]))
        elif found and line.strip():
            found[-1].output.append(line)
        goes_on = (goes_on or line.startswith("$ ")) and line.endswith("\\")
    return found


def simple_commands(line: str) -> Iterator[list[str]]:
    """The ``e5b`` and ``make`` commands in a line of shell, without what comes before them (sudo, variables)."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="|;&<>()")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) & set("|;&<>()"):
            yield from _from_program(words)
            words = []
        else:
            words.append(word)


def _from_program(words: list[str]) -> Iterator[list[str]]:
    for index, word in enumerate(words):
        if word.rpartition("/")[2] in {"e5b", "make"}:
            yield [word.rpartition("/")[2], *words[index + 1 :]]
            return
        if word != "sudo" and "=" not in word:
            return


def all_pages() -> list[Page]:
    return [Page(ROOT / "README.md"), Page(ROOT / "CHANGELOG.md")] + [
        Page(path) for path in sorted((ROOT / "docs").rglob("*.md"))
    ]


def shape(line: str) -> str:
    """A line of output without what differs from one run to the next: figures with a decimal point, hours,
    digests, and how wide a column is."""
    line = re.sub(r"[\u2500-\u257f]+", "|", line)
    line = re.sub(r"\b\d\d:\d\d:\d\d\b", "TIME", line)
    line = re.sub(r"\b\d{4}-\d\d-\d\d TIME\b", "DATE TIME", line)
    line = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", "DIGEST", line)
    line = re.sub(r"\d+[.,]\d+", "FIGURE", line)
    return " ".join(line.split())


def not_shown(expected: list[str], actual: str) -> str | None:
    """The first line of *expected* that does not come, in order, in *actual*; ``…`` stands for anything."""
    lines = iter(shape(line) for line in actual.splitlines())
    for line in expected:
        pattern = ".*".join(re.escape(part) for part in shape(line).split("…"))
        if line.strip() != "…" and not any(re.fullmatch(pattern, candidate) for candidate in lines):
            return line
    return None

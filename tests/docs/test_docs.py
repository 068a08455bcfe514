"""The documentation is held to the code: its commands run or parse, its links lead somewhere."""

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import click
import docker
import pytest
from babel.messages.pofile import read_po

from bench.centre import free_ports
from orchestrator import wiring
from orchestrator.adapters.sealing import FolderSealing
from orchestrator.cli.main import e5b
from orchestrator.cli.output import NoProgress
from orchestrator.settings import load
from tests.docs.pages import ROOT, Page, Shown, all_pages, commands, not_shown, simple_commands

PAGES = all_pages()
RUNNABLE = [page for page in PAGES if page.shown(runnable=True)]

CENTRE, FIRST_PORT, SUBNET = "atelier", "8201", "10.213.20."
"""What the pages call their centre; each run gives it a name, ports and a network of its own."""

MARK = "@@done@@"


def named(page: Page) -> str:
    return page.name


# What needs no engine


def test_reference_pages_say_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli.reference", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_within_the_project_lead_somewhere(page: Page) -> None:
    lost = []
    for link in page.links():
        if re.match(r"[a-z]+:", link):
            continue
        path, _sign, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        if not target.exists() or (anchor and anchor not in Page(target).anchors()):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_e5b_command_written_exists_with_its_options(page: Page) -> None:
    faults = [fault for words in page.programs() if words[0] == "e5b" and (fault := fault_of(words[1:]))]
    assert not faults


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_shown_e5b_command_is_complete(page: Page) -> None:
    """What stands after a `$` can be typed as it is: nothing required is missing, no value is of the wrong kind."""
    faults = []
    for item in page.shown(runnable=False):
        for words in simple_commands(item.command):
            if words[0] == "e5b" and (fault := incomplete(words[1:])):
                faults.append(f"{item.command}: {fault}")
    assert not faults


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_target_written_exists(page: Page) -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", rules, re.MULTILINE))
    asked = {word for words in page.programs() if words[0] == "make" for word in words[1:] if "=" not in word}
    assert asked <= targets


def test_every_page_is_reached_from_the_readme() -> None:
    """By links from page to page; a link to a folder leads to all that is in it."""
    reached, ahead = set[Path](), [PAGES[0].path]
    while ahead:
        path = ahead.pop()
        if path in reached:
            continue
        reached.add(path)
        if path.is_dir():
            ahead += path.glob("*.md")
        elif path.suffix == ".md":
            links = [link.partition("#")[0] for link in Page(path).links() if ":" not in link]
            ahead += [(path.parent / link).resolve() for link in links]
    lost = [page.name for page in PAGES if page.path not in reached]
    assert not lost


FRENCH = [page for page in PAGES if page.name.startswith("docs/fr/")]


@pytest.mark.parametrize("page", FRENCH, ids=named)
def test_what_a_french_page_quotes_is_what_people_see(page: Page) -> None:
    """Between « and »: words of the gateway's pages or of the messages; ``…`` stands for what a message fills in."""
    seen = french_messages()
    for path in sorted((ROOT / "images/gateway/pages").glob("*.html")):
        seen.append(plain(path.read_text(encoding="utf-8")))
    quoted = re.findall(r"«\s(.*?)\s»", page.prose(), re.DOTALL)
    patterns = {text: ".*".join(map(re.escape, plain(text).split("…"))) for text in quoted}
    assert quoted
    assert not [text for text, pattern in patterns.items() if not any(re.search(pattern, item) for item in seen)]


@pytest.mark.parametrize("page", FRENCH, ids=named)
def test_what_a_french_page_shows_is_what_people_see(page: Page) -> None:
    """A sentence shown under a command is a message with its blanks filled in. Tables are not looked at."""
    parts = [re.split(r"\{[^}]*\}", text) for text in french_messages()]
    # One that is nearly all blank would fit anything.
    filled = [".+?".join(map(re.escape, part)) for part in parts if len(part) == 1 or len("".join(part)) > 12]
    # Several messages may stand in a line: a question and its answer, a wave's name and its state.
    known = re.compile(rf"(?:\d\d:\d\d:\d\d \S+ ?: )?(?:{'|'.join(filled)})(?: \[.*)?")
    shown = [
        plain(line)
        for item in page.shown(runnable=False)
        if item.command.startswith("e5b")
        for line in item.output
        if not re.match(r"[┏┃┡│└…]|\d{4}-\d\d-\d\d-[ap]m-", line)
    ]
    assert not [line for line in shown if not known.fullmatch(line)]


def french_messages() -> list[str]:
    with (ROOT / "orchestrator/locale/fr/LC_MESSAGES/e5b.po").open("rb") as file:
        catalogue = read_po(file)
    found = [message.string for message in catalogue if message.id and message.string]
    return [plain(text) for item in found for text in ([item] if isinstance(item, str) else item)]


def plain(text: str) -> str:
    """*text* with one kind of apostrophe and of space."""
    return " ".join(text.replace("’", "'").split())


def test_the_readme_names_the_two_commands() -> None:
    shown = [item.command for item in PAGES[0].shown(runnable=False)]
    assert "make demo" in shown
    assert "make test" in shown


def fault_of(words: list[str]) -> str | None:
    """Why ``e5b`` followed by *words* is not a command; values and arguments are not looked at."""
    command: click.Command = e5b
    path = "e5b"
    for word in words:
        if word.startswith("-"):
            known = {name for item in command.params for name in (*item.opts, *item.secondary_opts)}
            if word.partition("=")[0] not in known | {"--help", "-h"}:
                return f"{path} has no option {word}"
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is not None:
                command, path = found, f"{path} {word}"
            elif not _is_value(words, word):
                return f"{path} has no command {word}"
    return None


def _is_value(words: list[str], word: str) -> bool:
    return words.index(word) > 0 and words[words.index(word) - 1].startswith("-")


def incomplete(words: list[str]) -> str | None:
    """Why click would refuse *words*, without running anything."""
    context: click.Context | None = None
    command: click.Command = e5b
    rest = words
    if "--help" in words:
        return None
    try:
        while True:
            context = command.make_context(command.name, list(rest), parent=context)
            if not isinstance(command, click.Group):
                return None
            rest = [*getattr(context, "_protected_args", []), *context.args]
            _name, found, rest = command.resolve_command(context, rest)
            command = cast("click.Command", found)
    except click.exceptions.Exit:
        return None
    except click.ClickException as error:
        return error.format_message()


# How the pages are read: the tests above mean something only if these hold.


def test_commands_are_told_from_their_output() -> None:
    shown = commands("$ e5b wave open \\\n    --leave-out 2\nopen\n\n$ ls | head\n")
    assert shown == [Shown("e5b wave open \\\n    --leave-out 2", ["open"]), Shown("ls | head")]
    assert list(simple_commands("cd x && sudo E5B_LANG=en .venv/bin/e5b seat status 2 | head")) == [
        ["e5b", "seat", "status", "2"]
    ]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("wave open --leave-out 2", None),
        ("--centre other.toml wave list", None),
        ("wave opne", "e5b wave has no command opne"),
        ("wave open --leave 2", "e5b wave open has no option --leave"),
    ],
)
def test_a_wrong_command_is_seen(words: str, fault: str | None) -> None:
    assert fault_of(words.split()) == fault


def test_an_incomplete_command_is_seen() -> None:
    assert incomplete(["seat", "reset", "--yes"]) is not None
    assert incomplete(["seat", "reset", "SEAT"]) is not None
    assert incomplete(["seat", "reset", "2"]) is None


def test_output_may_differ_in_times_and_digests_alone() -> None:
    actual = "Preparing\n│ 01   │ proved │ 08:20:45 │\n3/3 proved in 6.4 s\nLast: 0123456789abcdef\n"
    assert not_shown(["│ 01 │ proved │ 09:00:00 │", "3/3 proved in 7.1 s", "Last: 9999999999999999"], actual) is None
    assert not_shown(["2/3 proved in 6.4 s"], actual) == "2/3 proved in 6.4 s"
    assert not_shown(["3/3 proved in 6.4 s", "Preparing"], actual) == "Preparing"
    assert not_shown(["…", "Last: …"], actual) is None


# What is run


class Shell:
    """One shell for a page: what a command changes (folder, variables) holds for the next."""

    def __init__(self, folder: Path) -> None:
        env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        env |= {"COLUMNS": "100", "NO_COLOR": "1"}
        env.pop("E5B_LANG", None)
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._stdin = cast("IO[str]", self._process.stdin)
        self._stdout = cast("IO[str]", self._process.stdout)

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output of *command*."""
        self._stdin.write(f"{{ {command}\n}} </dev/null; printf '\\n%s %s\\n' {MARK} $?\n")
        self._stdin.flush()
        lines: list[str] = []
        for line in self._stdout:
            if line.startswith(MARK):
                return int(line.split()[1]), "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended: {command}\n{''.join(lines)}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


Renamed = Callable[[str], str]


@pytest.fixture
def renamed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Renamed]:
    """The text of a page with a centre of this run's own; what it leaves in the engine is removed."""
    centre, port, subnet = f"doc{secrets.token_hex(3)}", free_ports(3), f"10.222.{secrets.randbelow(255)}."
    ports = {str(int(FIRST_PORT) + offset): str(port + offset) for offset in range(3)}

    def rename(text: str) -> str:
        text = re.sub(rf"\b{CENTRE}\b", centre, text).replace(SUBNET, subnet)
        return re.sub(rf"\b({'|'.join(ports)})\b", lambda match: ports[match[1]], text)

    yield rename
    if needs_engine(request.getfixturevalue("page")):
        if (tmp_path / "centre.toml").exists():
            wiring.centre(load(tmp_path / "centre.toml"), NoProgress()).gateway.remove()
        client = docker.from_env(version="auto", timeout=120)
        ours = {"label": f"fr.e5b.centre={centre}"}
        for container in client.containers.list(all=True, filters=ours):
            container.remove(force=True, v=True)
        for network in client.networks.list(filters=ours):
            network.remove()
        for image in client.images.list(filters=ours):
            client.images.remove(image.id, force=True)
        client.close()


@pytest.mark.parametrize("page", RUNNABLE, ids=named)
def test_the_page_does_what_it_shows(page: Page, renamed: Renamed, tmp_path: Path) -> None:
    """Every command marked `run`, in order, in an empty folder: it succeeds (or fails, where its error is shown) and
    prints what the page shows."""
    if page.name == "docs/reference/evidence.md":
        write_evidence(tmp_path)
    shell = Shell(tmp_path)
    try:
        for item in page.shown(runnable=True):
            code, output = shell.run(renamed(item.command))
            assert (code != 0) == item.fails, f"$ {item.command}\n{output}\nexit status {code}"
            missing = not_shown([renamed(line) for line in item.output], output)
            assert missing is None, f"$ {item.command}\n{output}\nis not shown: {missing}"
    finally:
        shell.close()


def needs_engine(page: Page) -> bool:
    return any("e5b wave" in item.command for item in page.shown(runnable=True))


def write_evidence(folder: Path) -> None:
    """A small archive as the program writes it, for the page that says how to check one."""
    exported = folder / "exported"
    (exported / "files/var/www/site").mkdir(parents=True)
    (exported / "database.sql").write_text("CREATE TABLE `wp_posts` (`ID` int);\n", encoding="utf-8")
    (exported / "files/var/www/site/index.php").write_text("<?php\n", encoding="utf-8")
    (exported / "deleted").write_text("", encoding="utf-8")
    tar = subprocess.run(
        ["tar", "--create", "--directory", exported, "database.sql", "deleted", "files/var/www/site/index.php"],
        capture_output=True,
        check=True,
    )
    manifest = {"format": 1, "candidate": "0712345007", "seat": 7}
    FolderSealing(folder).write("poste-07-1.tar.gz", manifest, iter([tar.stdout]))
    shutil.rmtree(exported)

"""The French catalogue: whole, current, and true to what it translates."""

import ast
import gettext
import os
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from orchestrator import i18n

ROOT = Path(__file__).parents[2]
SOURCE = i18n.LOCALE_DIR / "fr" / "LC_MESSAGES" / "e5b.po"

Identifier = str | tuple[str, ...]


def catalogue() -> Catalog:
    with SOURCE.open("rb") as file:
        return read_po(file, locale="fr")


MESSAGES = [message for message in catalogue() if message.id]


def forms(message: Message) -> list[tuple[str, str]]:
    """Each form of *message* beside its translation."""
    if isinstance(message.id, tuple):
        return list(zip(message.id, message.string, strict=True))
    return [(message.id, message.string)]


def failing(fault: str, pairs: list[tuple[str, str]]) -> str:
    return "\n".join([fault, *(f"  {identifier!r} -> {text!r}" for identifier, text in pairs)])


def test_the_catalogue_holds_what_the_code_says_and_nothing_else() -> None:
    said: set[Identifier] = {
        found[1] for folder in ("orchestrator", "simulation") for found in _extracted(ROOT / folder)
    }
    held: set[Identifier] = {tuple(message.id) if message.pluralizable else message.id for message in MESSAGES}
    assert said - held == set(), "new in the code: run `make catalogue` and translate"
    assert held - said == set(), "not in the code any more: run `make catalogue`"
    assert not catalogue().obsolete


def _extracted(folder: Path) -> list[tuple[str, Identifier]]:
    return [(name, identifier) for name, _line, identifier, _comments, _context in extract_from_dir(folder)]


def test_no_message_is_within_an_f_string() -> None:
    # Extraction does not see it there before Python 3.12.
    hidden = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for folder in ("orchestrator", "simulation")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"_", "N_", "ngettext"}
        if isinstance(call.args[0], ast.Constant)
    ]
    assert not hidden


def test_every_message_is_translated() -> None:
    missing = [pair for message in MESSAGES for pair in forms(message) if not pair[1] or message.fuzzy]
    assert not missing, failing("not translated, or marked as fuzzy:", missing)


def test_placeholders_are_those_of_the_message() -> None:
    other = [
        pair for message in MESSAGES for pair in forms(message) if _placeholders(pair[0]) != _placeholders(pair[1])
    ]
    assert not other, failing("other placeholders:", other)


def _placeholders(text: str) -> set[object]:
    percent = set(re.findall(r"%\(\w+\)\w", text))
    return percent | {
        (name, spec, how) for _text, name, spec, how in string.Formatter().parse(text) if name is not None
    }


def test_commands_stay_as_they_are() -> None:
    other = [pair for message in MESSAGES for pair in forms(message) if _commands(pair[0]) != _commands(pair[1])]
    assert not other, failing("other commands:", other)


def _commands(text: str) -> set[str]:
    quoted = set(re.findall(r"`(?:e5b|docker|sudo|make|git|journalctl|timedatectl|apt-get)\b[^`]*`", text))
    return quoted | set(re.findall(r"(?<!\S)--[a-z]+(?:-[a-z]+)*", text))


def test_french_spaces_quotes_and_apostrophes() -> None:
    wrong = [
        pair
        for message in MESSAGES
        for pair in forms(message)
        if re.search(r" [:;!?»]|« |[A-Za-zÀ-ÿ]'[A-Za-zÀ-ÿ]|“|”", re.sub(r"`[^`]*`", "", pair[1]))
    ]
    assert not wrong, failing("ordinary space, quote or apostrophe:", wrong)


def test_the_compiled_catalogue_is_current(tmp_path: Path) -> None:
    installed = SOURCE.with_suffix(".mo")
    assert installed.is_file(), "run `make setup`: it compiles the catalogue"
    compiled = tmp_path / "e5b.mo"
    with compiled.open("wb") as file:
        write_mo(file, catalogue())
    assert _texts(installed) == _texts(compiled), "run `make setup`: it compiles the catalogue"


def _texts(path: Path) -> dict[object, str]:
    with path.open("rb") as file:
        texts: dict[object, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    # The first one is the header.
    return {identifier: text for identifier, text in texts.items() if identifier}


@pytest.mark.parametrize(
    ("language", "arguments", "expected"),
    [
        (None, ["--help"], ["Usage\xa0:", "Commandes\xa0:", "Afficher cette aide et quitter."]),
        ("en", ["--help"], ["Usage:", "Commands:", "Show this message and exit."]),
        (None, ["wave", "plan"], ["Option manquante '--half-day'."]),
        ("en", ["wave", "plan"], ["Missing option '--half-day'."]),
        (None, ["wave", "plan", "--help"], ["[obligatoire]", "par défaut\xa0: 1"]),
        (None, ["nonsense"], ["Il n’y a pas de commande 'nonsense'."]),
    ],
)
def test_the_command_speaks_the_language_in_force(
    language: str | None, arguments: list[str], expected: list[str]
) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"E5B_LANG", "LANGUAGE"}}
    if language is not None:
        environment["E5B_LANG"] = language
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=ROOT,
        env={**environment, "PYTHONUTF8": "1", "COLUMNS": "100"},
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    for text in expected:
        assert text in done.stdout + done.stderr

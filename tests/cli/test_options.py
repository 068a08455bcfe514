"""What every command has, found by walking through all of them; exit codes; completion; languages."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator import errors
from orchestrator.cli.main import INTERRUPTED, e5b
from orchestrator.errors import E5BError
from tests.cli.conftest import INIT, Run

ROOT = Path(__file__).parents[2]

DESTRUCTIVE = {
    "wave reset",
    "wave abandon",
    "seat reset",
    "seat restore",
    "seat undo",
    "seat move",
    "guard off",
    "guard apply",
    "evidence purge",
}
"""What takes an environment away, ends a wave, or changes what the seats may reach."""


def commands(group: click.Group = e5b, above: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = f"{above} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, path)
        else:
            yield path, command


COMMANDS = dict(commands())
NAMES = sorted(COMMANDS)


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_answers_as_json(name: str) -> None:
    assert "--json" in options(COMMANDS[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


def test_what_destroys_can_be_tried_first() -> None:
    assert set(COMMANDS) >= DESTRUCTIVE
    for name in DESTRUCTIVE:
        assert "--dry-run" in options(COMMANDS[name]), name


def test_the_commands_that_were_promised() -> None:
    assert {
        "init", "preflight", "serve", "completion", "setup", "image list", "image build", "journal show",
        "journal verify", "seat absent", "seat reset", "seat status",
        "wave plan", "wave prepare", "wave open", "wave close", "wave seal", "wave reset", "wave status", "wave list",
        "wave abandon",
    } <= set(COMMANDS)  # fmt: skip


# Exit codes


def family(of: type[E5BError] = E5BError) -> Iterator[type[E5BError]]:
    yield of
    for below in of.__subclasses__():
        yield from family(below)


def test_exit_codes_are_stable() -> None:
    """Part of the command line's interface: a number here is never changed, only added."""
    assert {kind.__name__: kind.exit_code for kind in family() if kind.__module__ == errors.__name__} == {
        "E5BError": 1,
        "InputInvalid": 2,
        "SettingsInvalid": 3,
        "EngineUnavailable": 4,
        "NotProved": 5,
        "Refused": 6,
        "Busy": 7,
        "Conflict": 8,
        "ImageUnusable": 9,
        "EvidenceInvalid": 10,
        "NoSpace": 11,
        "JournalBroken": 12,
        "NotFound": 13,
        "EnvironmentFailed": 14,
        "SignatureInvalid": 15,
    }
    assert INTERRUPTED == 130


def test_exit_codes_are_unique_and_clear_of_the_shells_own() -> None:
    codes = [kind.exit_code for kind in family()]
    assert len(codes) == len(set(codes))
    assert all(0 < code < 126 for code in codes)


def test_each_exit_code_is_documented() -> None:
    page = (ROOT / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    documented = {int(row[0]): row[1:] for row in rows if row[0].isdigit()}
    for kind in family():
        assert documented.pop(kind.exit_code) == [kind.__name__, kind.meaning]
    assert set(documented) == {0, INTERRUPTED}


# Faults of use


@pytest.mark.parametrize(
    "arguments",
    [
        ("wave", "nothing"),
        ("nothing",),
        ("wave", "list", "--nothing"),
        ("wave", "plan"),
        ("seat", "reset", "seven"),
        ("wave", "plan", "--site", "joomla", "--half-day", "x", "--room", "y"),
        ("completion", "csh"),
        ("journal", "show", "--last", "0"),
        ("wave", "abandon"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    answer = run(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "--help" in answer.err and "Traceback" not in answer.err


def test_wrong_use_as_json(run: Run) -> None:
    answer = run("wave", "plan", "--json")
    assert answer.code == 2 and answer.json["exit_code"] == 2 and answer.json["error"] and answer.json["hint"]


@pytest.mark.parametrize("minutes", ["nan", "inf", "-1", "0", "241", "1e300"])
def test_minutes_that_are_none(run: Run, minutes: str) -> None:
    run(*INIT)
    plan = ("wave", "plan", "--half-day", "2027-05-11-am", "--room", "salle-1", "--site", "wordpress")
    answer = run(*plan, "--candidate", "1=C001", "--minutes", minutes)
    assert answer.code == 2 and "240" in answer.err


@pytest.mark.parametrize("pair", ["C001", "=C001", "²=C001", "one=C001"])
def test_a_candidate_that_is_no_pair(run: Run, pair: str) -> None:
    run(*INIT)
    plan = ("wave", "plan", "--half-day", "2027-05-11-am", "--room", "salle-1", "--site", "wordpress")
    answer = run(*plan, "--candidate", pair)
    assert answer.code == 2 and pair in answer.err


# No engine


WITHOUT_ENGINE = [
    ("preflight",),
    ("wave", "prepare"),
    ("wave", "prepare", "2027-05-11-am-salle-1-v1"),
    ("wave", "status"),
    ("seat", "status"),
    ("seat", "reset", "1"),
    ("seat", "restore", "1", "--to", "last", "--yes"),
    ("point", "take"),
    ("standby", "status"),
    ("evidence", "list"),
    ("image", "list"),
]


@pytest.mark.parametrize("arguments", WITHOUT_ENGINE, ids=" ".join)
@pytest.mark.parametrize("socket", ["missing", "deaf"])
def test_no_docker_is_exit_code_4_with_what_to_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], socket: str
) -> None:
    address = tmp_path / "docker.sock"
    if socket == "deaf":
        address.write_text("")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{address}")
    run(*INIT)
    answer = run(*arguments)
    assert (answer.code, answer.out) == (4, ""), answer.err
    assert "Docker" in answer.err and "→" in answer.err and "Traceback" not in answer.err
    answer = run(*arguments, "--json")
    assert answer.code == 4 and answer.json["exit_code"] == 4 and answer.json["hint"]


def test_docker_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.adapters.docker_engine import unavailable

    monkeypatch.setenv("E5B_LANG", "en")
    refused = unavailable(PermissionError(13, "Permission denied"))
    assert "may not" in refused.message and "sudo" in (refused.hint or "")


def test_the_journal_and_the_list_need_no_engine(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    run(*INIT)
    for arguments in (("wave", "list"), ("journal", "show"), ("journal", "verify")):
        assert run(*arguments).code == 0
        assert run(*arguments, "--json").code == 0


# Completion, languages, the program itself


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run: Run, shell: str) -> None:
    answer = run("completion", shell)
    assert answer.code == 0 and "_E5B_COMPLETE" in answer.out
    assert run("completion", shell, "--json").json == {"shell": shell, "script": answer.out.removesuffix("\n")}


def test_bash_accepts_its_completion_script_and_completes(run: Run) -> None:
    checked = subprocess.run(["bash", "-n"], input=run("completion", "bash").out, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    completed = subprocess.run(
        [sys.executable, "-m", "orchestrator"],
        env={**os.environ, "_E5B_COMPLETE": "bash_complete", "COMP_WORDS": "e5b wave p", "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert {line.partition(",")[2] for line in completed.stdout.split()} == {"plan", "prepare"}


@pytest.mark.parametrize(("language", "fault"), [("fr", "Erreur"), ("en", "Error: "), ("", "Erreur"), ("de", "Erreur")])
def test_french_unless_english_is_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, language: str, fault: str
) -> None:
    monkeypatch.setenv("E5B_LANG", language)
    failed = run("wave", "list")
    assert failed.code == 3 and failed.err.startswith(fault)


def test_version(run: Run) -> None:
    from orchestrator import __version__

    assert __version__ in run("--version").out


def test_a_fault_of_the_program_is_a_sentence_and_a_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator import wiring

    def broken(*_arguments: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(wiring, "centre", broken)
    run(*INIT)
    answer = run("preflight")
    assert answer.code == 1 and "secret" not in answer.err + answer.out
    (trace,) = tmp_path.glob("e5b-*.log")
    assert str(trace) in answer.err and "a secret of the inside" in trace.read_text()


def test_without_an_engine_the_supervisor_says_so_and_waits(run: Run, tmp_path: Path) -> None:
    """After a reboot the engine may come up later. Asked to end, it ends."""
    run(*INIT)
    environment = {
        **os.environ,
        "DOCKER_HOST": f"unix://{tmp_path}/docker.sock",
        "E5B_CENTRE": str(tmp_path / "centre.toml"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "serve"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "Docker" in process.stderr.readline()
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0

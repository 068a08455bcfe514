"""What every command gets, and the options that all of them have."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestrator import wiring
from orchestrator.cli.output import NoProgress, RichProgress
from orchestrator.errors import E5BError, Refused
from orchestrator.i18n import _
from orchestrator.ports import PolicyFiles, Progress, Store
from orchestrator.services.centre import Centre
from orchestrator.settings import Settings, load

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Context:
    """Where the settings are, how to answer, and the centre, made at first use."""

    path: Path = Path("centre.toml")
    as_json: bool = field(default=False)

    @cached_property
    def settings(self) -> Settings:
        settings = load(self.path)
        # Times are those of the clocks on the walls of the centre, whatever zone its machine was left in.
        os.environ["TZ"] = settings.centre.zone.timezone.key
        time.tzset()
        return settings

    @property
    def progress(self) -> Progress:
        return NoProgress() if self.as_json else RichProgress()

    @cached_property
    def centre(self) -> Centre:
        centre = wiring.centre(self.settings, self.progress)
        # Whether or not it is supervised: no command leaves a subject in memory once its half-day is over.
        if not centre.clear_text.is_empty():
            # Here, not above: hardly any command of an exam's day needs it.
            from orchestrator.services.subject_end import remove_over

            # It is not what this command is for: it is tried again by the next one.
            with suppress(E5BError):
                remove_over(centre)
        return centre

    @cached_property
    def store(self) -> Store:
        return wiring.store(self.settings)

    @cached_property
    def policy_files(self) -> PolicyFiles:
        return wiring.policy_files(self.settings)

    def wave_id(self, given: str | None) -> str:
        """The wave that a command is about: the one that was named, or the one in progress."""
        return given if given is not None else self.centre.current_wave().id

    def confirm(self, question: str, given: bool) -> None:
        """Ask before what cannot be undone. Raises Refused when the answer is no, or when nobody can be asked."""
        if given:
            return
        refusal = Refused(_("Nothing was done."), hint=_("Add --yes to do it without being asked."))
        if self.as_json or not sys.stdin.isatty():
            raise refusal
        yes, no = _("yes"), _("no")
        answer = click.prompt(f"{question} [{yes}/{no}]", default=no, show_default=False, err=True)
        if answer.strip().lower() not in {yes, yes[0]}:
            raise refusal

    def confirm_typed(self, sentence: str, given: str | None, question: str) -> None:
        """Let a person type *sentence* out, which *question* names as ``{sentence}``, before a rule is gone round.
        Raises Refused when they type something else, or when nobody can be asked."""
        if given is None and not self.as_json and sys.stdin.isatty():
            given = click.prompt(question.format(sentence=sentence), err=True)
        if given != sentence:
            raise Refused(
                _("The confirmation does not match: nothing was done."),
                hint=_("Type exactly: {sentence}").format(sentence=sentence),
            )


pass_context = click.make_pass_decorator(Context)


def _remember_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    context.ensure_object(Context).as_json = value


def json_option(command: F) -> F:
    """``--json``, which every command has."""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_json,
        help=_("Answer as JSON."),
    )(command)


def wave_argument(command: F) -> F:
    return click.argument("wave", required=False)(command)


def dry_run_option(command: F) -> F:
    return click.option("--dry-run", is_flag=True, help=_("Say what would be done, and do nothing."))(command)


def confirm_option(command: F) -> F:
    return click.option(
        "--confirm", metavar="TEXT", help=_("The sentence that has to be typed, when nobody can be asked.")
    )(command)


def yes_option(command: F) -> F:
    return click.option("--yes", is_flag=True, help=_("Do not ask for confirmation."))(command)

"""``e5b print``: the technician's and the academy's papers, as PDF."""

import os
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TypeVar

import click

from orchestrator import wiring
from orchestrator.cli.context import Context, json_option, pass_context, wave_argument
from orchestrator.cli.output import clock_time, out, show
from orchestrator.errors import InputInvalid
from orchestrator.i18n import _
from orchestrator.services.print_papers import Hours, Paper, attendance, cards, timetable
from orchestrator.services.print_record import record, verify_record

F = TypeVar("F", bound=Callable[..., object])


def output_option(command: F) -> F:
    return click.option(
        "--output", type=click.Path(path_type=Path), help=_("The PDF file; in the present folder by default.")
    )(command)


@click.group("print", help=_("Papers as PDF: cards, attendance list, timetable, a wave's record."))
def group() -> None: ...


@group.command("cards", help=_("One card for each candidate of a wave: seat, number, address, access, QR code."))
@wave_argument
@output_option
@json_option
@pass_context
def cards_command(context: Context, wave: str | None, output: Path | None) -> None:
    wave_id = context.wave_id(wave)
    _print(context, cards(context.centre, wave_id), output, wave_id)


@group.command("attendance", help=_("The attendance list of a wave, by groups of five with two examiners."))
@wave_argument
@output_option
@json_option
@pass_context
def attendance_command(context: Context, wave: str | None, output: Path | None) -> None:
    wave_id = context.wave_id(wave)
    _print(context, attendance(context.centre, wave_id), output, wave_id)


@group.command("timetable", help=_("The day of a room: waves, waiting room, resets, candidates with more time."))
@click.option("--day", required=True, metavar="YYYY-MM-DD", help=_("The day."))
@click.option("--room", required=True, help=_("The room, as named in centre.toml."))
@click.option("--morning", default="08:15", show_default=True, metavar="HH:MM", help=_("Opening of the first wave."))
@click.option("--afternoon", default="13:45", show_default=True, metavar="HH:MM", help=_("The same, after noon."))
@click.option(
    "--waiting", default=20, show_default=True, type=click.IntRange(0, 120), help=_("Minutes in the waiting room.")
)
@click.option(
    "--reset", default=20, show_default=True, type=click.IntRange(0, 120), help=_("Minutes between two waves.")
)
@output_option
@json_option
@pass_context
def timetable_command(
    context: Context, day: str, room: str, morning: str, afternoon: str, waiting: int, reset: int, output: Path | None
) -> None:
    try:
        date.fromisoformat(day)
    except ValueError:
        raise InputInvalid(_("{text} is not a day.").format(text=day), hint=_("Write it as 2027-05-11.")) from None
    hours = Hours(_time(morning), _time(afternoon), timedelta(minutes=waiting), timedelta(minutes=reset))
    _print(context, timetable(context.centre, day, room, hours), output, f"{day}-{room}")


@group.command("record", help=_("The record of a wave that has ended, with its verification code."))
@wave_argument
@click.option("--verify", metavar="CODE", help=_("Print nothing: does this code of a record stand in the journal?"))
@output_option
@json_option
@pass_context
def record_command(context: Context, wave: str | None, verify: str | None, output: Path | None) -> None:
    if verify is not None:
        _verify(context, verify)
        return
    wave_id = context.wave_id(wave)
    paper, code = record(context.centre, wave_id)
    _print(context, paper, output, wave_id, code)


def _verify(context: Context, code: str) -> None:
    found = verify_record(context.store, code)

    def text() -> None:
        out.print(
            _(
                "It stands: record of wave {wave}, printed on {day} at {time} by {actor}. The {lines} lines hold."
            ).format(
                wave=found.line.wave,
                day=found.line.at.astimezone().date().isoformat(),
                time=clock_time(found.line.at),
                actor=found.line.actor,
                lines=found.lines,
            )
        )
        out.print(_("Digest of the record: {sha256}").format(sha256=found.line.data["sha256"]), soft_wrap=True)

    show(context.as_json, found, text)


def _print(context: Context, paper: Paper, output: Path | None, about: str, code: str | None = None) -> None:
    path = output or Path(f"{paper.name}-{about}.pdf")
    content = wiring.papers().pdf(paper.name, paper.values, paper.codes)
    partial = path.with_name(f".{path.name}.partial")
    try:
        # A card has what a candidate logs in with.
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        partial.replace(path)
    except OSError as error:
        raise InputInvalid(_("{path} cannot be written: {error}.").format(path=path, error=error.strerror)) from error

    def text() -> None:
        out.print(_("{path} is written.").format(path=path), soft_wrap=True)
        if code is not None:
            out.print(_("Its verification code: {code}").format(code=code), soft_wrap=True)

    show(context.as_json, {"path": path, **({} if code is None else {"code": code})}, text)


def _time(text: str) -> time:
    if re.fullmatch(r"\d{2}:\d{2}", text):
        try:
            return datetime.strptime(text, "%H:%M").time()
        except ValueError:
            pass
    raise InputInvalid(_("{text} is not a time.").format(text=text), hint=_("Write it as 08:15."))

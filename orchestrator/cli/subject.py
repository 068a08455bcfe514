"""``e5b subject``: the half-day's subject, from its sealed form to the candidates' screens."""

import sys
from collections.abc import Callable
from typing import IO

import click

from orchestrator import wiring
from orchestrator.cli.context import Context, dry_run_option, json_option, pass_context, yes_option
from orchestrator.cli.output import clock_time, out, show, table
from orchestrator.domain.bank import Role
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import InputInvalid, NotProved, Refused
from orchestrator.i18n import N_, _, ngettext
from orchestrator.services.bank_read import typed_code
from orchestrator.services.spare import spare_foreseen, switch_to_spare
from orchestrator.services.unlock import Foreseen, UnlockReport, check_delay, foreseen, subject_status, unlock

STATES = {
    "sealed": N_("still sealed"),
    "unlocked": N_("unlocked"),
    "gone": N_("unlocked, gone from memory: unlock it again"),
    "over": N_("over"),
}

half_day_option = click.option(
    "--half-day",
    metavar="YYYY-MM-DD-am|pm",
    help=_("The half-day that is meant; refused unless it is the present one."),
)
code_option = click.option(
    "--code-file",
    type=click.File("r", encoding="utf-8"),
    help=_(
        "Read the code from a file, `-` for standard input, instead of asking for it; a second code on a second line."
    ),
)
second_option = click.option("--second-code", is_flag=True, help=_("Two people have a code each: ask for both."))


@click.group("subject", help=_("The half-day's subject: unlock, switch to the spare, status."))
def group() -> None: ...


@group.command(
    "unlock", help=_("Unlock the present half-day's subject, for the jury now and for each wave when it opens.")
)
@half_day_option
@code_option
@second_option
@click.option(
    "--confirm",
    metavar="TEXT",
    help=_("Outside the permitted hours: the sentence that is asked for, when nobody can be."),
)
@json_option
@pass_context
def unlock_command(
    context: Context, half_day: str | None, code_file: IO[str] | None, second_code: bool, confirm: str | None
) -> None:
    centre = context.centre
    what = foreseen(centre, half_day)
    code = _code(context, what, code_file, second_code, confirm)
    _show(context, unlock(centre, wiring.sealed_banks(), what, code))


@group.command(
    "spare", help=_("Switch the present half-day to its spare subject, for the waves that are not open yet.")
)
@click.option("--reason", required=True, help=_("Why, for the journal."))
@half_day_option
@code_option
@second_option
@click.option(
    "--confirm",
    metavar="TEXT",
    help=_("Outside the permitted hours: the sentence that is asked for, when nobody can be."),
)
@dry_run_option
@yes_option
@json_option
@pass_context
def spare_command(
    context: Context,
    reason: str,
    half_day: str | None,
    code_file: IO[str] | None,
    second_code: bool,
    confirm: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    centre = context.centre
    what = spare_foreseen(centre, half_day)
    if dry_run:
        value = {"half_day": what.entry.half_day, "unlocked": what.record is not None}
        said = _("Nothing was done: {half_day} would switch to its spare subject.")
        show(context.as_json, value, lambda: out.print(said.format(half_day=what.entry.half_day)))
        return
    question = _("Give the spare subject to every wave of {half_day} that is not open yet?")
    context.confirm(question.format(half_day=what.entry.half_day), yes or (what.record is not None))
    code = _code(context, what, code_file, second_code, confirm)
    _show(context, switch_to_spare(centre, wiring.sealed_banks(), what, code, reason))


@group.command("status", help=_("The half-days of the national calendar in this centre, and their hours."))
@json_option
@pass_context
def status_command(context: Context) -> None:
    statuses = subject_status(context.centre)

    def text() -> None:
        zone = context.settings.centre.zone.timezone
        table(
            [
                _("Half-day"),
                _("Site"),
                _("Unlock from"),
                _("Candidates in"),
                _("None out before"),
                _("Over"),
                _("Subject"),
            ],
            [
                [
                    item.half_day,
                    item.site,
                    *(
                        moment.astimezone(zone).strftime("%H:%M")
                        for moment in (item.unlock_from, item.enter, item.leave, item.ends_at)
                    ),
                    _(STATES[item.state])
                    + (" · " + _("spare: {reason}").format(reason=item.reason) if item.spare else ""),
                ]
                for item in statuses
            ],
        )

    show(context.as_json, statuses, text)


def _code(
    context: Context, what: Foreseen, file: IO[str] | None, second: bool, confirm: str | None
) -> UnlockCode | None:
    """The code of *what*, from *file* or from the terminal: never from the command line, which others can read. None
    where none is needed."""
    if what.here:
        return None
    check_delay(context.centre)
    _confirm_hours(what, confirm)
    if file is not None:
        lines = [line for line in file.read().splitlines() if line.strip()]
        if not lines:
            raise InputInvalid(_("There is no code on standard input."))
        return typed_code(lines[0], lines[1] if len(lines) > 1 else None)
    ask = _asker()
    return typed_code(
        ask(_("Code of the subject of {half_day}").format(half_day=what.entry.half_day)),
        ask(_("Second code")) if second else None,
    )


def _asker() -> Callable[[str], str]:
    if not sys.stdin.isatty():
        raise Refused(
            _("Nobody can be asked for the code."),
            hint=_("Give it on standard input: `--code-file -`. Nothing was done."),
        )

    def ask(question: str) -> str:
        return str(click.prompt(question, hide_input=True, err=True))

    return ask


def _confirm_hours(what: Foreseen, given: str | None) -> None:
    if not what.needs_confirmation:
        return
    wanted = _("unlock {half_day} outside its hours").format(half_day=what.entry.half_day)
    zone = what.zone_time.tzinfo
    said = _("It is {now}; {half_day} may be unlocked from {begin} to {end}.").format(
        now=what.zone_time.strftime("%H:%M"),
        half_day=what.entry.half_day,
        begin=what.entry.window.unlock_from.astimezone(zone).strftime("%H:%M"),
        end=what.entry.window.ends_at.astimezone(zone).strftime("%H:%M"),
    )
    if given is None and sys.stdin.isatty():
        click.echo(said, err=True)
        given = click.prompt(_("To do it all the same, type: {sentence}").format(sentence=wanted), err=True)
    if (given or "").strip() != wanted:
        raise Refused(
            _("It is outside the permitted hours: nothing was done."),
            hint=_("{said} To do it all the same: --confirm “{sentence}”; it is journaled.").format(
                said=said, sentence=wanted
            ),
        )


def _show(context: Context, report: UnlockReport) -> None:
    record, settings = report.record, context.settings
    seats = sum(len(wave.seats) for wave in report.waves)
    proved = sum(item.fault is None for wave in report.waves for item in wave.seats)
    address = settings.seat_url(min(settings.seats)) + "/jury/"

    def text() -> None:
        said = (
            _("The subject of {half_day} is unlocked.")
            if record.role is Role.SUBJECT
            else _("{half_day} has its spare subject.")
        )
        out.print(said.format(half_day=record.half_day))
        out.print(_("The jury's documents, for the staff's addresses: {address}").format(address=address))
        if report.waves:
            out.print(
                ngettext(
                    "{proved}/{n} seat proved with what the subject begins with.",
                    "{proved}/{n} seats proved with what the subject begins with.",
                    seats,
                ).format(proved=proved, n=seats)
            )
        out.print(
            _("Candidates see it when their wave opens. It is over at {end}.").format(end=clock_time(record.ends_at))
        )

    value = {
        "half_day": record.half_day,
        "role": record.role,
        "site": record.site,
        "jury": address,
        "ends_at": record.ends_at,
        "waves": [{"wave": wave.wave.id, "seats": wave.seats} for wave in report.waves],
        "faults": report.faults,
    }
    show(context.as_json, value, text)
    if report.faults:
        raise NotProved(
            _("The subject is unlocked, but not every prepared seat has its fixtures."),
            hint=_("Run the same command again, or prepare the wave again."),
            details=report.faults,
        )

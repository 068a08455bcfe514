"""``e5b wave``: the life of a wave."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
from rich.filesize import decimal
from rich.text import Text

from orchestrator.cli.context import (
    Context,
    confirm_option,
    dry_run_option,
    json_option,
    pass_context,
    wave_argument,
    yes_option,
)
from orchestrator.cli.output import clock_time, err, out, show, show_alarms, table
from orchestrator.domain.exam import PROVED, Site, Wave
from orchestrator.domain.lifecycle import Action
from orchestrator.errors import EvidenceInvalid, InputInvalid, NotProved
from orchestrator.i18n import _, ngettext
from orchestrator.services.abandon import abandon, abandon_preview
from orchestrator.services.centre import next_step
from orchestrator.services.close import close
from orchestrator.services.guard import was_green_today
from orchestrator.services.open_wave import open_wave
from orchestrator.services.plan_wave import Seated, parse_adjustment, parse_candidates, plan_wave
from orchestrator.services.prepare import Report, prepare
from orchestrator.services.reset import reset, reset_preview
from orchestrator.services.seal import seal
from orchestrator.services.status import SeatStatus, wave_status
from orchestrator.services.subjects import next_step_here


@click.group("wave", help=_("The life of a wave: plan, prepare, open, close, seal, reset."))
def group() -> None: ...


@group.command("plan", help=_("Plan a wave: which candidate at which seat, on which site."))
@click.option("--half-day", required=True, metavar="YYYY-MM-DD-am|pm", help=_("The half-day."))
@click.option("--room", required=True, help=_("The room, as named in centre.toml."))
@click.option("--number", default=1, show_default=True, type=click.IntRange(1, 99), help=_("The wave's number."))
@click.option("--site", required=True, type=click.Choice([site.value for site in Site]), help=_("The site."))
@click.option(
    "--candidates",
    type=click.Path(path_type=Path),
    help=_("A file of lines `seat;candidate` or `seat;candidate;adjustment`, as a spreadsheet saves it."),
)
@click.option("--candidate", "pairs", multiple=True, metavar="SEAT=NUMBER", help=_("One candidate; may be repeated."))
@click.option(
    "--adjust",
    "adjustments",
    multiple=True,
    metavar="SEAT=ADJUSTMENT",
    help=_("A candidate's own time: a factor of the wave's (4/3) or more minutes (+10); may be repeated."),
)
@click.option("--minutes", default=40.0, show_default=True, help=_("A candidate's time, in minutes."))
@json_option
@pass_context
def plan_command(
    context: Context,
    half_day: str,
    room: str,
    number: int,
    site: str,
    candidates: Path | None,
    pairs: tuple[str, ...],
    adjustments: tuple[str, ...],
    minutes: float,
) -> None:
    listed: list[Seated] = []
    if candidates is not None:
        try:
            listed = parse_candidates(candidates.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputInvalid(_("{path} cannot be read: {error}.").format(path=candidates, error=error)) from error
    for pair in pairs:
        seat, _sign, candidate = pair.partition("=")
        if not seat.isdecimal():
            raise InputInvalid(_("{text} is not of the form SEAT=NUMBER.").format(text=pair))
        listed.append(Seated(int(seat), candidate))
    for given in adjustments:
        seat, _sign, text = given.partition("=")
        adjustment = parse_adjustment(text)
        if not seat.isdecimal() or int(seat) not in {item.seat for item in listed} or adjustment is None:
            raise InputInvalid(
                _("{text} is not of the form SEAT=ADJUSTMENT with a seat of the list.").format(text=given)
            )
        listed = [replace(item, adjustment=adjustment) if item.seat == int(seat) else item for item in listed]
    if not 0 < minutes <= 240:  # neither is "nan" nor "inf" a duration
        raise InputInvalid(_("A candidate's time lies between 1 and 240 minutes."))
    wave = plan_wave(
        context.centre,
        half_day=half_day,
        room=room,
        number=number,
        site=Site(site),
        candidates=listed,
        duration=timedelta(minutes=minutes),
    )
    _show_wave(context, wave, _("Wave {wave} is planned: {count} candidates on {site}."))


@group.command("prepare", help=_("Start the environments and prove each one equal to the reference."))
@wave_argument
@json_option
@pass_context
def prepare_command(context: Context, wave: str | None) -> None:
    report = prepare(context.centre, context.wave_id(wave))
    _show_report(context, report, _("{good}/{all} proved in {seconds:.1f} s"))
    if report.faults:
        raise NotProved(
            _("{count} seats are not ready.").format(count=len(report.faults)),
            hint=_("`e5b seat reset SEAT` makes a new environment; then prepare again."),
            details=[f"{item.seat:02d}: {item.fault}" for item in report.faults],
        )


@group.command("open", help=_("Open the seats: the candidates' time begins."))
@wave_argument
@click.option(
    "--leave-out", multiple=True, type=int, metavar="SEAT", help=_("Open without this seat; may be repeated.")
)
@click.option(
    "--without-guard", metavar="REASON", help=_("Open although the guard locks no seat of this wave; journaled.")
)
@confirm_option
@json_option
@pass_context
def open_command(
    context: Context, wave: str | None, leave_out: tuple[int, ...], without_guard: str | None, confirm: str | None
) -> None:
    centre, wave_id = context.centre, context.wave_id(wave)
    if without_guard is not None:
        if not without_guard.strip():
            raise InputInvalid(_("A reason is needed: it goes into the journal."))
        context.confirm_typed(
            _("wave {wave} without guard").format(wave=wave_id),
            confirm,
            _("Every candidate will reach everything on the network. Type: {sentence}"),
        )
    elif centre.guard is not None and not was_green_today(centre):
        warning = _("The guard was not probed today with a good result: `e5b guard probe`.")
        err.print(Text(warning, style="yellow"))
    opened = open_wave(centre, wave_id, leave_out, without_guard=without_guard)
    _show_wave(context, opened, _("Wave {wave} is open until {end}."))


@group.command("close", help=_("Shut every seat. `e5b serve` does it when the last candidate's time is over."))
@wave_argument
@click.option(
    "--early", metavar="REASON", help=_("Close although candidates still have time; the reason is journaled.")
)
@json_option
@pass_context
def close_command(context: Context, wave: str | None, early: str | None) -> None:
    _show_wave(context, close(context.centre, context.wave_id(wave), early=early), _("Wave {wave} is closed."))


@group.command("seal", help=_("Make evidence of each environment's end state: written, read back, verified."))
@wave_argument
@click.option(
    "--waive", type=int, metavar="SEAT", help=_("This seat's environment is lost: go on without its evidence.")
)
@click.option("--reason", help=_("Why, for the journal (with --waive)."))
@confirm_option
@dry_run_option
@json_option
@pass_context
def seal_command(
    context: Context, wave: str | None, waive: int | None, reason: str | None, confirm: str | None, dry_run: bool
) -> None:
    wave_id = context.wave_id(wave)
    waived: tuple[int, str] | None = None
    if waive is not None:
        if not reason:
            raise InputInvalid(_("--waive needs a --reason."))
        if not dry_run:
            context.confirm_typed(
                _("seat {seat} without evidence").format(seat=waive),
                confirm,
                _("The work of this candidate will be lost. Type: {sentence}"),
            )
        waived = (waive, reason)
    if dry_run:
        found = wave_status(context.centre, wave_id)
        context.centre.check_allowed(found.wave, Action.SEAL)

        def preview() -> None:
            show_seats(found.seats)
            out.print(_("Nothing was done: the seats above would be sealed."))

        show(context.as_json, found, preview)
        return
    report = seal(context.centre, wave_id, waive=waived)

    def text() -> None:
        table(
            [_("Seat"), _("Candidate"), _("Archive"), _("Size"), "sha256"],
            [
                [f"{item.seat:02d}", item.candidate, item.archive, decimal(item.size), item.sha256[:16]]
                for item in report.evidence
            ],
        )
        out.print(
            _("{count} sealed and verified in {seconds:.1f} s").format(
                count=len(report.evidence), seconds=report.seconds
            )
        )

    show(context.as_json, report, text)
    if report.faults:
        raise EvidenceInvalid(
            _("{count} seats could not be sealed; the wave stays closed.").format(count=len(report.faults)),
            hint=_("Run the command again. A seat whose environment is lost: --waive SEAT --reason …"),
            details=[f"{seat:02d}: {fault}" for seat, fault in sorted(report.faults.items())],
        )


@group.command("reset", help=_("Give each seat a proved new environment. Refused while evidence is missing."))
@wave_argument
@dry_run_option
@json_option
@pass_context
def reset_command(context: Context, wave: str | None, dry_run: bool) -> None:
    wave_id = context.wave_id(wave)
    if dry_run:
        preview = reset_preview(context.centre, wave_id)

        def text() -> None:
            for environment in preview:
                out.print(
                    _("seat {seat:02d}: {name} would be replaced").format(seat=environment.seat, name=environment.name)
                )

        show(context.as_json, preview, text)
        return
    report = reset(context.centre, wave_id)
    _show_report(context, report, _("{good}/{all} proved in {seconds:.1f} s"), resets=True)
    if report.faults:
        raise NotProved(
            _("{count} seats are not reset; they keep their old environment.").format(count=len(report.faults)),
            hint=_("Run the command again."),
            details=[f"{item.seat:02d}: {item.fault}" for item in report.faults],
        )


@group.command("abandon", help=_("Give a wave up. What candidates did is sealed all the same."))
@wave_argument
@click.option("--reason", required=True, help=_("Why, for the journal."))
@yes_option
@dry_run_option
@json_option
@pass_context
def abandon_command(context: Context, wave: str | None, reason: str, yes: bool, dry_run: bool) -> None:
    wave_id = context.wave_id(wave)
    if dry_run:
        places = abandon_preview(context.centre, wave_id)
        show(
            context.as_json,
            places,
            lambda: out.print(_("{count} seats would be shut and sealed; nothing was done.").format(count=len(places))),
        )
        return
    context.confirm(_("Abandon wave {wave}?").format(wave=wave_id), yes)
    _show_wave(context, abandon(context.centre, wave_id, reason), _("Wave {wave} is abandoned."))


@group.command("status", help=_("Where a wave stands, seat by seat."))
@wave_argument
@json_option
@pass_context
def status_command(context: Context, wave: str | None) -> None:
    status = wave_status(context.centre, context.wave_id(wave))

    def text() -> None:
        shown = status.wave
        out.print(
            Text(f"{shown.id} · {shown.site.value} · {_(shown.state.value)}", style="bold"),
            Text(shown.reason or "", style="italic"),
        )
        show_seats(status.seats)
        show_alarms(status.alarms)
        if status.account is not None:
            out.print(
                _("Candidates log in at {admin} as {login} with the password {password}").format(**status.account),
                markup=False,
            )
        out.print(status.next_step)

    show(context.as_json, status, text)


@group.command("list", help=_("All waves."))
@json_option
@pass_context
def list_command(context: Context) -> None:
    waves = context.store.waves()

    def text() -> None:
        if not waves:
            out.print(_("No wave is planned."))
            return
        table(
            [_("Wave"), _("Site"), _("State"), _("Candidates"), _("Proved")],
            [
                [
                    wave.id,
                    wave.site.value,
                    _(wave.state.value),
                    str(len(wave.places)),
                    f"{sum(place.proved for place in wave.places)}/{sum(not place.absent for place in wave.places)}",
                ]
                for wave in waves
            ],
        )

    show(context.as_json, waves, text)


def show_seats(seats: Sequence[SeatStatus]) -> None:
    """A line per seat; what differs is said below the table, where there is room for it."""
    guarded = any(seat.locked is not None or seat.refused for seat in seats)
    rows: list[list[str | Text]] = []
    for seat in seats:
        marks = [_("absent")] * seat.absent + [_("left out")] * seat.left_out
        proof = Text(_("proved"), style="green") if seat.proof == PROVED else Text(_("differs"), style="red")
        rows.append(
            [
                f"{seat.seat:02d}",
                " ".join([seat.candidate or "", *(f"({mark})" for mark in marks)]),
                _(seat.environment) if seat.environment else "",
                proof if seat.proof else "",
                _(seat.route.value) if seat.route else _("stopped"),
                clock_time(seat.ends_at) if seat.ends_at else _("incident") if seat.suspended else "",
                seat.evidence.sha256[:12] if seat.evidence else "",
                *([_network(seat)] if guarded else []),
            ]
        )
    headings = [_("Seat"), _("Candidate"), _("Site"), _("Proof"), _("Gateway"), _("Until"), _("Evidence")]
    table([*headings, _("Network")] if guarded else headings, rows)
    for seat in seats:
        if seat.proof not in {None, PROVED}:
            out.print(Text(f"{seat.seat:02d}: {seat.proof}", style="red"))


def _network(seat: SeatStatus) -> str:
    state = _("not known") if seat.locked is None else _("locked") if seat.locked else _("open")
    if not seat.refused:
        return state
    refused = ngettext("{n} attempt refused", "{n} attempts refused", seat.refused).format(n=seat.refused)
    return f"{state}, {refused}"


def _show_wave(context: Context, wave: Wave, sentence: str) -> None:
    end = clock_time(wave.ends_at) if wave.ends_at else ""

    def text() -> None:
        out.print(sentence.format(wave=wave.id, count=len(wave.places), site=wave.site.value, end=end))
        out.print(next_step(wave))

    show(context.as_json, wave, text)


def _show_report(context: Context, report: Report, sentence: str, *, resets: bool = False) -> None:
    def text() -> None:
        good = len(report.seats) - len(report.faults)
        out.print(
            Text(
                sentence.format(good=good, all=len(report.seats), seconds=report.seconds),
                style="bold green" if not report.faults else "bold red",
            )
        )
        cold = [item.seat for item in report.seats if item.fault is None and item.standby is False]
        if resets and cold:
            out.print(
                ngettext(
                    "{n} seat had no standby ready: its environment was made anew.",
                    "{n} seats had no standby ready: their environments were made anew.",
                    len(cold),
                ).format(n=len(cold))
            )
        if not report.faults:
            out.print(next_step_here(context.centre, report.wave))

    # With faults the error that follows is the answer, in JSON as well.
    if not (context.as_json and report.faults):
        show(context.as_json, report, text)

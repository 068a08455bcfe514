"""``e5b seat``: one workstation."""

import click

from orchestrator.cli.context import Context, dry_run_option, json_option, pass_context, yes_option
from orchestrator.cli.output import out, show
from orchestrator.cli.wave import show_seats
from orchestrator.errors import NotFound, NotProved
from orchestrator.i18n import _
from orchestrator.services.absent import mark_absent
from orchestrator.services.reset import reset_seat, reset_seat_preview, seal_seat
from orchestrator.services.status import seats_status


@click.group("seat", help=_("One workstation: its state, its reset, an absent candidate."))
def group() -> None: ...


@group.command("status", help=_("The seats: environment, gateway, evidence."))
@click.argument("seat", required=False, type=int)
@json_option
@pass_context
def status_command(context: Context, seat: int | None) -> None:
    seats = [item for item in seats_status(context.centre) if seat is None or item.seat == seat]
    if not seats:
        raise NotFound(_("There is no seat {seat} in centre.toml.").format(seat=seat))
    show(context.as_json, seats, lambda: show_seats(seats))


@group.command("reset", help=_("Give one seat a proved new environment; what was done there is sealed first."))
@click.argument("seat", type=int)
@yes_option
@dry_run_option
@json_option
@pass_context
def reset_command(context: Context, seat: int, yes: bool, dry_run: bool) -> None:
    environment, will_seal = reset_seat_preview(context.centre, seat)
    if dry_run:
        sentence = (
            _("seat {seat:02d}: {name} would be sealed, then replaced")
            if will_seal
            else _("seat {seat:02d}: {name} would be replaced")
        )
        show(
            context.as_json,
            {"environment": environment, "seal_first": will_seal},
            lambda: out.print(sentence.format(seat=seat, name=environment.name)),
        )
        return
    if will_seal:
        context.confirm(_("A candidate is working at seat {seat:02d}. Reset it?").format(seat=seat), yes)
    result, evidence = reset_seat(context.centre, seat)
    if result.fault is not None:
        raise NotProved(
            _("Seat {seat:02d} is not reset: {how}.").format(seat=seat, how=result.fault),
            hint=_("Run the command again; the old environment is still there."),
        )

    def text() -> None:
        if evidence is not None:
            out.print(_("sealed first: {archive}").format(archive=evidence.archive))
        out.print(_("seat {seat:02d}: reset and proved").format(seat=seat))

    show(context.as_json, {"result": result, "evidence": evidence}, text)


@group.command("seal", help=_("Seal one seat again, for instance because its archive was damaged."))
@click.argument("seat", type=int)
@json_option
@pass_context
def seal_command(context: Context, seat: int) -> None:
    evidence = seal_seat(context.centre, seat)
    show(
        context.as_json,
        evidence,
        lambda: out.print(_("seat {seat:02d}: sealed in {archive}").format(seat=seat, archive=evidence.archive)),
    )


@group.command("absent", help=_("The candidate of this seat has not come (or has, after all: --undo)."))
@click.argument("seat", type=int)
@click.option("--wave", help=_("The wave, when it is not the one in progress."))
@click.option("--undo", is_flag=True, help=_("The candidate is there after all."))
@json_option
@pass_context
def absent_command(context: Context, seat: int, wave: str | None, undo: bool) -> None:
    marked = mark_absent(context.centre, context.wave_id(wave), seat, present=undo)
    sentence = _("seat {seat:02d}: present") if undo else _("seat {seat:02d}: absent")
    show(context.as_json, marked, lambda: out.print(sentence.format(seat=seat)))

"""``e5b seat``: one workstation."""

from datetime import timedelta

import click
from rich.filesize import decimal
from rich.text import Text

from orchestrator.cli.context import Context, dry_run_option, json_option, pass_context, yes_option
from orchestrator.cli.output import clock_time, out, show, table
from orchestrator.cli.wave import show_seats
from orchestrator.domain.exam import Place, PointKind, RestorePoint
from orchestrator.domain.time import CreditKind
from orchestrator.errors import InputInvalid, NotFound, NotProved
from orchestrator.i18n import N_, _
from orchestrator.services.absent import mark_absent
from orchestrator.services.extend import extend, open_place, time_of
from orchestrator.services.points import points_of
from orchestrator.services.reset import holder, reset_seat, reset_seat_preview, seal_seat
from orchestrator.services.restore import UNDO, check_spare, move, restore, wanted_point
from orchestrator.services.status import seats_status

POINTS = {
    PointKind.SCHEDULED: N_("at its time"),
    PointKind.ASKED: N_("asked for"),
    PointKind.UNDO: N_("before a restore"),
}

CREDITS = {
    CreditKind.EXTENSION: N_("time given"),
    CreditKind.INCIDENT: N_("incident"),
    CreditKind.RESTORE: N_("site restored"),
    CreditKind.RESET: N_("site reset"),
    CreditKind.MOVE: N_("moved to another seat"),
    CreditKind.OUTAGE: N_("the site did not answer"),
    CreditKind.GATEWAY: N_("the gateway did not answer"),
    CreditKind.MACHINE: N_("the machine was down"),
    CreditKind.SHUT: N_("the seat was shut"),
}


@click.group("seat", help=_("One workstation: its state, its time, its reset, its restore points."))
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
        out.print(
            _("seat {seat:02d}: reset and proved, from the standby").format(seat=seat)
            if result.standby
            else _("seat {seat:02d}: reset and proved; no standby was ready, it took its time").format(seat=seat)
        )
        if evidence is not None:
            out.print(_("what was done there is sealed: {archive}").format(archive=evidence.archive))

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


@group.command("points", help=_("A seat's restore points."))
@click.argument("seat", type=int)
@json_option
@pass_context
def points_command(context: Context, seat: int) -> None:
    wave, place = holder(context.centre, seat)
    points = points_of(context.centre, wave, place)

    def text() -> None:
        if not points:
            out.print(_("Seat {seat:02d} has no restore point yet.").format(seat=seat))
            return
        table(
            [_("Point"), _("Taken at"), _("Why"), _("Size"), ""],
            [
                [
                    str(item.number),
                    clock_time(item.taken_at),
                    _(POINTS[item.kind]),
                    decimal(item.size),
                    _("pruned") if item.pruned_at else "",
                ]
                for item in points
            ],
        )

    show(context.as_json, points, text)


@group.command(
    "restore", help=_("Bring a seat back to a restore point; its state of now is kept, for `e5b seat undo`.")
)
@click.argument("seat", type=int)
@click.option(
    "--to", required=True, metavar="reference|last|POINT", help=_("A new site, the newest point, or a point's number.")
)
@click.option(
    "--technical",
    is_flag=True,
    help=_("Not the candidate's doing: the time since the point is given back too."),
)
@yes_option
@dry_run_option
@json_option
@pass_context
def restore_command(context: Context, seat: int, to: str, technical: bool, yes: bool, dry_run: bool) -> None:
    _restore(context, seat, to, technical=technical, yes=yes, dry_run=dry_run)


@group.command("undo", help=_("Undo the last restore of a seat; the state of now is kept in its turn."))
@click.argument("seat", type=int)
@yes_option
@dry_run_option
@json_option
@pass_context
def undo_command(context: Context, seat: int, yes: bool, dry_run: bool) -> None:
    _restore(context, seat, UNDO, technical=False, yes=yes, dry_run=dry_run)


def _restore(context: Context, seat: int, to: str, *, technical: bool, yes: bool, dry_run: bool) -> None:
    point = wanted_point(context.centre, *open_place(context.centre, seat), to)
    target = _("the reference") if point is None else _point(point)
    if dry_run:
        show(
            context.as_json,
            {"point": point},
            lambda: out.print(
                _("Seat {seat:02d} would be brought back to {target}; its state of now would be kept.").format(
                    seat=seat, target=target
                )
            ),
        )
        return
    question = _("Bring the candidate's site at seat {seat:02d} back to {target}?").format(seat=seat, target=target)
    context.confirm(question, yes)
    restored = restore(context.centre, seat, to, technical=technical)

    def text() -> None:
        sentence = (
            _("seat {seat:02d}: brought back to {target}, from the standby")
            if restored.standby
            else _("seat {seat:02d}: brought back to {target}")
        )
        out.print(sentence.format(seat=seat, target=target))
        _show_end(restored.place)
        if restored.kept is not None:
            out.print(
                _("Its former state is restore point {number}: `e5b seat undo {seat}` brings it back.").format(
                    number=restored.kept.number, seat=seat
                )
            )

    show(context.as_json, restored, text)


def _point(point: RestorePoint) -> str:
    return _("restore point {number} of {time}").format(number=point.number, time=clock_time(point.taken_at))


def _show_end(place: Place) -> None:
    if place.ends_at is not None:
        out.print(
            _("The time at seat {seat:02d} ends at {end}.").format(seat=place.seat, end=clock_time(place.ends_at))
        )


@group.command("move", help=_("Move a candidate, with their site as it is, to a spare seat of the room."))
@click.argument("seat", type=int)
@click.option("--to", "spare", required=True, type=int, metavar="SEAT", help=_("The spare seat."))
@yes_option
@dry_run_option
@json_option
@pass_context
def move_command(context: Context, seat: int, spare: int, yes: bool, dry_run: bool) -> None:
    if dry_run:
        wave, place = open_place(context.centre, seat)
        check_spare(context.centre, wave, spare)
        sentence = _("Candidate {candidate} would be moved from seat {seat:02d} to seat {spare:02d}.")
        show(
            context.as_json,
            {"candidate": place.candidate, "seat": seat, "to": spare},
            lambda: out.print(sentence.format(candidate=place.candidate, seat=seat, spare=spare)),
        )
        return
    question = _("Move the candidate of seat {seat:02d} to seat {spare:02d}?").format(seat=seat, spare=spare)
    context.confirm(question, yes)
    moved = move(context.centre, seat, spare)

    def text() -> None:
        out.print(
            _("Candidate {candidate} goes on at seat {spare:02d}: {url}").format(
                candidate=moved.place.candidate, spare=spare, url=context.settings.seat_url(spare)
            )
        )
        _show_end(moved.place)

    show(context.as_json, moved, text)


@group.command("extend", help=_("Give the candidate of a seat more time; a seat that is shut opens again."))
@click.argument("seat", type=int)
@click.argument("minutes", type=float)
@click.option("--reason", required=True, help=_("Why, for the journal."))
@json_option
@pass_context
def extend_command(context: Context, seat: int, minutes: float, reason: str) -> None:
    if not 0 < minutes <= 240:  # neither is "nan" nor "inf" a duration
        raise InputInvalid(_("Between 1 and 240 minutes can be given."))
    place = extend(context.centre, seat, timedelta(minutes=minutes), reason)
    show(context.as_json, place, lambda: _show_end(place))


@group.command("time", help=_("Explain, to the second, when a candidate's time is over."))
@click.argument("seat", type=int)
@json_option
@pass_context
def time_command(context: Context, seat: int) -> None:
    place, lines = time_of(context.centre, seat)

    def text() -> None:
        assert place.opened_at is not None  # noqa: S101 - time_of refuses otherwise
        rows: list[list[str | Text]] = [
            [clock_time(place.opened_at), _("opened"), ""],
            ["", _("the exam's time"), f"+{place.duration}"],
        ]
        if place.adjustment is not None:
            adds = place.allotted - place.duration
            rows.append(["", _("adjustment {adjustment}").format(adjustment=place.adjustment), f"+{adds}"])
        for line in lines:
            credit = line.credit
            until = f"–{clock_time(credit.ended_at)}" if credit.ended_at else ""
            what = _(CREDITS[credit.kind])
            why = _("{what}: {reason}").format(what=what, reason=credit.reason) if credit.reason else what
            rows.append(
                [clock_time(credit.began_at) + until, why, _("goes on") if line.adds is None else f"+{line.adds}"]
            )
        end = _("not known yet") if place.ends_at is None else clock_time(place.ends_at)
        rows.append([end, _("the end"), ""])
        table([_("When"), _("What"), _("Time")], rows)

    show(
        context.as_json,
        {
            "seat": seat,
            "candidate": place.candidate,
            "opened_at": place.opened_at,
            "base": place.duration,
            "adjustment": place.adjustment,
            "allotted": place.allotted,
            "credits": [
                {
                    "kind": line.credit.kind,
                    "reason": line.credit.reason,
                    "began_at": line.credit.began_at,
                    "ended_at": line.credit.ended_at,
                    "seconds": line.adds,
                }
                for line in lines
            ],
            "ends_at": place.ends_at,
        },
        text,
    )

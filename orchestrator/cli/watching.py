"""``e5b point``, ``e5b incident``, ``e5b standby``, ``e5b alarm``: what happens besides a wave's own steps."""

import click
from rich.filesize import decimal
from rich.text import Text

from orchestrator.cli.context import Context, json_option, pass_context
from orchestrator.cli.output import clock_time, out, show, show_alarms, table
from orchestrator.domain.exam import Place
from orchestrator.i18n import _
from orchestrator.services.incident import close_incident, open_incident
from orchestrator.services.points import take_points
from orchestrator.services.standbys import standbys_status


@click.group("point", help=_("Restore points: snapshots of the candidates' sites while they work."))
def point() -> None: ...


@point.command("take", help=_("Take a restore point now, of these seats or of all where a candidate works."))
@click.argument("seats", nargs=-1, type=int)
@json_option
@pass_context
def take_command(context: Context, seats: tuple[int, ...]) -> None:
    taken = take_points(context.centre, seats)

    def text() -> None:
        for item in taken:
            out.print(
                _("seat {seat:02d}: restore point {number}, {size}").format(
                    seat=item.seat, number=item.number, size=decimal(item.size)
                )
            )

    show(context.as_json, taken, text)


@click.group("incident", help=_("Incidents: the time that they take is given back to the candidates."))
def incident() -> None: ...


wave_option = click.option("--wave", help=_("The wave, when it is not the one in progress."))


@incident.command("open", help=_("An incident begins, at these seats or in the whole room: their time is given back."))
@click.argument("seats", nargs=-1, type=int)
@click.option("--reason", required=True, help=_("What has happened, for the journal."))
@wave_option
@json_option
@pass_context
def open_command(context: Context, seats: tuple[int, ...], reason: str, wave: str | None) -> None:
    places = open_incident(context.centre, context.wave_id(wave), seats, reason)
    show(
        context.as_json,
        places,
        lambda: out.print(
            _("Incident at seats {seats}: until `e5b incident close` their time is given back.").format(
                seats=_numbers(places)
            )
        ),
    )


@incident.command("close", help=_("The incident is over, at these seats or in the whole room."))
@click.argument("seats", nargs=-1, type=int)
@wave_option
@json_option
@pass_context
def close_command(context: Context, seats: tuple[int, ...], wave: str | None) -> None:
    places = close_incident(context.centre, context.wave_id(wave), seats)

    def text() -> None:
        for place in places:
            end = clock_time(place.ends_at) if place.ends_at else _("not known yet")
            out.print(_("The time at seat {seat:02d} ends at {end}.").format(seat=place.seat, end=end))

    show(context.as_json, places, text)


def _numbers(places: list[Place]) -> str:
    return ", ".join(f"{place.seat:02d}" for place in places)


@click.group("standby", help=_("Standbys: what is ready behind the seats."))
def standby() -> None: ...


@standby.command("status", help=_("Which seats have a proved environment ready behind them."))
@json_option
@pass_context
def status_command(context: Context) -> None:
    lines = standbys_status(context.centre)

    def text() -> None:
        if not lines:
            out.print(_("No seat needs a standby now."))
            return
        table(
            [_("Seat"), _("For wave"), _("Site"), _("Standby")],
            [
                [
                    f"{line.seat:02d}",
                    line.wave,
                    line.site.value,
                    Text(_("ready"), style="green")
                    if line.ready
                    else _("being made")
                    if line.environment
                    else _("none: a reset takes seconds"),
                ]
                for line in lines
            ],
        )
        if not context.centre.locks.supervised():
            out.print(_("`e5b serve` does not run: no standby is made."))

    show(context.as_json, lines, text)


@click.group("alarm", help=_("Alarms: what a person must know until it is over."))
def alarm() -> None: ...


@alarm.command("list", help=_("The alarms that are on."))
@json_option
@pass_context
def list_command(context: Context) -> None:
    alarms = context.store.alarms()

    def text() -> None:
        show_alarms(alarms)
        if not alarms:
            out.print(_("No alarm."))

    show(context.as_json, alarms, text)

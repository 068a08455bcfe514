"""``e5b serve``: the supervisor, which closes and seals a wave by itself and keeps its sites alive."""

import json
import signal
import sys
import threading

import click

from orchestrator import wiring
from orchestrator.cli.context import Context, json_option, pass_context
from orchestrator.cli.output import NoProgress, clock_time, out, plain, show, show_error, unexpected
from orchestrator.cli.warm import beside
from orchestrator.errors import E5BError, EngineUnavailable
from orchestrator.i18n import _, language
from orchestrator.services.centre import Centre
from orchestrator.services.supervise import run

ENGINE_AGAIN = 2.0
"""Seconds before the engine is asked again."""


@click.command(
    "serve",
    help=_("Supervise: close each seat in its time, seal, keep the sites alive, make restore points and standbys."),
)
@click.option(
    "--unit", is_flag=True, help=_("Print a systemd unit that keeps it running, also after a reboot; start nothing.")
)
@json_option
@pass_context
def command(context: Context, unit: bool) -> None:
    if unit:
        text = _unit(context)
        show(context.as_json, {"unit": text}, lambda: click.echo(text, nl=False))
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_arguments: stop.set())
    centre = _centre_at_last(context, stop)
    if centre is None:
        return

    words = {"closed": _("closed"), "sealed": _("sealed"), "over": _("time is over at seat {seat}")}

    def tell(about: str, what: str) -> None:
        moment = centre.clock.now()
        if context.as_json:
            sys.stdout.write(json.dumps(plain({"at": moment, "about": about, "event": what})) + "\n")
            sys.stdout.flush()
        else:
            event, _space, seat = what.partition(" ")
            said = words[event].format(seat=seat) if event in words else what
            out.print(_("{time} {about}: {what}").format(time=clock_time(moment), about=about, what=said), markup=False)

    def report(error: E5BError) -> None:
        show_error(error, context.as_json)

    tell(centre.settings.centre.id, _("watching; stop with Ctrl-C"))
    with beside(context.path):
        run(centre, tell, report, stop.wait, unexpected)


def _centre_at_last(context: Context, stop: threading.Event) -> Centre | None:
    """The centre, once an engine answers: after a reboot the engine may come up later than we do. None when stopped."""
    said = False
    while True:
        try:
            # Nobody sits in front of it: no bars, what happens is told.
            return wiring.centre(context.settings, NoProgress())
        except EngineUnavailable as error:
            if not said:
                show_error(error, context.as_json)
            said = True
            if stop.wait(ENGINE_AGAIN):
                return None


def _unit(context: Context) -> str:
    """A unit of systemd (systemd.service(5)) for this centre and this installation."""
    name = _quoted(" ".join(context.settings.centre.name.split()))
    file = _quoted(str(context.path.resolve()))
    return f"""[Unit]
Description=E5B {name}
After=docker.service time-sync.target
Wants=docker.service

[Service]
Environment="E5B_CENTRE={file}" "E5B_LANG={language()}"
ExecStart="{_quoted(sys.executable)}" -m orchestrator serve
Restart=always
RestartSec=1
# Evidence that is being written is written to its end.
TimeoutStopSec=120

[Install]
WantedBy=multi-user.target
"""


def _quoted(text: str) -> str:
    """As it is written between quotes in a unit (systemd.syntax(7)); ``%`` begins a specifier there."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")

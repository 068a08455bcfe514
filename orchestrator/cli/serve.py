"""``e5b serve``: the clock that closes and seals a wave by itself."""

import json
import signal
import sys
import threading

import click

from orchestrator.cli.context import Context, json_option, pass_context
from orchestrator.cli.output import out, plain, show_error
from orchestrator.errors import E5BError
from orchestrator.i18n import _
from orchestrator.services.supervise import run


@click.command("serve", help=_("Watch the time: close each seat when its time is over, then seal the wave."))
@json_option
@pass_context
def command(context: Context) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_arguments: stop.set())
    centre = context.centre

    words = {
        "closed": _("closed"),
        "sealed": _("sealed"),
        "overflow": _("too much written: the site is frozen; seal and reset this seat"),
        "over": _("time is over at seat {seat}"),
    }

    def tell(about: str, what: str) -> None:
        moment = centre.clock.now()
        if context.as_json:
            sys.stdout.write(json.dumps(plain({"at": moment, "about": about, "event": what})) + "\n")
            sys.stdout.flush()
        else:
            event, _space, seat = what.partition(" ")
            said = words[event].format(seat=seat) if event in words else what
            out.print(f"{moment.astimezone().strftime('%H:%M:%S')} {about}: {said}", markup=False)

    def report(error: E5BError) -> None:
        show_error(error, context.as_json)

    tell(centre.settings.centre.id, _("watching the time; stop with Ctrl-C"))
    run(centre, tell, report, stop.wait)

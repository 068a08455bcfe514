"""The ``e5b`` command: its groups, and the one place that turns errors into messages and exit codes."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class
from rich.text import Text

from orchestrator import __version__, i18n
from orchestrator.cli.context import Context, json_option, pass_context
from orchestrator.cli.output import err, out, show, show_error, table, unexpected
from orchestrator.errors import E5BError, InputInvalid, NotProved
from orchestrator.i18n import _
from orchestrator.services.init import init
from orchestrator.services.preflight import Verdict, preflight

INTERRUPTED = 130

ELSEWHERE = {
    "wave": "wave:group",
    "seat": "seat:group",
    "point": "watching:point",
    "incident": "watching:incident",
    "standby": "watching:standby",
    "alarm": "watching:alarm",
    "evidence": "evidence:group",
    "guard": "guard:group",
    "journal": "journal:group",
    "serve": "serve:command",
    "bank": "bank:group",
    "subject": "subject:group",
    "print": "print_papers:group",
    "setup": "setup:setup",
    "image": "setup:image",
    "context": "context_package:group",
}
"""The commands by their module in this package: a reset does not wait until Python has read what a set-up needs."""


class Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ELSEWHERE and cmd_name not in self.commands:
            module, name = ELSEWHERE[cmd_name].split(":")
            self.add_command(getattr(importlib.import_module(f"orchestrator.cli.{module}"), name))
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=Commands,
    help=_("Exam-lab orchestrator for épreuve E5B of the BTS NDRC."),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="e5b", help=_("Show the version and exit."))
@click.option(
    "--centre",
    "path",
    type=click.Path(path_type=Path),
    default=Path("centre.toml"),
    envvar="E5B_CENTRE",
    show_default=True,
    help=_("The centre's settings file."),
)
@click.pass_context
def e5b(context: click.Context, path: Path) -> None:
    context.ensure_object(Context).path = path


@e5b.command("init", help=_("Write a commented centre.toml."))
@click.option(
    "--id", "centre", required=True, help=_("Short id of the centre, for instance its UAI number in lower case.")
)
@click.option("--name", required=True, help=_("The centre's name."))
@click.option("--room", default="salle-1", show_default=True, help=_("The room's short name."))
@click.option("--seats", default=20, show_default=True, type=click.IntRange(1, 99), help=_("How many workstations."))
@click.option("--first-address", required=True, help=_("Address of the first workstation; the others follow it."))
@click.option("--staff", multiple=True, metavar="NETWORK", help=_("Address or network of the staff; may be repeated."))
@click.option(
    "--addressing",
    type=click.Choice(["port", "host"]),
    default="port",
    show_default=True,
    help=_("How a seat's site is addressed."),
)
@click.option("--host", default="127.0.0.1", show_default=True, help=_("This machine's address, as the seats type it."))
@click.option("--first-port", default=8001, show_default=True, type=int, help=_("Port of the first seat's site."))
@click.option("--domain", default="e5b.lan", show_default=True, help=_("Domain of the seats' host names."))
@click.option("--subnet", default="10.213.0.0/24", show_default=True, help=_("Internal network of the environments."))
@click.option(
    "--state",
    default=Path("state"),
    show_default=True,
    type=click.Path(path_type=Path),
    help=_("Folder of the state and the evidence."),
)
@click.option(
    "--public-key",
    default="",
    metavar="KEY",
    help=_("The pilot academy's public key, or its file minisign.pub: what it has not signed is refused."),
)
@click.option(
    "--guard",
    type=click.Choice(["off", "gateway", "proxy"]),
    default="off",
    show_default=True,
    help=_("How this machine closes what the seats may not reach; see docs/fr/filtrage.md."),
)
@click.option("--interface", default="", help=_("Guard: network interface on the seats' side."))
@click.option("--uplink", default="", help=_("Guard: network interface towards the Internet."))
@click.option("--resolver", "resolvers", multiple=True, help=_("Guard: a name server to ask; may be repeated."))
@click.option("--mac", "macs", multiple=True, metavar="SEAT=MAC", help=_("A seat's hardware address; may be repeated."))
@json_option
@pass_context
def init_command(
    context: Context,
    centre: str,
    name: str,
    room: str,
    seats: int,
    first_address: str,
    staff: tuple[str, ...],
    addressing: str,
    host: str,
    first_port: int,
    domain: str,
    subnet: str,
    state: Path,
    public_key: str,
    guard: str,
    interface: str,
    uplink: str,
    resolvers: tuple[str, ...],
    macs: tuple[str, ...],
) -> None:
    by_seat: dict[int, str] = {}
    for given in macs:
        seat, _sign, mac = given.partition("=")
        if not seat.isdecimal():
            raise InputInvalid(_("{text} is not of the form SEAT=MAC.").format(text=given))
        by_seat[int(seat)] = mac
    init(
        context.path,
        centre=centre,
        name=name,
        room=room,
        seats=seats,
        first_address=first_address,
        gateway={"addressing": addressing, "host": host, "first_port": first_port, "domain": domain, "staff": staff},
        network={"subnet": subnet},
        state=state,
        public_key=public_key,
        guard={"mode": guard, "interface": interface, "uplink": uplink, "resolvers": resolvers},
        macs=by_seat,
    )

    def text() -> None:
        out.print(_("{path} is written. Read it, then run `e5b preflight`.").format(path=context.path))

    show(context.as_json, {"path": context.path}, text)


@e5b.command("preflight", help=_("Is everything ready? One line per check, with what to do."))
@json_option
@pass_context
def preflight_command(context: Context) -> None:
    checks = preflight(context.centre)
    styles = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILURE: "bold red"}
    failures = [check for check in checks if check.verdict is Verdict.FAILURE]

    def text() -> None:
        table(
            [_("Check"), _("Verdict"), _("Found"), _("What to do")],
            [
                [check.name, Text(_(check.verdict.value), style=styles[check.verdict]), check.detail, check.remedy]
                for check in checks
            ],
        )
        if not failures:
            out.print(Text(_("Ready."), style="bold green"))

    show(context.as_json, {"ready": not failures, "checks": checks}, text)
    if failures:
        fault = NotProved(
            _("{count} checks failed.").format(count=len(failures)), details=[check.name for check in failures]
        )
        if context.as_json:
            raise SystemExit(fault.exit_code)
        raise fault


@e5b.command("completion", help=_('Print the shell\'s completion script: eval "$(e5b completion bash)"'))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@pass_context
def completion_command(context: Context, shell: str) -> None:
    found = get_completion_class(shell)
    if found is None:
        raise InputInvalid(_("There is no completion for {shell}.").format(shell=shell))
    script = found(e5b, {}, "e5b", "_E5B_COMPLETE").source()
    show(context.as_json, {"shell": shell, "script": script}, lambda: click.echo(script))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code that `docs/reference/exit-codes.md` lists."""
    gc.enable()
    i18n.install()
    context = Context()
    try:
        result: Any = e5b.main(
            args=None if arguments is None else list(arguments), prog_name="e5b", standalone_mode=False, obj=context
        )
    except E5BError as error:
        show_error(error, context.as_json)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        show_error(_from_click(error), context.as_json)
        sys.exit(InputInvalid.exit_code)
    except (click.Abort, KeyboardInterrupt):
        err.print(_("Interrupted. What was begun is stored: the same command finishes it."))
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader has seen enough (`| head`): nothing to say, and nothing more to write at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        show_error(unexpected(error), context.as_json)
        sys.exit(E5BError.exit_code)
    sys.exit(result if isinstance(result, int) else 0)


def _from_click(error: click.ClickException) -> InputInvalid:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "e5b"
    return InputInvalid(
        error.format_message(), hint=_("`{command} --help` shows what it takes.").format(command=command)
    )

"""``e5b journal``: what happened, and the proof that nothing was taken out of it."""

import json

import click

from orchestrator.cli.context import Context, json_option, pass_context
from orchestrator.cli.output import out, show
from orchestrator.i18n import _


@click.group("journal", help=_("The journal: who did what, when, at which seat."))
def group() -> None: ...


@group.command("show", help=_("Show the journal."))
@click.option("--wave", help=_("This wave only."))
@click.option("--last", type=click.IntRange(min=1), help=_("This many of the newest lines."))
@json_option
@pass_context
def show_command(context: Context, wave: str | None, last: int | None) -> None:
    lines = context.store.journal(wave)
    lines = lines[-last:] if last else lines

    def text() -> None:
        for line in lines:
            seat = f" {line.seat:02d}" if line.seat is not None else ""
            data = json.dumps(line.data, ensure_ascii=False) if line.data else ""
            moment = line.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            out.print(
                f"{line.number:5} {moment} {line.actor} {line.action}{seat} {line.wave or ''} {data}",
                markup=False,
                soft_wrap=True,
            )

    show(context.as_json, lines, text)


@group.command("verify", help=_("Check the journal's chain from its first line to its last."))
@json_option
@pass_context
def verify_command(context: Context) -> None:
    last = context.store.verify_journal()

    def text() -> None:
        if last is None:
            out.print(_("The journal is empty."))
        else:
            sentence = _("{lines} lines, the chain holds. Last: {hash}").format(lines=last.number, hash=last.hash)
            # In one piece: people copy the digest.
            out.print(sentence, soft_wrap=True)

    show(context.as_json, {"lines": last.number if last else 0, "hash": last.hash if last else None}, text)

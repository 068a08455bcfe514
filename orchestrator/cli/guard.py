"""``e5b guard``: what the seats may reach on the network."""

from datetime import timedelta
from pathlib import Path

import click
from rich.text import Text

from orchestrator.cli.context import Context, confirm_option, dry_run_option, json_option, pass_context
from orchestrator.cli.output import out, show, table
from orchestrator.domain.probes import Verdict
from orchestrator.errors import InputInvalid, NotProved
from orchestrator.i18n import N_, _, ngettext
from orchestrator.services.guard import (
    GuardStatus,
    PolicyChange,
    SeatGuard,
    Switched,
    Why,
    apply,
    apply_preview,
    guard_status,
    off_preview,
    switch_off,
    switch_on,
)
from orchestrator.services.guard_lint import Severity, lint
from orchestrator.services.guard_log import catch_up, guard_log
from orchestrator.services.guard_policy import explain, read_policy, sentences
from orchestrator.services.guard_probe import Probed, judge, laptop_script, probe_guard

MODES = {
    "gateway": N_("this machine is the seats' router: nothing gets round it on the network"),
    "proxy": N_("the seats' browsers use this machine as a proxy: weaker, what does not use the proxy gets round it"),
}

WHYS = {
    Why.WAVE: N_("a candidate works there"),
    Why.HAND: N_("by hand, until `e5b guard off`"),
    Why.EXCEPTED: N_("open in spite of its wave"),
}

LAYERS = {"dns": N_("name server"), "name": N_("name of the connection"), "network": N_("network")}

VERDICTS = {
    Verdict.WORKS: (N_("works"), "green"),
    Verdict.CLOSED: (N_("closed"), "green"),
    Verdict.OPEN: (N_("OPEN"), "bold red"),
    Verdict.BROKEN: (N_("BROKEN"), "bold red"),
    Verdict.UNPROVED: (N_("does not count"), "yellow"),
}

SHOWN = 40
"""Names of a change that are shown; more are counted."""


@click.group("guard", help=_("The guard: what the seats may reach on the network."))
def group() -> None: ...


seats_argument = click.argument("seats", nargs=-1, type=int)


@group.command("on", help=_("Lock seats, or all of the centre, until `e5b guard off`. A wave locks its own by itself."))
@seats_argument
@json_option
@pass_context
def on_command(context: Context, seats: tuple[int, ...]) -> None:
    switched = switch_on(context.centre, seats)
    show(
        context.as_json,
        switched,
        lambda: out.print(_("Locked: seats {seats}.").format(seats=_numbers(switched.seats)), soft_wrap=True),
    )


@group.command("off", help=_("Unlock seats, or all of the centre. Where a candidate works, only with a reason."))
@seats_argument
@click.option("--reason", help=_("Why a seat where a candidate works is unlocked, for the journal."))
@confirm_option
@dry_run_option
@json_option
@pass_context
def off_command(
    context: Context, seats: tuple[int, ...], reason: str | None, confirm: str | None, dry_run: bool
) -> None:
    preview = off_preview(context.centre, seats)
    if dry_run:
        show(context.as_json, preview, lambda: _show_off(preview))
        return
    if preview.excepted and reason:
        context.confirm_typed(
            _("seats {seats} without guard").format(seats=_numbers(preview.excepted)),
            confirm,
            _("Candidates work there, and will reach everything until their wave is over. Type: {sentence}"),
        )
    switched = switch_off(context.centre, seats, reason or "")
    show(
        context.as_json,
        switched,
        lambda: out.print(_("Unlocked: seats {seats}.").format(seats=_numbers(switched.seats)), soft_wrap=True),
    )


def _show_off(preview: Switched) -> None:
    out.print(_("Seats {seats} would be unlocked.").format(seats=_numbers(preview.seats)), soft_wrap=True)
    if preview.excepted:
        out.print(
            _("Candidates work at {seats}: a reason and a confirmation are needed.").format(
                seats=_numbers(preview.excepted)
            ),
            soft_wrap=True,
        )


@group.command("status", help=_("Whether the guard runs, what it locks and why."))
@json_option
@pass_context
def status_command(context: Context) -> None:
    status = guard_status(context.centre)
    show(context.as_json, status, lambda: _show_status(status))


def _show_status(status: GuardStatus) -> None:
    out.print(_("Mode {mode}: {meaning}.").format(mode=status.mode, meaning=_(MODES[status.mode])), soft_wrap=True)
    state = status.state
    if state is None:
        out.print(Text(_("The guard does not run. `e5b guard apply` starts it."), style="bold red"))
    else:
        for name, runs in sorted(state.engines.items()):
            out.print(f"{name}: ", Text(_("runs"), style="green") if runs else Text(_("stopped"), style="bold red"))
    if status.applied_at is None:
        out.print(_("No policy was put in place yet."))
    else:
        policy = _("Policy {version}: {names} names, put in place {moment}").format(
            version=(status.policy or "")[:12],
            names=status.names,
            moment=status.applied_at.astimezone().strftime("%Y-%m-%d %H:%M"),
        )
        out.print(policy)
        if state is not None and state.version != status.policy:
            out.print(Text(_("The guard serves another one."), style="bold red"))
    probed = _("Probed today: all that should be closed is closed.")
    not_probed = _("Not probed today with a good result: `e5b guard probe`.")
    out.print(Text(probed, style="green") if status.probed else Text(not_probed, style="yellow"))
    table(
        [_("Seat"), _("Network"), _("Why"), _("Wave"), _("Refused")],
        [
            [
                f"{seat.seat:02d}",
                _network(seat),
                ": ".join(filter(None, [_(WHYS[seat.why]) if seat.why else "", seat.reason])),
                seat.wave or "",
                str(seat.tried) if seat.tried else "",
            ]
            for seat in status.seats
        ],
    )


def _network(seat: SeatGuard) -> Text:
    if seat.locked is None:
        return Text(_("not known"), style="bold red")
    style = "" if seat.locked is seat.desired else "bold red"
    return Text(_("locked") if seat.locked else _("open"), style=style)


@group.command("apply", help=_("Read the lists anew and put them in place; start the guard if it does not run."))
@dry_run_option
@json_option
@pass_context
def apply_command(context: Context, dry_run: bool) -> None:
    if dry_run:
        preview = apply_preview(context.centre)

        def text() -> None:
            _show_change(preview)
            out.print(_("Nothing was done."))

        show(context.as_json, preview, text)
        return
    change = apply(context.centre)

    def applied() -> None:
        _show_change(change)
        if change.started:
            out.print(_("The guard is started."))
        sentence = ngettext(
            "In place: {n} name, version {version}", "In place: {n} names, version {version}", change.names
        )
        out.print(sentence.format(n=change.names, version=change.version[:12]))

    show(context.as_json, change, applied)


def _show_change(change: PolicyChange) -> None:
    for sign, names, style in (
        ("+", change.added, "green"),
        ("-", change.removed, "red"),
        ("~", change.changed, "yellow"),
    ):
        for name in names[:SHOWN]:
            out.print(Text(f"{sign} {name}", style=style))
        if len(names) > SHOWN:
            out.print(Text(f"{sign} " + _("and {count} more").format(count=len(names) - SHOWN), style=style))
    if change.empty:
        out.print(_("The lists say what is in place."))


@group.command("lint", help=_("Look for contradictions in the lists. Nothing is put in place."))
@json_option
@pass_context
def lint_command(context: Context) -> None:
    policy, lists = read_policy(context.policy_files, context.settings)
    found = lint(policy, lists)
    errors = [item for item in found if item.severity is Severity.ERROR]
    styles = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: ""}

    def text() -> None:
        for item in found:
            out.print(Text(f"{_(item.severity.value)}: {item.sentence}", style=styles[item.severity]), soft_wrap=True)
        sentence = ngettext("{n} name, {errors} errors", "{n} names, {errors} errors", len(policy.rules))
        out.print(sentence.format(n=len(policy.rules), errors=len(errors)))

    show(context.as_json, {"names": len(policy.rules), "version": policy.version, "findings": found}, text)
    if errors:
        fault = NotProved(
            _("The lists contradict themselves."), hint=_("Correct them, then run `e5b guard lint` again.")
        )
        if context.as_json:
            raise SystemExit(fault.exit_code)
        raise fault


@group.command("explain", help=_("What a seat gets that asks for a name, a URL or an address, and which rule decides."))
@click.argument("name")
@click.option("--lists", is_flag=True, help=_("By the lists as they are now, not by what is in place."))
@json_option
@pass_context
def explain_command(context: Context, name: str, lists: bool) -> None:
    in_place = None if lists else context.store.policy()
    found = explain(in_place or read_policy(context.policy_files, context.settings)[0], context.settings, name)

    def text() -> None:
        for sentence in sentences(found):
            out.print(sentence, soft_wrap=True, markup=False)
        if in_place is None and not lists:
            out.print(_("No policy was put in place yet: these are the lists as they are now."))

    show(context.as_json, found, text)


@group.command(
    "probe", help=_("Try all that leads past the guard, from a seat's point of view: unlocked, then locked.")
)
@click.option("--script", type=int, metavar="SEAT", help=_("Print a script for a laptop on this seat's cable."))
@click.option("--judge", "judged", type=int, metavar="SEAT", help=_("Judge what the script wrote at this seat."))
@click.option("--unlocked", type=click.Path(path_type=Path), help=_("With --judge: its answer with the seat unlocked."))
@click.option("--locked", type=click.Path(path_type=Path), help=_("With --judge: its answer with the seat locked."))
@json_option
@pass_context
def probe_command(
    context: Context, script: int | None, judged: int | None, unlocked: Path | None, locked: Path | None
) -> None:
    if script is not None:
        text = laptop_script(context.centre, script)
        show(context.as_json, {"seat": script, "script": text}, lambda: click.echo(text))
        return
    if judged is None:
        probed = probe_guard(context.centre)
    elif unlocked is None or locked is None:
        raise InputInvalid(_("--judge needs --unlocked and --locked."))
    else:
        probed = judge(context.centre, judged, unlocked, locked)
    fault = NotProved(
        _("The guard does not hold everything that it should."),
        hint=_("docs/fr/filtrage.md says what each attempt means."),
        details=[
            f"{_(line.attempt)} ({line.id}): {_(VERDICTS[line.verdict][0])}"
            for line in (*probed.of(Verdict.OPEN), *probed.of(Verdict.BROKEN))
        ],
    )
    show(context.as_json, probed, lambda: _show_probed(probed))
    if not probed.green:
        if context.as_json:
            raise SystemExit(fault.exit_code)
        raise fault


def _show_probed(probed: Probed) -> None:
    yes, no = _("reached"), _("not reached")
    table(
        [_("Attempt"), "", _("Unlocked"), _("Locked"), _("Verdict"), _("Seen")],
        [
            [
                _(line.attempt),
                line.id,
                yes if line.unlocked else no,
                yes if line.locked else no,
                Text(_(VERDICTS[line.verdict][0]), style=VERDICTS[line.verdict][1]),
                line.detail,
            ]
            for line in probed.lines
        ],
    )
    counted = {verdict: len(probed.of(verdict)) for verdict in Verdict}
    out.print(
        _("{works} work, {closed} closed, {open} open, {broken} broken, {unproved} do not count").format(
            works=counted[Verdict.WORKS],
            closed=counted[Verdict.CLOSED],
            open=counted[Verdict.OPEN],
            broken=counted[Verdict.BROKEN],
            unproved=counted[Verdict.UNPROVED],
        )
    )
    if probed.green:
        out.print(Text(_("The guard holds."), style="bold green"))


@group.command("log", help=_("What was refused: per seat and minute, counted, with the first raw line."))
@click.option("--seat", type=int, help=_("This seat only."))
@click.option("--wave", help=_("This wave only."))
@click.option("--minutes", type=click.FloatRange(min=0, max=525600), help=_("The last minutes only."))
@json_option
@pass_context
def log_command(context: Context, seat: int | None, wave: str | None, minutes: float | None) -> None:
    centre = context.centre
    catch_up(centre)
    since = None if minutes is None else centre.clock.now() - timedelta(minutes=minutes)
    found = guard_log(centre, seat=seat, wave=wave, since=since)

    def text() -> None:
        if not found:
            out.print(_("Nothing was refused."))
        for item in found:
            about = _("seat {seat:02d}").format(seat=item.seat) if item.seat else item.address or _("unknown machine")
            moment = item.minute.astimezone().strftime("%Y-%m-%d %H:%M")
            line = f"{moment} {about}: {item.count} × {item.what} ({_(LAYERS.get(item.layer, item.layer))})"
            out.print(Text(line, style="bold"), soft_wrap=True)
            out.print(Text(f"    {item.line}"), soft_wrap=True)

    show(context.as_json, found, text)


def _numbers(seats: tuple[int, ...]) -> str:
    return ", ".join(f"{seat:02d}" for seat in seats)

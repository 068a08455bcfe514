"""``e5b evidence``: what candidates left, kept for a year."""

from datetime import datetime
from pathlib import Path

import click
from rich.filesize import decimal
from rich.text import Text

from orchestrator.cli.context import Context, dry_run_option, json_option, pass_context, wave_argument, yes_option
from orchestrator.cli.output import out, show, table
from orchestrator.errors import EvidenceInvalid, InputInvalid
from orchestrator.i18n import _, ngettext
from orchestrator.services.evidence_export import export_evidence
from orchestrator.services.evidence_list import Kept, list_evidence
from orchestrator.services.evidence_open import Shown, close_evidence, is_open, newest_archive, open_evidence
from orchestrator.services.evidence_purge import purge, purge_preview
from orchestrator.services.evidence_verify import Checked, verify_evidence


@click.group("evidence", help=_("What candidates left, kept for a year: list, verify, export, open, purge."))
def group() -> None: ...


@group.command("list", help=_("Show the evidence there is. Nothing is read: `e5b evidence verify` does that."))
@wave_argument
@json_option
@pass_context
def list_command(context: Context, wave: str | None) -> None:
    found = list_evidence(context.centre, wave)

    def text() -> None:
        for listed in dict.fromkeys(item.evidence.wave for item in found):
            table(
                [_("Seat"), _("Candidate"), _("Archive"), _("Size"), _("Sealed"), _("State")],
                [
                    [
                        f"{item.evidence.seat:02d}",
                        item.evidence.candidate,
                        item.evidence.archive.rpartition("/")[2],
                        decimal(item.evidence.size),
                        _moment(item.evidence.sealed_at),
                        _state(item),
                    ]
                    for item in found
                    if item.evidence.wave == listed
                ],
                title=listed,
            )
        if not found:
            out.print(_("Nothing is sealed yet."))

    show(context.as_json, found, text)


@group.command("verify", help=_("Read every archive whole, against the record and its own manifest."))
@wave_argument
@click.option("--seat", type=int, help=_("This seat only."))
@click.option("--repair", is_flag=True, help=_("Seal what does not hold again from its layer, as a new attempt."))
@json_option
@pass_context
def verify_command(context: Context, wave: str | None, seat: int | None, repair: bool) -> None:
    checked = verify_evidence(context.centre, wave, seat, repair=repair)
    damaged = [item for item in checked if not item.holds]

    def text() -> None:
        held = sum(item.fault is None for item in checked)
        out.print(
            ngettext("{held} of {n} archive holds.", "{held} of {n} archives hold.", len(checked)).format(
                held=held, n=len(checked)
            )
        )
        for item in checked:
            if item.repaired is not None:
                sentence = _("Seat {seat:02d}: sealed again from its layer as {archive}; the damaged file is kept.")
                out.print(sentence.format(seat=item.evidence.seat, archive=item.repaired.archive), soft_wrap=True)
        gone = [item.evidence.archive for item in checked if item.holds and not item.layer_there]
        if gone:
            warning = ngettext(
                "The layer of {n} archive is gone from the engine; the archive is enough to open it: {archives}",
                "The layers of {n} archives are gone from the engine; the archives are enough to open them: {archives}",
                len(gone),
            )
            out.print(Text(warning.format(n=len(gone), archives=", ".join(gone)), style="yellow"), soft_wrap=True)

    fault = EvidenceInvalid(
        ngettext("{n} archive does not hold.", "{n} archives do not hold.", len(damaged)).format(n=len(damaged)),
        hint=_("What is named here cannot be sealed again by this command; do not wipe anything of these seats.")
        if repair
        else _("Seal them again from their layers: `e5b evidence verify --repair`."),
        details=[_line(item) for item in damaged],
    )
    if context.as_json:
        show(True, {"holds": not damaged, "archives": [_plain(item) for item in checked]}, text)
        if damaged:
            raise SystemExit(fault.exit_code)
        return
    text()
    if damaged:
        raise fault


def _plain(item: Checked) -> dict[str, object]:
    return {**vars(item), "holds": item.holds}


def _line(item: Checked) -> str:
    return "; ".join(filter(None, [f"{item.evidence.wave} {item.evidence.seat:02d}: {item.fault}", item.not_repaired]))


@group.command("export", help=_("Copy the archives to a folder or a USB stick, where `sha256sum` alone checks them."))
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("waves", nargs=-1)
@json_option
@pass_context
def export_command(context: Context, folder: Path, waves: tuple[str, ...]) -> None:
    exported = export_evidence(context.centre, folder, waves)
    fault = EvidenceInvalid(
        _("The rest is exported; these seats are not, since their evidence does not hold."),
        hint=_("Seal them again from their layers with `e5b evidence verify --repair`, then export again."),
        details=[f"{archive}: {why}" for archive, why in sorted(exported.faults.items())],
    )

    def text() -> None:
        out.print(
            _("{copied} archives copied ({size}), {there} were there already.").format(
                copied=len(exported.copied), size=decimal(exported.bytes), there=len(exported.already_there)
            )
        )
        out.print(_("To check them: cd {folder} && sha256sum -c SHA256SUMS").format(folder=folder), soft_wrap=True)

    show(context.as_json, exported, text)
    if exported.faults:
        if context.as_json:
            raise SystemExit(fault.exit_code)
        raise fault


@group.command("open", help=_("Show a sealed site to a jury, read-only, from its archive alone."))
@click.argument("archive", required=False, type=click.Path(path_type=Path))
@click.option("--wave", help=_("Without ARCHIVE: the newest archive of this wave and --seat."))
@click.option("--seat", type=int, help=_("Without ARCHIVE: this seat's."))
@click.option("--image", help=_("Show it with another image than it was sealed with: it is not proved then."))
@click.option("--host", help=_("This machine's address, as the jury types it; by default gateway.host."))
@yes_option
@json_option
@pass_context
def open_command(
    context: Context,
    archive: Path | None,
    wave: str | None,
    seat: int | None,
    image: str | None,
    host: str | None,
    yes: bool,
) -> None:
    if archive is None and wave is not None and seat is not None:
        archive = newest_archive(context.centre, wave, seat)
    elif archive is None or wave is not None or seat is not None:
        raise InputInvalid(_("Name an archive, or a wave and a seat: --wave WAVE --seat SEAT."))
    if is_open(context.centre):
        context.confirm(_("A sealed site is shown already. Close it and open this one?"), yes)
    shown = open_evidence(context.centre, archive, image=image, host=host)
    show(context.as_json, shown, lambda: _show_opened(context, shown))


def _show_opened(context: Context, shown: Shown) -> None:
    sealed = shown.sealed
    out.print(
        _("Candidate {candidate}, seat {seat:02d}, wave {wave}, attempt {attempt}, centre {centre}").format(
            candidate=sealed.candidate,
            seat=sealed.seat,
            wave=sealed.wave,
            attempt=sealed.attempt,
            centre=sealed.centre,
        ),
        soft_wrap=True,
    )
    out.print(_("Sealed: {moment}").format(moment=_moment(datetime.fromisoformat(sealed.sealed_at))))
    proof, style = (_("Proved"), "bold green") if shown.proved else (_("NOT proved"), "bold red")
    out.print(Text(f"{proof}: {shown.how}", style=style), soft_wrap=True)
    if not sealed.recorded:
        out.print(_("This centre's record does not have this archive: it was held against its own manifest alone."))
    out.print(_("Site: {url}/").format(url=shown.url), soft_wrap=True)
    out.print(
        _("Administration: {url} ({login} / {password}, unless the candidate changed it)").format(
            url=shown.admin, login=shown.login, password=shown.password
        ),
        soft_wrap=True,
    )
    staff = ", ".join(str(network) for network in context.settings.gateway.staff)
    out.print(
        _("It can be looked at from this machine and from: {staff}").format(staff=staff)
        if staff
        else _("It can be looked at from this machine alone: gateway.staff in centre.toml names nobody.")
    )
    out.print(_("Afterwards: `e5b evidence close`. What is shown is a copy; nothing of it is kept."))


@group.command("close", help=_("Take away the sealed site that is shown."))
@json_option
@pass_context
def close_command(context: Context) -> None:
    closed = close_evidence(context.centre)
    show(
        context.as_json,
        {"closed": closed},
        lambda: out.print(_("The sealed site is closed.") if closed else _("No sealed site is open.")),
    )


@group.command("purge", help=_("Remove evidence that was kept for a year or more, and prove what was removed."))
@click.option("--older-than", "age", required=True, metavar="AGE", help=_("1y, 18m or 400d; never less than one year."))
@dry_run_option
@yes_option
@json_option
@pass_context
def purge_command(context: Context, age: str, dry_run: bool, yes: bool) -> None:
    limit, old = purge_preview(context.centre, age)
    before = _("Sealed before {moment}:").format(moment=_moment(limit))
    if dry_run or not old:

        def preview() -> None:
            if not old:
                out.print(_("Nothing was sealed before {moment}: nothing is removed.").format(moment=_moment(limit)))
                return
            out.print(before)
            for item in old:
                out.print(f"  {item.archive}  {decimal(item.size)}  {_moment(item.sealed_at)}", soft_wrap=True)
            out.print(_("Nothing was done: the evidence above would be removed for good."))

        show(context.as_json, {"sealed_before": limit, "would_be_removed": old}, preview)
        return
    context.confirm(
        ngettext(
            "{n} archive sealed before {moment} and its layer will be removed for good. Go on?",
            "{n} archives sealed before {moment} and their layers will be removed for good. Go on?",
            len(old),
        ).format(n=len(old), moment=_moment(limit)),
        yes,
    )
    purged = purge(context.centre, age)
    fault = EvidenceInvalid(
        ngettext("{n} archive was not removed.", "{n} archives were not removed.", len(purged.faults)).format(
            n=len(purged.faults)
        ),
        hint=_("Remove what is in the way, then run the same command again."),
        details=[f"{archive}: {why}" for archive, why in sorted(purged.faults.items())],
    )

    def text() -> None:
        out.print(before)
        for item in purged.removed:
            out.print(f"  {item.archive}  sha256 {item.sha256}", soft_wrap=True)
        for name in purged.leftovers:
            out.print(f"  {name}", soft_wrap=True)
        out.print(
            _("{count} archives ({size}) and their layers are gone; the journal says which.").format(
                count=len(purged.removed), size=decimal(purged.bytes)
            )
        )

    show(context.as_json, purged, text)
    if purged.faults:
        if context.as_json:
            raise SystemExit(fault.exit_code)
        raise fault


def _state(item: Kept) -> str | Text:
    if item.evidence.purged_at is not None:
        return _("purged {moment}").format(moment=_moment(item.evidence.purged_at))
    if item.put_aside:
        return _("damaged, put aside")
    if not item.archive_there:
        return Text(_("the archive is gone"), style="bold red")
    return _("there") if item.layer_there else Text(_("there, without its layer"), style="yellow")


def _moment(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")

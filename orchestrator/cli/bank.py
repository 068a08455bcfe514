"""``e5b bank``: the national bank of subjects, from its first folder to the letters that are handed over."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.filesize import decimal

from orchestrator import wiring
from orchestrator.cli.context import Context, dry_run_option, json_option, pass_context
from orchestrator.cli.key import key_password, password_option
from orchestrator.cli.output import err, out, show
from orchestrator.domain.bank import Role
from orchestrator.domain.exam import Site
from orchestrator.i18n import _, ngettext
from orchestrator.services.bank_check import Checked, check
from orchestrator.services.bank_codes import letters
from orchestrator.services.bank_load import check_bank, load_bank
from orchestrator.services.bank_render import render
from orchestrator.services.bank_seal import read_codes, refuse_faults, seal
from orchestrator.settings import Sites

bank_argument = click.argument("bank", type=click.Path(path_type=Path))
without_engine_option = click.option(
    "--without-engine", is_flag=True, help=_("Do not apply the fixtures to real environments.")
)


@click.group("bank", help=_("The national bank of subjects: new, check, render, seal, codes; load in a centre."))
def group() -> None:
    pass


@group.command("new", help=_("Begin a subject in the folder BANK, and the bank with the first one."))
@bank_argument
@click.argument("subject")
@click.option("--site", required=True, type=click.Choice([site.value for site in Site]), help=_("The subject's site."))
@click.option("--title", required=True, help=_("What the subject is called."))
@json_option
@pass_context
def new_command(context: Context, bank: Path, subject: str, site: str, title: str) -> None:
    paths = wiring.bank_files().scaffold(bank, subject, Site(site), title)

    def text() -> None:
        for path in paths:
            out.print(str(path), soft_wrap=True)
        out.print(_("Write what says “À RÉDIGER”, put the subject in calendar.toml, then run `e5b bank check`."))

    show(context.as_json, {"subject": subject, "written": paths}, text)


@group.command("check", help=_("Does the bank in the folder BANK keep its rules? Every fault at once."))
@bank_argument
@without_engine_option
@json_option
@pass_context
def check_command(context: Context, bank: Path, without_engine: bool) -> None:
    checked = _checked(context, bank, without_engine)
    calendar = refuse_faults(checked)

    def text() -> None:
        out.print(
            _("The bank keeps its rules: {subjects} subjects, {half_days} half-days.").format(
                subjects=len(checked.bank.subjects), half_days=len(calendar.half_days)
            )
        )
        if without_engine:
            err.print(_("The fixtures were not applied: run it once with an engine before sealing."))

    value = {
        "session": calendar.session,
        "version": calendar.version,
        "subjects": [subject.id for subject in checked.bank.subjects],
        "half_days": [half_day.id for half_day in calendar.half_days],
        "fixtures_applied": checked.applied,
    }
    show(context.as_json, value, text)


def _checked(context: Context, bank: Path, without_engine: bool) -> Checked:
    engine = None if without_engine else wiring.academy(context.progress).engine
    images = {site: Sites().image(site) for site in Site}
    return check(wiring.bank_files(), bank, context.progress, engine, images)


@group.command("render", help=_("Make the PDF of one subject of the folder BANK, to look at them."))
@bank_argument
@click.argument("subject")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path(), help=_("Folder of the PDF; by default here.")
)
@json_option
@pass_context
def render_command(context: Context, bank: Path, subject: str, output: Path) -> None:
    written = render(wiring.bank_files(), wiring.documents(), bank, subject, output)

    def text() -> None:
        for path in written:
            out.print(str(path), soft_wrap=True)

    show(context.as_json, {"subject": subject, "written": written}, text)


@group.command("seal", help=_("Seal the bank in the folder BANK into one signed file, and draw its codes."))
@bank_argument
@click.option("--output", required=True, type=click.Path(path_type=Path), help=_("The sealed bank, for all centres."))
@click.option(
    "--codes",
    required=True,
    type=click.Path(path_type=Path),
    help=_("The codes (mode 600), which stay in the academy."),
)
@click.option("--key", required=True, type=click.Path(path_type=Path), help=_("The academy's secret key."))
@password_option
@without_engine_option
@json_option
@pass_context
def seal_command(
    context: Context,
    bank: Path,
    output: Path,
    codes: Path,
    key: Path,
    password_file: Path | None,
    without_engine: bool,
) -> None:
    signatures = wiring.signatures()
    sealed = seal(
        _checked(context, bank, without_engine),
        wiring.bank_files(),
        wiring.documents(),
        wiring.sealed_banks(),
        signatures,
        context.progress,
        output=output,
        codes=codes,
        key=key,
        password=key_password(context, password_file) if signatures.encrypted(key) else "",
        now=datetime.now(UTC),
    )

    def text() -> None:
        out.print(
            _("{path} is sealed ({size}): session {session}, version {version}.").format(
                path=sealed.path, size=decimal(sealed.size), session=sealed.bank.session, version=sealed.bank.version
            ),
            soft_wrap=True,
        )
        out.print(_("To all centres: this file and {signature}.").format(signature=sealed.signature), soft_wrap=True)
        out.print(
            _("To nobody: {codes}. Print its letters with `e5b bank codes`.").format(codes=sealed.codes), soft_wrap=True
        )

    value = {
        "path": sealed.path,
        "signature": sealed.signature,
        "codes": sealed.codes,
        "size": sealed.size,
        "session": sealed.bank.session,
        "version": sealed.bank.version,
        "entries": len(sealed.bank.entries),
    }
    show(context.as_json, value, text)


@group.command("codes", help=_("Print the letters of the file CODES, one for each half-day and zone, and its spares'."))
@click.argument("codes", type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help=_("Folder of the letters."))
@click.option(
    "--second-lock",
    multiple=True,
    metavar="CENTRE",
    help=_("Two letters for this centre, both needed: the head's and the academy's. May be repeated."),
)
@json_option
@pass_context
def codes_command(context: Context, codes: Path, output: Path, second_lock: tuple[str, ...]) -> None:
    written = letters(read_codes(codes), wiring.documents(), output, context.progress, second_lock)

    def text() -> None:
        out.print(
            ngettext("{n} letter is in {output}.", "{n} letters are in {output}.", len(written)).format(
                n=len(written), output=output
            ),
            soft_wrap=True,
        )
        if any(letter.role is Role.SPARE for letter in written):
            out.print(_("Keep the spares' letters in the academy: they are given after an incident."))

    show(context.as_json, {"letters": written}, text)


@group.command("load", help=_("Load the sealed bank FILE into this centre: signature, version and completeness first."))
@click.argument("file", type=click.Path(path_type=Path))
@dry_run_option
@json_option
@pass_context
def load_command(context: Context, file: Path, dry_run: bool) -> None:
    act = check_bank if dry_run else load_bank
    found = act(context.settings, context.store, wiring.sealed_banks(), wiring.signatures(), file)

    def text() -> None:
        sentence = (
            _("Nothing was done: {session}, version {version}, would be loaded: {count} half-days.")
            if dry_run
            else _("{session}, version {version}, is loaded: {count} half-days. Nothing of it is open.")
            if found.changed
            else _("{session}, version {version}, was loaded already: {count} half-days.")
        )
        out.print(sentence.format(session=found.bank.session, version=found.bank.version, count=len(found.half_days)))

    value = {
        "session": found.bank.session,
        "version": found.bank.version,
        "sealed_at": found.bank.sealed_at,
        "signed": found.comment,
        "half_days": found.half_days,
        "changed": found.changed and not dry_run,
    }
    show(context.as_json, value, text)

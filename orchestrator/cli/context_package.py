"""``e5b context``: the reference context, from its definition in the pilot academy to the engine of a centre."""

from pathlib import Path

import click
from rich.text import Text

from orchestrator import wiring
from orchestrator.cli.context import Context, dry_run_option, json_option, pass_context
from orchestrator.cli.key import key_password, password_option
from orchestrator.cli.output import err, out, show
from orchestrator.cli.setup import line
from orchestrator.domain.context import ContextManifest
from orchestrator.i18n import _, ngettext
from orchestrator.services import context_build, context_definition
from orchestrator.services.context_diff import diff
from orchestrator.services.context_load import load
from orchestrator.services.context_pack import pack
from orchestrator.services.context_verify import verify

DEFINITION = Path("context.toml")

definition_argument = click.argument("definition", type=click.Path(path_type=Path), default=DEFINITION)
images_option = click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help=_("Folder of the images' own files; the project's by default."),
)


@click.group("context", help=_("The reference context: build, pack, sign, verify, load, compare."))
def group() -> None:
    pass


@group.command("new", help=_("Write a commented definition, with the checksums of what is supplied on this machine."))
@definition_argument
@click.option("--version", "number", required=True, metavar="N.N", help=_("The context's version, such as 2027.1."))
@click.option("--session", required=True, help=_("The exam's session, such as 2027."))
@json_option
@pass_context
def new_command(context: Context, definition: Path, number: str, session: str) -> None:
    context_build.new_definition(wiring.supplies(), definition, number, session)
    show(
        context.as_json,
        {"path": definition},
        lambda: out.print(_("{path} is written. Read it, then run `e5b context build`.").format(path=definition)),
    )


@group.command("keys", help=_("Make the pair of keys with which packages are signed, in a folder."))
@click.argument("folder", type=click.Path(path_type=Path))
@password_option
@click.option("--no-password", is_flag=True, help=_("Do not protect the secret key by a password."))
@json_option
@pass_context
def keys_command(context: Context, folder: Path, password_file: Path | None, no_password: bool) -> None:
    password = "" if no_password else key_password(context, password_file, new=True)
    made = wiring.signatures().new_keys(folder, password)

    def text() -> None:
        out.print(_("{path} signs: keep it where nobody else can read it.").format(path=made.secret))
        out.print(_("Centres trust: {key}").format(key=made.text), soft_wrap=True)

    show(context.as_json, {"secret": made.secret, "public": made.public, "key": made.text}, text)


@group.command("build", help=_("Build both sites from their definition, and put their references on record."))
@definition_argument
@images_option
@click.option("--twice", is_flag=True, help=_("Build the sites once more from nothing, and compare."))
@json_option
@pass_context
def build_command(context: Context, definition: Path, images: Path | None, twice: bool) -> None:
    academy = wiring.academy(context.progress, images)
    for step in context_build.build(academy, definition, twice=twice):
        if not context.as_json:
            err.print(Text(line(step)), soft_wrap=True)
    built = context_definition.built(definition)

    def text() -> None:
        for site, item in built.sites.items():
            out.print(
                _("{site} {version}: reference {digest}").format(
                    site=site.value, version=item.version, digest=item.fingerprint.digest
                ),
                soft_wrap=True,
            )
            if item.twice:
                out.print(_("  built twice: equal"))
            for name, count in item.varied.items():
                sentence = ngettext(
                    "  built twice: {n} file or table differs, as the definition says: {name}",
                    "  built twice: {n} files or tables differ, as the definition says: {name}",
                    count,
                )
                out.print(sentence.format(n=count, name=name), soft_wrap=True)

    sites = {
        site.value: {
            "version": item.version,
            "language": item.language,
            "fingerprint": item.fingerprint.digest,
            "twice": item.twice,
            "varied": item.varied,
        }
        for site, item in built.sites.items()
    }
    show(context.as_json, {"images": built.images, "sites": sites}, text)


@group.command("pack", help=_("Make one signed file of what was built; with --since only what is new."))
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--definition",
    type=click.Path(path_type=Path),
    default=DEFINITION,
    show_default=True,
    help=_("The definition that was built."),
)
@click.option("--key", required=True, type=click.Path(path_type=Path), help=_("The academy's secret key."))
@password_option
@click.option("--since", type=click.Path(path_type=Path), help=_("The former package, whole: make a delta to it."))
@json_option
@pass_context
def pack_command(
    context: Context, path: Path, definition: Path, key: Path, password_file: Path | None, since: Path | None
) -> None:
    password = key_password(context, password_file) if wiring.signatures().encrypted(key) else ""
    packed = pack(wiring.academy(context.progress), definition, path, key, password, since)
    answer = {"path": packed.path, "signature": packed.signature, "size": packed.size, **_manifest(packed.manifest)}

    def text() -> None:
        out.print(
            _("{path}: {size} MB, signed in {signature}.").format(
                path=packed.path, size=f"{packed.size / 1e6:.1f}", signature=packed.signature.name
            ),
            soft_wrap=True,
        )

    show(context.as_json, answer, text)


@group.command("verify", help=_("Check a package's signature and all of its content; no Docker engine is needed."))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--public-key", metavar="KEY", help=_("The key to trust; the one in centre.toml by default."))
@json_option
@pass_context
def verify_command(context: Context, path: Path, public_key: str | None) -> None:
    key = public_key or context.settings.trust.public_key
    manifest = verify(wiring.signatures(), wiring.packages(), path, key, context.progress)

    def text() -> None:
        out.print(_("{name} holds.").format(name=path.name), style="bold green")
        _describe(manifest)

    show(context.as_json, {"holds": True, **_manifest(manifest)}, text)


@group.command("load", help=_("Verify a package, load it into the engine, and prove the references in containers."))
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--base", type=click.Path(path_type=Path), help=_("Of a delta: the package that it was made against, as a file.")
)
@dry_run_option
@json_option
@pass_context
def load_command(context: Context, path: Path, base: Path | None, dry_run: bool) -> None:
    loaded = load(wiring.depot(context.settings, context.progress), path, base, dry_run=dry_run)

    def text() -> None:
        for name in loaded.kept:
            out.print(_("{name}: the engine has it already").format(name=name))
        for name in loaded.loaded:
            out.print((_("{name}: loaded") if loaded.done else _("{name}: would be loaded")).format(name=name))
        if loaded.done:
            for site in loaded.proved:
                out.print(_("{site}: its reference is the package's").format(site=site))
            said = _("Version {version} of session {session} is loaded.")
            out.print(said.format(version=loaded.version, session=loaded.session), style="bold green")
            if loaded.rules:
                out.print(_("The session's rules for the network guard came with it: `e5b guard apply` applies them."))

    show(context.as_json, loaded, text)


@group.command("diff", help=_("Say in words what changed from one package to another."))
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@json_option
@pass_context
def diff_command(context: Context, before: Path, after: Path) -> None:
    found = diff(wiring.packages(), before, after)

    def text() -> None:
        out.print(_("From version {before} to version {after}:").format(before=found.before, after=found.after))
        for image in found.images:
            said = {
                "added": _("{name}: new"),
                "removed": _("{name}: not there any more"),
                "same": _("{name}: unchanged"),
                "changed": _("{name}: changed, {layers} new layers"),
            }[image.kind]
            out.print(said.format(name=image.name, layers=image.layers))
            for change in image.found:
                out.print(f"  {context_build.sentence(change)}", soft_wrap=True, markup=False)

    show(context.as_json, found, text)


def _manifest(manifest: ContextManifest) -> dict[str, object]:
    """What is worth telling of a package, as JSON."""
    return {
        "version": manifest.version,
        "session": manifest.session,
        "made": manifest.made,
        "contract": manifest.contract,
        "base": None if manifest.base is None else manifest.base.version,
        "candidate": manifest.candidate,
        "images": {
            image.name: {
                "id": image.id,
                "version": image.version,
                "fingerprint": image.fingerprint,
            }
            for image in manifest.images
        },
    }


def _describe(manifest: ContextManifest) -> None:
    out.print(
        _("Version {version} of session {session}, made on {made}, image contract {contract}.").format(
            version=manifest.version, session=manifest.session, made=manifest.made, contract=manifest.contract
        )
    )
    if manifest.base is not None:
        out.print(_("A delta: version {version} is needed besides.").format(version=manifest.base.version))
    for image in manifest.images:
        out.print(f"  {image.name} {image.version} {image.id}", soft_wrap=True)
    for sentence in manifest.candidate:
        out.print(_("  The candidate may use: {what}").format(what=sentence), soft_wrap=True)

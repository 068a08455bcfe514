"""``e5b setup`` and ``e5b image``: a machine made ready, and the images of the project."""

from collections.abc import Iterator

import click
from rich.text import Text

from orchestrator import wiring
from orchestrator.cli.context import Context, json_option, pass_context
from orchestrator.cli.output import err, out, show, table
from orchestrator.i18n import _
from orchestrator.ports import Outcome
from orchestrator.services.setup import Listed, Step


@click.command("setup", help=_("Make this machine ready: Docker engine, base images, images of the sites."))
@json_option
@pass_context
def setup(context: Context) -> None:
    _report(context, wiring.setup().run(context.progress))


@click.group("image", help=_("The images of the sites and of the gateway."))
def image() -> None:
    pass


@image.command("list", help=_("Show the images of the project that the engine has."))
@json_option
@pass_context
def list_images(context: Context) -> None:
    listed = wiring.setup().images()

    def text() -> None:
        if not listed:
            out.print(_("There is no image yet: `e5b setup` builds them."))
            return
        table([_("Image"), _("Tag"), _("Id"), _("Size"), _("Built"), _("Up to date")], [_row(line) for line in listed])

    show(context.as_json, listed, text)


@image.command("build", help=_("Build images of the project, each from its folder of images/, unless they are there."))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help=_("Build anew, without the engine's cache, even when nothing changed."))
@json_option
@pass_context
def build_images(context: Context, names: tuple[str, ...], force: bool) -> None:
    _report(context, wiring.setup().build(names, context.progress, force=force))


def _report(context: Context, steps: Iterator[Step]) -> None:
    """Show each step when it is over; all of them at the end as JSON."""
    done = []
    for step in steps:
        done.append(step)
        if not context.as_json:
            err.print(Text(line(step)), soft_wrap=True)
    show(context.as_json, done, lambda: None)


def line(step: Step) -> str:
    what = {
        "engine": _("Docker engine {name}"),
        "base": _("base image {name}"),
        "image": _("image {name}"),
    }[step.kind].format(name=step.name)
    how = {
        Outcome.KEPT: _("already there"),
        Outcome.INSTALLED: _("installed and started"),
        Outcome.STARTED: _("started"),
        Outcome.PULLED: _("pulled"),
        Outcome.BOOTSTRAPPED: _("made from the distribution's packages"),
        Outcome.FOUND: _("up to date"),
        Outcome.BUILT: _("built"),
        Outcome.MISSING: _("left out"),
    }[step.outcome]
    duration = _(" in {seconds} s").format(seconds=round(step.seconds)) if step.seconds >= 2 else ""
    return " ".join(filter(None, [f"{what}: {how}{duration}.", *step.notes, step.hint]))


def _row(line: Listed) -> list[str]:
    return [
        line.image.name,
        "\n".join(sorted((tag.rpartition(":")[2] for tag in line.image.tags), key=lambda tag: tag != "current")),
        line.image.id.removeprefix("sha256:")[:12],
        _("{size} MB").format(size=round(line.image.size / 1_000_000)),
        line.image.built.astimezone().strftime("%d/%m/%Y %H:%M"),
        {True: _("yes"), False: _("no"), None: _("cannot be told")}[line.up_to_date],
    ]

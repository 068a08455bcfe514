"""``e5b setup`` and ``e5b image``: a machine made ready, and the images of the project."""

from collections.abc import Iterator

import click
from rich.text import Text

from orchestrator import wiring
from orchestrator.cli.output import NoProgress, RichProgress, err, out, show, table
from orchestrator.i18n import _
from orchestrator.ports import Outcome, Progress
from orchestrator.services.setup import Listed, Step

json_option = click.option("--json", "as_json", is_flag=True, help=_("Print the result as JSON."))


@click.command("setup", help=_("Make this machine ready: Docker engine, base images, images of the sites."))
@json_option
def setup(as_json: bool) -> None:
    _report(wiring.setup().run(_progress(as_json)), as_json)


@click.group("image", help=_("The images of the sites and of the gateway."))
def image() -> None:
    pass


@image.command("list", help=_("Show the images of the project that the engine has."))
@json_option
def list_images(as_json: bool) -> None:
    listed = wiring.setup().images()

    def text() -> None:
        if not listed:
            out.print(_("There is no image yet: `e5b setup` builds them."))
            return
        table([_("Image"), _("Tag"), _("Id"), _("Size"), _("Built"), _("Up to date")], [_row(line) for line in listed])

    show(
        as_json, [{**vars(line.image), "current": line.current, "up_to_date": line.up_to_date} for line in listed], text
    )


@image.command("build", help=_("Build images of the project, each from its folder of images/, unless they are there."))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help=_("Build anew, without the engine's cache, even when nothing changed."))
@json_option
def build_images(names: tuple[str, ...], force: bool, as_json: bool) -> None:
    _report(wiring.setup().build(names, _progress(as_json), force=force), as_json)


def _progress(as_json: bool) -> Progress:
    return NoProgress() if as_json else RichProgress()


def _report(steps: Iterator[Step], as_json: bool) -> None:
    """Show each step when it is over; all of them at the end as JSON."""
    done = []
    for step in steps:
        done.append(step)
        if not as_json:
            err.print(Text(_line(step)), soft_wrap=True)
    show(as_json, done, lambda: None)


def _line(step: Step) -> str:
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
        ", ".join(tag.rpartition(":")[2] for tag in line.image.tags),
        line.image.id.removeprefix("sha256:")[:12],
        _("{size} MB").format(size=round(line.image.size / 1_000_000)),
        line.image.built.astimezone().strftime("%d/%m/%Y %H:%M"),
        {True: _("yes"), False: _("no"), None: _("cannot be told")}[line.up_to_date],
    ]

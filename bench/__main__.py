"""``python -m bench``: measure, show the table, save the JSON, draw the plots."""

import sys
from datetime import datetime
from pathlib import Path

import click
import docker

from bench import machine, plots, report
from bench.centre import Failed, alone
from bench.measures import MEASURES
from bench.run import Run
from orchestrator import i18n
from orchestrator.domain.exam import CANDIDATES_AT_ONCE, Site

RESULTS = report.ROOT / "bench" / "results"


@click.command(help="Measure this machine, side by side with what a technician would script today.")
@click.option("--only", multiple=True, type=click.Choice(list(MEASURES)), help="Only this; may be repeated.")
@click.option("--site", multiple=True, type=click.Choice([site.value for site in Site]), help="Only this site.")
@click.option(
    "--seats",
    type=click.IntRange(1, CANDIDATES_AT_ONCE),
    default=CANDIDATES_AT_ONCE,
    show_default=True,
    help="How many candidates; targets are for twenty.",
)
@click.option("--quick", is_flag=True, help="Once and for a moment only: shows that it works, measures nothing.")
@click.option("--json", "path", type=click.Path(path_type=Path, dir_okay=False), help="Where to save the results.")
@click.option("--centre", "centre_id", default="bench", show_default=True, help="Label of what it makes.")
@click.option(
    "--publish",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Measure nothing: make this result the one that the documentation shows. Once more: what was measured anew.",
)
def command(
    only: tuple[str, ...],
    site: tuple[str, ...],
    seats: int,
    quick: bool,
    path: Path | None,
    centre_id: str,
    publish: tuple[Path, ...],
) -> None:
    if publish:
        report.publish(publish)
        plots.draw(report.CHOSEN, report.PLOTS, ("svg",))
        return
    path = path or RESULTS / f"{datetime.now():%Y-%m-%d-%H%M}.json"
    client = docker.from_env(version="auto", timeout=300, max_pool_size=64)
    images = {
        name: f"e5b/{name}:current"
        for name in site or [item.value for item in Site]
        if client.images.list(filters={"reference": f"e5b/{name}:current"})
    }
    missing = set(site or ["wordpress", "prestashop"]) - set(images)
    if missing:
        print(f"Left out, there is no image of it: {', '.join(sorted(missing))}", file=sys.stderr)
    try:
        with alone(centre_id):
            facts = machine.facts(client, images)
            run = Run(client, centre_id, images, seats, quick)
            failed = []
            for name in only or MEASURES:
                try:
                    MEASURES[name](run)
                except Exception as error:
                    # One that fails does not take hours of the others with it; it is said, and the exit code is 1.
                    run.say(f"{name} FAILED: {error!r}")
                    failed.append(name)
    except Failed as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    report.save(path, run.figures, facts, {"seats": seats, "quick": quick, "failed": failed})
    drawn = plots.draw(path, path.parent)
    report.table(run.figures, facts)
    print(f"{path} {' '.join(item.name for item in drawn)}")
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    i18n.install()
    command()

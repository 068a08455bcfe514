"""The table that a person reads, the JSON, and what the documentation shows of it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.figures import Figure, shown

ROOT = Path(__file__).parents[1]
CHOSEN = ROOT / "bench" / "RESULTS.json"
PLOTS = ROOT / "docs" / "explanation"
PAGES = (ROOT / "README.md", PLOTS / "measurements.md")

QUIET = 0.5
"""Load of the machine up to which nothing else counts as running."""

COLOURS = {True: "green", False: "bold red", None: ""}


def table(figures: list[Figure], machine: dict[str, Any]) -> None:
    console = Console()
    if not console.is_terminal:
        # A log has no width of its own.
        console.width = 150
    console.print(
        Text(
            f"{machine['processors']} processors ({machine['processor']}), "
            f"{machine['memory_bytes'] / 1e9:.0f} GB, {machine['disk']}, {machine['system']}, "
            f"Linux {machine['kernel']}, Docker {machine['engine']} ({machine['storage_driver']}, "
            f"cgroup {machine['cgroup']}), load before: {machine['load_before']}"
        )
    )
    if machine["load_before"] > QUIET:
        console.print(Text("Something else was running: these figures say little.", style="bold yellow"))
    written = Table()
    for title in ("Figure", "Site", "Measured", "Wanted", "", ""):
        written.add_column(title)
    for figure in figures:
        sign = "≥" if figure.at_least else "≤"
        written.add_row(
            figure.name,
            figure.site,
            Text(shown(figure.value, figure.unit), style="bold"),
            "" if figure.target is None else f"{sign} {shown(figure.target, figure.unit)}",
            Text(figure.verdict, style=COLOURS[figure.held]),
            figure.note,
        )
    console.print(written)


def save(path: Path, figures: list[Figure], machine: dict[str, Any], run: dict[str, Any]) -> None:
    """A figure on each line, with its samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(_rounded(figure.as_json()), ensure_ascii=False) for figure in figures)
    head = json.dumps({"machine": machine, "run": run}, indent=1, ensure_ascii=False).removesuffix("\n}")
    path.write_text(f'{head},\n "figures": [\n{lines}\n ]\n}}\n', encoding="utf-8")


def _rounded(value: Any) -> Any:
    """A tenth of a millisecond is as much as any of this means."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def publish(results: Sequence[Path]) -> None:
    """Choose *results*, and write their figures into each page that has a place for them: between the comments
    ``<!-- measured -->`` (all figures, and the plots) or ``<!-- measured: targets -->`` (those with a target) and
    ``<!-- end -->``. What a later file measured anew takes the place of a site's whole measure: ratios stay those of
    one run."""
    content, *later = [json.loads(path.read_text(encoding="utf-8")) for path in results]
    figures = _figures(content)
    for again in later:
        content["run"].setdefault("again", []).append(
            {
                "measures": list(dict.fromkeys(item["measure"] for item in again["figures"])),
                "date": again["machine"]["date"],
                "load_before": again["machine"]["load_before"],
                "processor": again["machine"]["processor"],
            }
        )
        measured = _by_measure(figures) | _by_measure(_figures(again))
        figures = [figure for found in measured.values() for figure in found]
    save(CHOSEN, figures, content["machine"], content["run"])
    content = json.loads(CHOSEN.read_text(encoding="utf-8"))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown_there = with_figures(text, content)
        if shown_there != text:
            page.write_text(shown_there, encoding="utf-8")


def _figures(content: dict[str, Any]) -> list[Figure]:
    return [Figure(**{key: value for key, value in item.items() if key != "verdict"}) for item in content["figures"]]


def _by_measure(figures: Sequence[Figure]) -> dict[tuple[str, str], list[Figure]]:
    """By measure and site, in their order."""
    found: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        found.setdefault((figure.measure, figure.site), []).append(figure)
    return found


def with_figures(text: str, content: dict[str, Any]) -> str:
    """A page's *text* with the figures of *content* in their place."""
    return re.sub(
        r"(<!-- measured(?P<targets>: targets)? -->\n).*?(<!-- end -->)",
        lambda match: match[1] + markdown(content, targets_only=match["targets"] is not None) + match[3],
        text,
        flags=re.DOTALL,
    )


def markdown(content: dict[str, Any], *, targets_only: bool) -> str:
    """A table with a line per figure and a column per site; what is missed is in bold, and says by how much."""
    machine = content["machine"]
    sites = list(machine["sites"])
    titles = {"wordpress": "WordPress", "prestashop": "PrestaShop"}
    names: dict[str, dict[str, Figure]] = {}
    for figure in _figures(content):
        names.setdefault(figure.name, {})[figure.site] = figure
    lines = [
        f"{machine['date'][:10]}, {machine['processors']} processors ({machine['processor']}), "
        f"{machine['memory_bytes'] / 2**30:.0f} GB of memory, {machine['disk'].partition(' ')[0]}, "
        f"{machine['system']}, Linux {machine['kernel'].partition('-')[0]}, Docker {machine['engine']}, "
        + ", ".join(f"{titles[site]} {facts['version']}" for site, facts in machine["sites"].items())
        + f"; {content['run']['seats']} seats. Load of the machine before: {machine['load_before']}.{_again(content)}",
        "",
        "| | " + " | ".join([*(titles[site] for site in sites), "wanted"]) + " |",
        "| --- |" + " --- |" * (len(sites) + 1),
    ]
    for name, found in names.items():
        wanted = next((item for item in found.values() if item.target is not None), None)
        if targets_only and wanted is None:
            continue
        targets = {_wanted(item) for item in found.values() if item.target is not None}
        if not found.keys() & set(sites):
            # The same for every site, or of all of them: said once.
            found = {sites[0]: next(iter(found.values()))}
        cells = [_cell(found[site], several=len(targets) > 1) if site in found else "" for site in sites]
        lines.append(f"| {name.replace('|', chr(92) + '|')} | {' | '.join([*cells, ' / '.join(sorted(targets))])} |")
    if not targets_only:
        lines += [
            *("", "![How many seats serve a new site at each instant of a reset](measured-reset.svg)"),
            *("", "![Preparation, memory, page time, processors from one seat to sixty](measured-growth.svg)", ""),
        ]
    return "\n".join(lines) + "\n"


def _again(content: dict[str, Any]) -> str:
    told = []
    for item in content["run"].get("again", ()):
        measures = ", ".join(item["measures"])
        if item["processor"] == content["machine"]["processor"]:
            told.append(f" Measured again at {item['date'][11:16]} ({item['load_before']}): {measures}.")
        else:
            day = f"{item['date'][:10]} {item['date'][11:16]}"
            told.append(f" Of {day}, on another machine ({item['processor']}, {item['load_before']}): {measures}.")
    return "".join(told)


def _wanted(figure: Figure) -> str:
    return "" if figure.target is None else f"{'≥' if figure.at_least else '≤'} {shown(figure.target, figure.unit)}"


def _cell(figure: Figure, *, several: bool) -> str:
    value = shown(figure.value, figure.unit)
    if figure.held is not False:
        return value + (f" ({_wanted(figure)})" if several and figure.target is not None else "")
    return f"**{value}** ({figure.verdict.replace('MISSED', 'missed')})"

"""The table that a person reads, and the JSON that the documentation is made from."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.figures import Figure, shown

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
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "run": run, "figures": [figure.as_json() for figure in figures]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

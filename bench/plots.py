"""The plots of a run, from its JSON: the timeline of a reset, and growth."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TITLES = {"wordpress": "WordPress", "prestashop": "PrestaShop"}
COLOURS = {"wordpress": "#21759b", "prestashop": "#df0067"}


def draw(results: Path, folder: Path, kinds: Sequence[str] = ("svg", "png")) -> list[Path]:
    """Draw what *results* holds, as SVG and PNG files in *folder*; nothing where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return []
    mpl.use("Agg")
    # The same figures make the same file, whoever draws them.
    mpl.rcParams.update(
        {"svg.hashsalt": "e5b", "svg.fonttype": "none", "font.size": 10, "axes.grid": True, "grid.alpha": 0.3}
    )
    content = json.loads(results.read_text(encoding="utf-8"))
    drawn = []
    for name, plot in (("reset", _reset(content)), ("growth", _growth(content))):
        if plot is not None:
            for kind in kinds:
                path = folder / f"measured-{name}.{kind}"
                plot.savefig(path, dpi=120, metadata={"Date": None} if kind == "svg" else None)
                drawn.append(path)
    return drawn


def _samples(content: dict[str, Any], site: str, name: str) -> dict[str, Any] | None:
    for figure in content["figures"]:
        if figure["site"] == site and name in figure["name"] and figure["samples"]:
            samples: dict[str, Any] = figure["samples"]
            return samples
    return None


def _sites(content: dict[str, Any], name: str) -> list[str]:
    return [site for site in TITLES if _samples(content, site, name)]


def _reset(content: dict[str, Any]) -> Any:
    """How many seats serve a new site, at each instant after the reset began."""
    import matplotlib.pyplot as plt

    sites = _sites(content, "the yardstick's best: removed")
    if not sites:
        return None
    figure, axes = plt.subplots(1, len(sites), figsize=(5.5 * len(sites), 4), squeeze=False, layout="constrained")
    for axis, site in zip(axes[0], sites, strict=True):
        theirs = _samples(content, site, "the yardstick's best: removed")
        assert theirs is not None
        turn = min(theirs["all"], key=lambda item: item["down"] + max(item["up"]["answered"]))
        lines = [("yardstick", [turn["down"] + seconds for seconds in turn["up"]["answered"]], "#777777")]
        for title, name, colour in (
            ("cold reset", "cold reset of", "#e69f00"),
            ("reset with standbys", "reset with standbys of", "#009e73"),
        ):
            ours = _samples(content, site, name)
            if ours:
                lines.append((title, [ours["switch"] + seconds for seconds in ours["new"]], colour))
        for title, moments, colour in lines:
            ordered = sorted(moments)
            axis.step([0.1, *ordered], range(len(ordered) + 1), where="post", color=colour, label=title)
            axis.annotate(
                f"{ordered[-1]:.1f} s", (ordered[-1], len(ordered)), (0, 4), textcoords="offset points", ha="center"
            )
        axis.axvspan(0.1, turn["down"], ymax=0.04, color="#777777", alpha=0.4, label="yardstick removes the old")
        axis.set(
            xscale="log",
            xlim=(0.1, None),
            ylim=(0, len(turn["up"]["answered"]) * 1.12),
            title=TITLES[site],
            xlabel="seconds after the reset began",
            ylabel="seats that serve a new site",
        )
        axis.xaxis.set_major_formatter("{x:g}")
        axis.yaxis.get_major_locator().set_params(integer=True)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _growth(content: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt

    sites = _sites(content, "seats with a page's p95")
    if not sites:
        return None
    panels: tuple[tuple[str, str, Callable[[dict[str, Any]], float]], ...] = (
        ("prepared and verified", "seconds", lambda size: size["prepare"]),
        ("memory of all seats", "GB", lambda size: size["memory"] / 1e9),
        ("p95 of a page, all at work", "seconds", lambda size: size["p95"]),
        ("processors while all work", "%", lambda size: 100 * size["processor"]),
    )
    figure, axes = plt.subplots(1, len(panels), figsize=(14, 3.6), layout="constrained")
    for axis, (title, unit, value) in zip(axes, panels, strict=True):
        for site in sites:
            samples = _samples(content, site, "seats with a page's p95")
            assert samples is not None
            sizes = samples["sizes"]
            axis.plot(
                [size["seats"] for size in sizes],
                [value(size) for size in sizes],
                marker="o",
                color=COLOURS[site],
                label=TITLES[site],
            )
        axis.axvline(20, color="#777777", linestyle=":", linewidth=1)
        axis.set(title=title, xlabel="seats", ylabel=unit, ylim=(0, None))
    axes[0].legend()
    return figure

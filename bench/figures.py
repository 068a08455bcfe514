"""A figure: what was measured, what it should be, and by how much it is missed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """*target* is the issue's: at most that, or at least that when *at_least*; None for what is only told.
    *samples* is whatever was measured on the way, for the JSON. *note* says in a sentence what stands behind it."""

    measure: str
    name: str
    site: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""
    samples: dict[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> bool | None:
        """None where there is no target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def verdict(self) -> str:
        """``held``, ``MISSED by 12 %``, or nothing."""
        if self.held is None or self.target is None:
            return ""
        if self.held:
            return "held"
        if not self.target:
            return "MISSED"
        ratio = self.target / self.value if self.at_least else self.value / self.target
        return f"MISSED by {100 * (ratio - 1):.0f} %" if ratio < 2 else f"MISSED, {ratio:.1f} times"

    def as_json(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "name": self.name,
            "site": self.site,
            "value": self.value,
            "unit": self.unit,
            "target": self.target,
            "at_least": self.at_least,
            "verdict": self.verdict,
            "note": self.note,
            "samples": self.samples,
        }


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest of *values* that *part* of them (0 to 1) do not exceed. Raises ValueError without any."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def shown(value: float, unit: str) -> str:
    """The value as a person reads it."""
    if unit == "s" and value < 1:
        return f"{1000 * value:.0f} ms"
    if unit in {"", "seats"} or abs(value) >= 100:
        return f"{value:.0f} {unit}".strip()
    if unit == "times" and value < 1:
        return f"{value:.3f} {unit}"
    return f"{value:.{2 if abs(value) < 10 else 1}f} {unit}"

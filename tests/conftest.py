"""How the tests are shared out among processes (`make test`)."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile("e5b", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("e5b")

HERE = Path(__file__).parent

LONG = ("images", "e2e", "faults", "guard", "adapters", "docs", "bench")
"""Folders in the order of how long they take: no process is left with one of them at the end."""

TOGETHER = {"faults", "guard"}
"""Folders whose tests share what is expensive to make: a machine, a laboratory. They stay in one process."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def folder(item: pytest.Item) -> str:
        return item.path.relative_to(HERE).parts[0]

    for item in items:
        item.add_marker(pytest.mark.xdist_group(folder(item) if folder(item) in TOGETHER else str(item.path)))
    items.sort(key=lambda item: LONG.index(folder(item)) if folder(item) in LONG else len(LONG))


@pytest.fixture
def in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that read what is said."""
    monkeypatch.setenv("E5B_LANG", "en")

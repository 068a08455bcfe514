"""What the engine says was changed, read three ways, is one fingerprint."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator import wiring
from orchestrator.adapters import docker_engine
from orchestrator.cli.output import NoProgress
from orchestrator.settings import load
from tests.e2e.conftest import RealCentre

CHANGES = """
cd /var/www/site
echo '// altered' >> index.php
echo added > added.txt
rm license.txt LICENSES 2>/dev/null
name=$(ls -d wp-content/uploads img/cms 2>/dev/null | head -1)
rm -rf "$name" && mkdir "$name" && echo new > "$name/new.txt"
chmod 600 robots.txt 2>/dev/null
printf x > 'odd name
with a newline'
true
"""


def test_three_ways_to_one_fingerprint(
    make_centre: Callable[..., RealCentre], site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layer on the disk, the engine's own comparison, and the whole walk: altered, added, deleted, replaced."""
    centre = make_centre(1)
    centre.plan(site)
    centre.e5b("wave", "prepare")
    code, text = centre.run_in(1, "sh", "-c", CHANGES)
    assert code == 0, text
    engine = wiring.centre(load(centre.folder / "centre.toml"), NoProgress()).engine
    name = centre.container(1).name
    from_layer = engine.fingerprint(name)
    full = engine.fingerprint(name, full=True)

    def forbidden(_layer: bytes) -> Iterator[Any]:
        raise PermissionError

    monkeypatch.setattr(docker_engine, "paths_under", forbidden)
    from_engine = engine.fingerprint(name)
    assert from_layer.files == from_engine.files == full.files
    assert from_layer.digest == from_engine.digest == full.digest
    kinds = set(from_layer.files.values())
    assert "deleted" in kinds
    assert "/var/www/site/added.txt" in from_layer.files
    assert any(path.endswith("/new.txt") for path in from_layer.files)

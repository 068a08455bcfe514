"""Fixtures that are wrong, on the reference images, in real environments. Those of the sample bank are right: the pilot
academy's tutorial checks them, and is run by tests/docs."""

import shutil
from pathlib import Path

import pytest

from orchestrator import wiring
from orchestrator.adapters.bank_files import FolderBankFiles
from orchestrator.cli.output import NoProgress
from orchestrator.domain import naming
from orchestrator.domain.exam import Site
from orchestrator.services.bank_check import Checked, check
from orchestrator.settings import Sites

SAMPLE = Path(__file__).parents[2] / "subjects"


def checked(folder: Path) -> Checked:
    engine = wiring.academy(NoProgress()).engine
    found = check(FolderBankFiles(), folder, NoProgress(), engine, {site: Sites().image(site) for site in Site})
    names = [naming.reference_name("bank", subject.id) for subject in found.bank.subjects]
    assert not set(names) & engine.observe(names).keys()  # nothing is left
    return found


def test_fixtures_that_fail_or_take_the_present_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "bank"))
    for name in ("coffret-de-printemps", "boutique-a-remettre-en-ordre"):
        shutil.rmtree(folder / name / "fixtures")
    (folder / "fete-de-la-cueillette/fixtures/php/3.php").write_text("<?php throw new Exception('no such page');")
    (folder / "article-qui-promet-trop/fixtures/php/3.php").write_text("<?php update_option('hour', hrtime(true));")
    first, second = checked(folder).faults
    assert first.startswith("article-qui-promet-trop: the fixtures leave something else each time: wp_options")
    assert second.startswith("fete-de-la-cueillette: the fixtures do not apply: ") and "no such page" in second

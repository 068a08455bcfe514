"""One full wave of twenty, each candidate at work, on one machine."""

import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from simulation import candidate_for
from tests.e2e.conftest import RealCentre


def test_twenty_candidates(make_centre: Callable[..., RealCentre]) -> None:
    """Twenty of twenty proved, at work at once, sealed with their own work in them, reset and proved again."""
    centre = make_centre(20)
    centre.plan()
    prepared = centre.json("wave", "prepare")
    assert [seat["fault"] for seat in prepared["seats"]] == [None] * 20
    centre.e5b("wave", "open")
    account = centre.account(1)

    def work(seat: int) -> None:
        candidate = candidate_for(
            "wordpress", centre.url(seat), account["login"], account["password"], centre.address(seat)
        )
        candidate.log_in()
        candidate.publish(f"Article du poste {seat:02d}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(1, 21)))
    centre.e5b("wave", "close", "--early", "test")
    sealed = centre.json("wave", "seal")
    assert [(item["seat"], item["candidate"]) for item in sealed["evidence"]] == [
        (n, f"A{100 + n}") for n in range(1, 21)
    ]
    for item in sealed["evidence"]:
        archive = centre.folder / "state/evidence" / item["archive"]
        dump = read_part(archive, "database.sql")
        assert f"Article du poste {item['seat']:02d}" in dump
        assert f"Article du poste {item['seat'] % 20 + 1:02d}" not in dump
    report = centre.json("wave", "reset")
    assert [seat["fault"] for seat in report["seats"]] == [None] * 20
    centre.e5b("journal", "verify")


def read_part(archive: Path, name: str) -> str:
    with tarfile.open(archive) as opened:
        found = opened.extractfile(name)
        assert found is not None
        return found.read().decode(errors="replace")

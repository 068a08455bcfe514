"""The bench still measures: one quick run of everything on three seats, and the figures' own arithmetic."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from bench.figures import Figure, percentile, shown
from bench.load import Answer
from bench.measures import MEASURES
from bench.measures.reset import MARK, seen
from bench.report import CHOSEN, PAGES, with_figures
from bench.yardstick import build
from orchestrator.domain import naming

WANTED = {
    "prepare": "cold preparation / yardstick",
    "memory": "idle memory of a seat, by cgroup",
    "seal": "seal and verify 3",
    "reset": "reset with standbys of 3, the whole command",
    "point": "a page waits for a restore point, more than usual",
    "restore": "restore to a restore point until the page answers",
    "working": "p95 with / without, 3 at work",
    "subject": "the last of all candidates has the whole subject, after `wave open` has returned",
    "context": "package / docker save | gzip",
    "guard": "lock or unlock a seat",
    "growth": "seats with a page's p95 under 1 s",
}


@pytest.fixture(scope="module")
def images() -> None:
    """Made once on a machine: not what the quick run is about."""
    build("wordpress", "e5b/wordpress:current")


@pytest.mark.usefixtures("images")
def test_a_quick_run_measures_draws_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The two that everything else is compared with; the others take minutes, which is left to `make bench`."""
    centre, results = "bench-" + secrets.token_hex(3), tmp_path / "quick.json"
    options = ["--quick", "--seats=3", "--site=wordpress", f"--centre={centre}", f"--json={results}"]
    measured = {"prepare", "reset"}
    options += [f"--only={name}" for name in sorted(measured)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(results.read_text(encoding="utf-8"))
    named = {(figure["measure"], figure["name"]) for figure in content["figures"]}
    assert {(name, figure) for name, figure in WANTED.items() if name in measured} <= named
    assert content["machine"]["sites"]["wordpress"]["version"]
    assert content["run"]["quick"]
    client = docker.from_env(version="auto")
    for label in (centre, f"{centre}-yardstick", f"{centre}-loop"):
        own = {"label": f"{naming.CENTRE}={label}"}
        assert not client.containers.list(all=True, filters=own)
        assert not client.networks.list(filters=own)
        assert not client.images.list(filters=own)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_show_the_result_that_was_chosen(page: Path) -> None:
    if not CHOSEN.exists():
        pytest.skip("no result was chosen yet: python -m bench --publish FILE")
    text = page.read_text(encoding="utf-8")
    assert with_figures(text, json.loads(CHOSEN.read_text(encoding="utf-8"))) == text


def test_figures_stand_in_their_place_in_a_page() -> None:
    figures = [
        Figure("reset", "kept", "wordpress", 0.5, "s", 1.0),
        Figure("reset", "kept", "prestashop", 1.5, "s", 1.0),
        Figure("reset", "told", "wordpress", 3.0, "MB"),
    ]
    machine = {
        **{
            "date": "2027-01-02T03:04:05",
            "processors": 2,
            "processor": "P",
            "memory_bytes": 2**33,
            "disk": "ext4 on x",
        },
        **{"system": "Debian", "kernel": "6.1", "engine": "20.10", "load_before": 0.1},
        "sites": {"wordpress": {"version": "6.8"}, "prestashop": {"version": "8.1"}},
    }
    content = {"machine": machine, "run": {"seats": 20}, "figures": [figure.as_json() for figure in figures]}
    page = with_figures("before\n<!-- measured: targets -->\nold\n<!-- end -->\nafter\n", content)
    assert page.startswith("before\n") and page.endswith("<!-- end -->\nafter\n")
    assert "| kept | 500 ms | **1.50 s** (missed by 50 %) | ≤ 1.00 s |" in page
    assert "old" not in page and "told" not in page
    assert with_figures(page, content) == page


def test_every_measurement_is_known_to_the_test_above() -> None:
    assert set(WANTED) == set(MEASURES)


@pytest.mark.parametrize(
    ("value", "target", "at_least", "verdict"),
    [
        (1.0, None, False, ""),
        (1.0, 1.0, False, "held"),
        (1.5, 1.0, False, "MISSED by 50 %"),
        (3.3, 1.0, False, "MISSED, 3.3 times"),
        (80.0, 80.0, True, "held"),
        (60.0, 80.0, True, "MISSED by 33 %"),
        (1.0, 0.0, False, "MISSED"),
    ],
)
def test_a_missed_figure_says_by_how_much(value: float, target: float | None, at_least: bool, verdict: str) -> None:
    assert Figure("m", "n", "wordpress", value, "s", target, at_least).verdict == verdict


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.95), percentile([7.0], 0.95)) == (50.0, 95.0, 7.0)
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0264, "s", "26 ms"), (1.5, "s", "1.50 s"), (12.34, "s", "12.3 s"), (0.0, "", "0"), (110.0, "MB", "110 MB")],
)
def test_a_value_is_shown_as_a_person_reads_it(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_switch_is_timed_from_the_last_question_that_the_old_site_answered() -> None:
    def answer(seat: int, begun: float, body: bytes, status: int = 200) -> Answer:
        return Answer(seat, begun, begun + 0.01, status, False, body)

    answers = [
        *(answer(1, 10.0, MARK), answer(2, 10.02, MARK)),
        *(answer(1, 10.04, b"new"), answer(2, 10.06, b"", 503), answer(2, 10.08, b"new")),
    ]
    watched = seen(answers, 9.0, 2.0, 1.0, 2)
    assert watched.switch == pytest.approx(1.02)
    assert watched.new == pytest.approx((0.03, 0.07))
    assert (watched.requests, watched.failed) == (5, 1)

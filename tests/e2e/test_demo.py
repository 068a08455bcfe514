"""The demonstration, run as `make demo` runs it, in a centre of its own."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import RealCentre, kill

ROOT = Path(__file__).parents[2]


def start(centre: RealCentre, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "simulation.demo", "--folder", str(centre.folder), "--seats", "3", *options]
    return subprocess.Popen(
        [*command, "--site", "wordpress"],
        cwd=ROOT,
        env=centre.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(centre: RealCentre, *options: str, code: int = 0) -> str:
    process = start(centre, *options)
    output, _nothing = process.communicate(timeout=600)
    assert process.returncode == code, output
    return output


def networks(centre: RealCentre) -> list[object]:
    return list(centre.client.networks.list(filters={"label": f"fr.e5b.centre={centre.id}"}))


def test_the_demonstration_runs_and_is_kept(make_centre: Callable[..., RealCentre], tmp_path: Path) -> None:
    """A whole wave in front of the user; what it says to look at is there."""
    centre = make_centre(3, "--staff", "127.0.0.1")
    output = run(centre, "--keep")
    assert "WordPress: 3/3 seats reset and proved equal to the reference" in output
    assert "3/3 published" in output
    assert "Nothing of what was published is left: 3 sites looked at" in output
    assert "the chain holds" in output
    archives = sorted((centre.folder / "state/evidence").glob("*/*.tar.gz"))
    assert [archive.name for archive in archives] == ["poste-01-1.tar.gz", "poste-02-1.tar.gz", "poste-03-1.tar.gz"]

    # Its own advice on how to check an archive, typed as it is given.
    advice = re.search(r"mkdir -p /tmp/e5b && .*sha256sum -c SHA256SUMS\)", output)
    assert advice is not None
    checked = subprocess.run(
        ["sh", "-ec", advice[0].replace("/tmp/e5b", str(tmp_path / "checked"))], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert "database.sql: OK" in checked.stdout
    assert "D0101" in (tmp_path / "checked/database.sql").read_text(errors="replace")

    assert [wave["state"] for wave in centre.json("wave", "list")] == ["reset"]
    assert len(centre.containers()) == 4, "three sites and the gateway are kept"
    assert "Clos Verdier" in centre.get(1, address="127.0.0.1").text


def test_a_killed_demonstration_is_finished_by_the_next(make_centre: Callable[..., RealCentre]) -> None:
    """Killed while a command of its own is at work, which goes on alone: the next run waits for it, and finishes."""
    centre = make_centre(3, "--staff", "127.0.0.1")
    process = start(centre)
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("$ e5b wave close"):
            break
    assert process.poll() is None, "".join(seen)
    kill(process)
    output = run(centre)
    assert "An earlier run was interrupted" in output
    assert "WordPress: 3/3 seats reset and proved equal to the reference" in output
    states = [wave["state"] for wave in centre.json("wave", "list")]
    assert states[-1] == "reset"
    assert states[0] in {"reset", "abandoned"}
    assert len(list((centre.folder / "state/evidence").glob("*/*.tar.gz"))) == 6
    assert centre.containers() == networks(centre) == [], "nothing but the evidence is left"

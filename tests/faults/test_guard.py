"""A whole wave behind the guard, on a machine of its own that is its seats' router: what the seats reach and when."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from orchestrator.domain import naming
from tests.e2e.conftest import has_image
from tests.faults.conftest import FaultyCentre
from tests.faults.machine import Machine, until
from tests.guard import lab
from tests.guard.lab import Lab

SEARCH, DRIVE = "https://search.test/", "https://drive.test/"
"""Open always; closed while a candidate works."""

FIRST_PORT = 9001

SEATS = (1, 2)


class GuardedCentre(FaultyCentre):
    """Its seats are the lab's, and their one way to the made-up Internet is the machine."""

    def __init__(self, machine: Machine, folder: Path, made: Lab) -> None:
        self.lab = made
        macs = [f"--mac={seat}={lab.mac(seat)}" for seat in SEATS]
        guard = ("--guard", "gateway", "--interface", lab.SEATS, "--uplink", lab.UPLINK, "--resolver", lab.RESOLVER)
        ours = ("--first-address", lab.address(1), "--host", lab.HOST, "--first-port", str(FIRST_PORT))
        super().__init__(machine, folder, len(SEATS), *ours, *guard, *macs)
        self.set(most=0)
        rules = folder / "rules"
        rules.mkdir()
        (rules / "documents.txt").write_text("drive.test\n")
        text = (folder / "centre.toml").read_text()
        (folder / "centre.toml").write_text(text.replace('# policy = ""', 'policy = "rules"'))

    def asked(self, seat: int, url: str) -> str:
        """What a browser at *seat* is answered: a status, ``000`` when there is no answer."""
        return self._curl(seat, "--output", "/dev/null", "--write-out", "%{http_code}", url)

    def page(self, seat: int, url: str) -> str:
        return self._curl(seat, url)

    def _curl(self, seat: int, *arguments: str) -> str:
        authority = str(self.lab.folder / "ca.pem")
        where = self.lab.seats.get(seat, self.lab.unknown)
        return where.run("curl", "--silent", "--max-time", "10", "--cacert", authority, *arguments, check=False)

    def site(self, seat: int) -> str:
        return f"http://{lab.HOST}:{FIRST_PORT + seat - 1}/"


@pytest.fixture
def guarded(
    machine: Machine, client: docker.DockerClient, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GuardedCentre]:
    assert has_image(client, "guard"), "no image e5b/guard:current: run `e5b setup`"
    machine.load(client, "e5b/guard:current")
    with lab.lab(tmp_path_factory.mktemp("lab"), machine.holder, len(SEATS)) as made:
        centre = GuardedCentre(machine, tmp_path, made)
        yield centre
        centre.stop_serving()


def test_a_wave_behind_the_guard(guarded: GuardedCentre) -> None:
    centre = guarded
    centre.e5b("guard", "apply")
    assert all(centre.json("guard", "status")["state"]["engines"].values())
    # The proof is made where it is asked for. The made-up Internet has none of the names that the field's plan tries.
    checks = {check["name"]: check for check in centre.json("preflight", code=5)["checks"]}
    assert checks["guard: engines"]["verdict"] == "ok"
    assert checks["guard: probe"]["verdict"] == "failure" and "search-https" in checks["guard: probe"]["detail"]
    assert centre.json("journal", "show")[-1]["action"] == "guard.probed"
    centre.plan()
    centre.e5b("wave", "prepare")
    assert (centre.asked(1, SEARCH), centre.asked(1, DRIVE)) == ("200", "200")

    assert "not probed today" in centre.e5b("wave", "open")
    for seat in SEATS:
        assert (centre.asked(seat, SEARCH), centre.asked(seat, DRIVE)) == ("200", "000")
        assert centre.asked(seat, centre.site(seat)) == "200"
    assert "Fermé pendant" in centre.page(1, "http://drive.test/")
    assert centre.asked(1, centre.site(2)) != "200"
    # A machine that is no seat.
    assert (centre.asked(99, SEARCH), centre.asked(99, centre.site(1))) == ("000", "000")

    # A wrong block, at one seat, for this wave.
    off = ("guard", "off", "2", "--reason", "the subject needs it", "--confirm", "seats 02 without guard")
    centre.e5b(*off)
    assert (centre.asked(1, DRIVE), centre.asked(2, DRIVE)) == ("000", "200")
    centre.e5b("guard", "on", "2")
    assert centre.asked(2, DRIVE) == "000"

    # It dies, and nobody starts it again but the supervisor.
    name = naming.guard_name(centre.id)
    centre.machine.client.containers.get(name).kill()
    for seat in SEATS:
        assert centre.asked(seat, DRIVE) == "000" and centre.asked(seat, centre.site(seat)) == "200"
    centre.serve()
    until(lambda: centre.asked(1, SEARCH) == "200", 60, "the guard is not started again")
    assert centre.asked(1, DRIVE) == "000"
    actions = [line["action"] for line in centre.json("journal", "show")]
    assert {"guard.applied", "guard.excepted", "guard.started", "alarm.raised"} <= set(actions)

    # What was tried is on record.
    def counted() -> bool:
        return all(seat["refused"] > 0 for seat in centre.json("wave", "status")["seats"])

    until(counted, 30, "what was refused is not counted")
    assert "drive.test" in {item["what"] for item in centre.json("guard", "log", "--seat", "1")}

    centre.e5b("wave", "close", "--early", "the test is over")
    assert [centre.asked(seat, DRIVE) for seat in SEATS] == ["200", "200"]
    until(lambda: centre.wave_state() == "sealed", 120, "the wave is not sealed")
    centre.e5b("journal", "verify")

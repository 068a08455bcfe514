"""Shops meet with what every site must survive, with standbys behind them: a PrestaShop's database is larger than a
WordPress's, it keeps pieces of pages in files of its own, and its saves overwrite what was there."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from simulation import NotAsExpected
from tests.e2e.conftest import need_image
from tests.faults.conftest import FaultyCentre, until_over
from tests.faults.machine import Machine, until

SEATS = (1, 2)


class Shops(FaultyCentre):
    """Each candidate describes one product, again and again: ``tried`` has what they wrote, ``told`` what the shop said
    is saved, in that order."""

    def __init__(self, machine: Machine, folder: Any) -> None:
        super().__init__(machine, folder, len(SEATS))
        self.tried: dict[int, list[str]] = {seat: [] for seat in SEATS}
        self.told: dict[int, list[str]] = {seat: [] for seat in SEATS}
        self.product = ""

    def container(self, seat: int) -> Any:
        """The one that the candidate works in: behind it is a standby."""
        (wave,) = self.json("wave", "list")
        (name,) = (place["environment"] for place in wave["places"] if place["seat"] == seat)
        return self.client.containers.get(name)

    @contextlib.contextmanager
    def describing(self) -> Iterator[None]:
        """All candidates save, whatever happens to them."""
        over = threading.Event()

        def work(seat: int) -> None:
            candidate = self.candidate(seat)
            while not over.is_set():
                title = f"Description {len(self.tried[seat])} of seat {seat}."
                self.tried[seat].append(title)
                with contextlib.suppress(NotAsExpected, OSError), self.machine.network():
                    self.product = candidate.publish(title).removeprefix(self.url(seat))
                    self.told[seat].append(title)
                over.wait(1)

        with until_over([threading.Thread(target=work, args=(seat,)) for seat in SEATS], over, 120):
            yield

    def until_described(self, more: int = 1) -> None:
        wanted = {seat: len(self.told[seat]) + more for seat in SEATS}
        until(lambda: all(len(self.told[seat]) >= wanted[seat] for seat in SEATS), 120, "a candidate cannot save")

    def possible(self, seat: int) -> list[str]:
        """What the product's description may be: the last that the shop said is saved, or one that was sent after it,
        whose answer never came."""
        return self.tried[seat][self.tried[seat].index(self.told[seat][-1]) :]

    def check_described(self) -> None:
        self.until_served(*SEATS)
        for seat in SEATS:
            page = self.get(seat, self.product).text
            assert any(title in page for title in self.possible(seat)), f"seat {seat}: {self.possible(seat)[0]} is lost"

    def until_standbys(self) -> None:
        def ready() -> bool:
            return all(line["ready"] for line in self.json("standby", "status"))

        until(ready, 120, "a seat has no standby")


@pytest.fixture(scope="module")
def shops(machine: Machine, client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    need_image(client, "prestashop")
    machine.load(client, "e5b/prestashop:current")
    centre = Shops(machine, tmp_path_factory.mktemp("shops"))
    # Standbys are made here while candidates work without a pause.
    centre.set(busy_percent=100)
    centre.plan("prestashop")
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    centre.serve()
    centre.until_standbys()
    yield centre
    centre.stop_serving()


def test_a_database_and_then_a_container_are_killed_in_the_middle_of_saving(shops: Shops) -> None:
    with shops.describing():
        shops.until_described(2)
        for process in shops.processes(1):
            if process.name() == "mariadbd":
                process.kill()
        shops.container(2).kill()
        shops.until_described(2)
    shops.check_described()


def test_the_machine_is_unplugged_in_the_middle_of_saving(shops: Shops) -> None:
    with shops.describing():
        shops.until_described(2)
        with shops.credited(*SEATS):
            shops.machine.pull_plug()
            shops.machine.boot()
            shops.serve()
        shops.until_described()
    shops.check_described()


def test_what_was_saved_is_sealed_and_the_next_wave_finds_the_reference(shops: Shops) -> None:
    shops.until_standbys()
    shops.e5b("wave", "close", "--early", "test")
    until(lambda: shops.wave_state() == "sealed", 120, "the wave is not sealed")
    for seat in SEATS:
        sealed = shops.sealed_database(seat)
        assert any(title in sealed for title in shops.possible(seat)), f"seat {seat}: {shops.possible(seat)[0]} is lost"
    report = shops.json("wave", "reset")
    assert [(seat["fault"], seat["standby"]) for seat in report["seats"]] == [(None, True)] * len(SEATS)
    shops.e5b("journal", "verify")

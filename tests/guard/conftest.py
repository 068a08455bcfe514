"""One lab without a guard, and one behind the real guard in each of its modes; each is made once."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.adapters.guard import DockerGuard
from orchestrator.domain import probes
from orchestrator.domain.probes import Probe
from orchestrator.settings import Settings
from tests.guard import lab
from tests.guard.lab import Answer, Lab

SEATED = 20
IMAGE = "e5b/guard:current"

MODES = ("gateway", "proxy")
PLANS: dict[str, list[Probe]] = {
    "gateway": probes.gateway(lab.TARGETS),
    "proxy": probes.proxy(lab.TARGETS, lab.PAC),
}


@dataclass
class Guarded:
    """A lab whose exam host has a guard. Nothing of it is locked but what :meth:`lock` was told last."""

    mode: str
    lab: Lab
    guard: DockerGuard
    settings: Settings

    def lock(self, *seats: int) -> None:
        self.guard.lock(seats)

    def probe(self, plan: Sequence[Probe] | None = None, earlier: Answer | None = None) -> Answer:
        proxy = f"{lab.HOST}:{lab.PROXY.port}" if self.mode == "proxy" else None
        return self.lab.probe(plan or PLANS[self.mode], proxy=proxy, earlier=earlier)


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The exam host is a plain router, and has a proxy that refuses nothing."""
    with lab.lab(tmp_path_factory.mktemp("control")) as made:
        made.open()
        yield made


@pytest.fixture(scope="session")
def reached(control: Lab) -> dict[str, Answer]:
    """What the probes reach in each mode while there is no guard."""
    proxy = f"{lab.HOST}:{lab.PROXY.port}"
    return {
        "gateway": control.probe(PLANS["gateway"], resolver=lab.RESOLVER),
        "proxy": control.probe(PLANS["proxy"], resolver=lab.RESOLVER, proxy=proxy),
    }


@pytest.fixture(scope="session", params=MODES)
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    yield from _guarded(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """In mode gateway."""
    yield from _guarded("gateway", tmp_path_factory.mktemp("routed"))


def _guarded(mode: str, folder: Path) -> Iterator[Guarded]:
    client = docker.from_env(version="auto")
    exam = client.containers.run(
        IMAGE,
        ["infinity"],
        entrypoint=["sleep"],
        network_mode="none",
        detach=True,
        name=f"e5b-lab-{secrets.token_hex(3)}",
    )
    try:
        exam.reload()
        with lab.lab(folder / "lab", exam.attrs["State"]["Pid"], SEATED) as made:
            settings = lab_settings(mode, folder / "state")
            guard = DockerGuard(client, settings, network=f"container:{exam.id}")
            try:
                guard.ensure(lab.policy(), ())
                yield Guarded(mode, made, guard, settings)
            finally:
                guard.remove()
    finally:
        exam.remove(force=True)
        client.close()


def lab_settings(mode: str, state: Path, seats: int = SEATED) -> Settings:
    guard: dict[str, Any] = {"mode": mode, "interface": lab.SEATS, "resolvers": [lab.RESOLVER]}
    guard |= {"uplink": lab.UPLINK, "proxy_port": lab.PROXY.port, "page_port": lab.PAC.port}
    return Settings.model_validate(
        {
            "centre": {"id": f"lab-{secrets.token_hex(3)}", "name": "Lab", "state": state},
            "gateway": {"host": lab.HOST, "first_port": lab.SITE_PORTS[0]},
            "guard": guard,
            "rooms": [
                {
                    "name": "salle-lab",
                    "seats": [
                        {"number": number, "address": lab.address(number), "mac": lab.mac(number)}
                        for number in range(1, seats + 1)
                    ],
                }
            ],
        }
    )

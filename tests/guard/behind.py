"""A lab whose exam host has the real guard: in a container of its own, in the exam host's network."""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker

from orchestrator.adapters.guard import IMAGE, DockerGuard
from orchestrator.domain.probes import Probe
from orchestrator.settings import Settings
from tests.guard import lab
from tests.guard.lab import Answer, Lab


@dataclass
class Guarded:
    """Nothing of it is locked but what :meth:`lock` was told last."""

    mode: str
    lab: Lab
    guard: DockerGuard

    def lock(self, *seats: int) -> None:
        self.guard.lock(seats)

    def probe(self, plan: Sequence[Probe], earlier: Answer | None = None) -> Answer:
        proxy = f"{lab.HOST}:{lab.PROXY.port}" if self.mode == "proxy" else None
        return self.lab.probe(plan, proxy=proxy, earlier=earlier)


@contextlib.contextmanager
def guarded_lab(client: docker.DockerClient, mode: str, folder: Path, seats: int) -> Iterator[Guarded]:
    """The exam host is a container without any network, into which the lab puts its cables."""
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
        with lab.lab(folder / "lab", exam.attrs["State"]["Pid"], seats) as made:
            guard = DockerGuard(client, settings(mode, folder / "state", seats), network=f"container:{exam.id}")
            try:
                guard.ensure(lab.policy(), ())
                yield Guarded(mode, made, guard)
            finally:
                guard.remove()
    finally:
        exam.remove(force=True)


def settings(mode: str, state: Path, seats: int) -> Settings:
    return Settings.model_validate(
        {
            "centre": {"id": f"lab-{secrets.token_hex(3)}", "name": "Lab", "state": state},
            "gateway": {"host": lab.HOST, "first_port": lab.SITE_PORTS[0]},
            "guard": {
                "mode": mode,
                "interface": lab.SEATS,
                "uplink": lab.UPLINK,
                "resolvers": [lab.RESOLVER],
                "proxy_port": lab.PROXY.port,
                "page_port": lab.PAC.port,
            },
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

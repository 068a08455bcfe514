"""One lab without a guard, and one behind the real guard in each of its modes; each is made once."""

from collections.abc import Iterator

import docker
import pytest

from orchestrator.domain import probes
from tests.guard import lab
from tests.guard.behind import Guarded, guarded_lab
from tests.guard.lab import Answer, Lab

SEATED = 20

PLANS = {"gateway": probes.gateway(lab.TARGETS), "proxy": probes.proxy(lab.TARGETS, lab.PAC)}


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


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    made = docker.from_env(version="auto")
    yield made
    made.close()


@pytest.fixture(scope="session")
def routed(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Mode gateway."""
    with guarded_lab(client, "gateway", tmp_path_factory.mktemp("gateway"), SEATED) as made:
        yield made


@pytest.fixture(scope="session")
def proxied(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Mode proxy."""
    with guarded_lab(client, "proxy", tmp_path_factory.mktemp("proxy"), SEATED) as made:
        yield made


@pytest.fixture(params=PLANS)
def guarded(request: pytest.FixtureRequest) -> Guarded:
    """Either."""
    made: Guarded = request.getfixturevalue("routed" if request.param == "gateway" else "proxied")
    return made

"""The simulated candidates against one real site each: log-in, an article, a product, through the administrations."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import docker
import pytest

from bench.centre import free_ports
from simulation import Candidate, NotAsExpected, PrestaShopCandidate, WordPressCandidate, candidate_for
from simulation.wordpress import drawn
from tests.e2e.conftest import SITES, need_image

ADDRESS = "127.0.1.7"


class RealSite(NamedTuple):
    name: str
    url: str
    account: dict[str, Any]

    def candidate(self, **account: str) -> Candidate:
        account = {**self.account, **account}
        return candidate_for(self.name, self.url, account["login"], account["password"], ADDRESS)


@pytest.fixture(scope="module", params=SITES)
def real_site(request: pytest.FixtureRequest, client: docker.DockerClient) -> Iterator[RealSite]:
    """One container of the image, published on a loopback port. WordPress must be there."""
    name = request.param
    need_image(client, name)
    port = free_ports(1)
    container = client.containers.run(
        f"e5b/{name}:current",
        detach=True,
        environment={"E5B_URL": f"http://127.0.0.1:{port}"},
        ports={"80/tcp": ("127.0.0.1", port)},
        tmpfs={"/run": "", "/tmp": "", "/var/tmp": ""},
    )
    try:
        code, output = container.exec_run(["/opt/e5b/bin/ready", "--timeout", "120"])
        assert code == 0, output
        account = json.loads(container.exec_run(["/opt/e5b/bin/describe"]).output)
        yield RealSite(name, f"http://127.0.0.1:{port}", account)
    finally:
        container.remove(force=True, v=True)


def test_what_a_candidate_publishes_is_seen_by_visitors(real_site: RealSite) -> None:
    candidate = real_site.candidate()
    candidate.log_in()
    address = candidate.publish("L'infusion du soir – n° 7319")
    assert address.startswith(f"{real_site.url}/")
    assert real_site.candidate().page(address).shows("L'infusion du soir – n° 7319")


def test_another_password_is_refused(real_site: RealSite) -> None:
    with pytest.raises(NotAsExpected, match=real_site.account["login"]):
        real_site.candidate(password="Tisane-2025").log_in()


def test_who_is_not_logged_in_publishes_nothing(real_site: RealSite) -> None:
    with pytest.raises(NotAsExpected):
        real_site.candidate().publish("Sans connexion")


def test_an_article_with_all_that_the_exam_asks(real_site: RealSite) -> None:
    """Category, search engine's fields, a picture of the media library."""
    candidate = real_site.candidate()
    if not isinstance(candidate, WordPressCandidate):
        return
    candidate.log_in()
    address = candidate.publish(
        "Nos coffrets de Noël",
        "<h2>Trois coffrets</h2><p>À offrir & à <strong>partager</strong>.</p>",
        category="Conseils d’infusion",
        seo_title="Coffrets de Noël | Clos Verdier",
        seo_description="Trois coffrets de tisanes et de miels à offrir.",
        png=drawn("coffrets"),
    )
    visitor = real_site.candidate().page(address)
    assert "<title>Coffrets de Noël | Clos Verdier</title>" in visitor.source
    assert visitor.shows("À offrir & à partager.")
    picture = candidate.upload("bandeau.png", drawn("bandeau"))
    assert real_site.candidate().page(picture.url).content == drawn("bandeau")
    with pytest.raises(NotAsExpected, match="Absente"):
        candidate.publish("Ailleurs", category="Absente")


def test_a_product_with_another_price(real_site: RealSite) -> None:
    """The price that a visitor pays, tax included, and the short description."""
    candidate = real_site.candidate()
    if not isinstance(candidate, PrestaShopCandidate):
        return
    candidate.log_in()
    address = candidate.change_product(
        "COF-001", price=Decimal("20"), short_description="<p>Quatre <strong>tisanes</strong> &amp; un miel.</p>"
    )
    visitor = real_site.candidate().page(address)
    assert visitor.shows("24,00")
    assert visitor.shows("Quatre tisanes & un miel.")
    with pytest.raises(NotAsExpected, match="SANS-999"):
        candidate.change_product("SANS-999")

"""Simulated candidates, for the demonstration, the tests and the benchmarks. Not part of what is installed."""

from typing import Protocol

from orchestrator.domain.exam import Site
from simulation.browser import NotAsExpected, Page
from simulation.prestashop import PrestaShopCandidate
from simulation.wordpress import WordPressCandidate

__all__ = ["Candidate", "NotAsExpected", "Page", "PrestaShopCandidate", "WordPressCandidate", "candidate_for"]


class Candidate(Protocol):
    """What every simulated candidate does, whatever the site. All of it raises NotAsExpected."""

    def log_in(self) -> None: ...

    def publish(self, title: str) -> str:
        """Do some real work that shows *title* to visitors, check that it does; the address of the page."""

    def page(self, path: str) -> Page: ...


def candidate_for(
    site: Site | str, base_url: str, login: str, password: str, source_address: str | None = None
) -> Candidate:
    """A candidate for *site*, whose account is the one that the site's image describes."""
    kind = WordPressCandidate if Site(site) is Site.WORDPRESS else PrestaShopCandidate
    return kind(base_url, login, password, source_address)

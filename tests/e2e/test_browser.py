"""A candidate's own tool, a real browser, in front of the gateway and of both sites' administrations."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.conftest import RealCentre

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
FIELDS = {
    "wordpress": ("#user_login", "#user_pass", "#wp-submit"),
    "prestashop": ("#email", "#passwd", "#submit_login"),
}
INSIDE = {"wordpress": "#adminmenu", "prestashop": "#nav-sidebar, .nav-bar"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        # Without any browser this fails, loudly: it is not skipped.
        opened = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


def test_a_candidate_in_a_browser(
    make_centre: Callable[..., RealCentre], site: str, browser: Browser, tmp_path: Path
) -> None:
    """The waiting page turns into the site by itself; the administration opens; nothing but the own site is asked."""
    # A browser on this machine comes from 127.0.0.1: that is seat 1 here.
    centre = make_centre(2, "--first-address", "127.0.0.1")
    centre.plan(site)
    centre.e5b("wave", "prepare")
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(centre.url(1))
    assert "pas encore" in page.inner_text("body").lower()
    centre.e5b("wave", "open")
    page.wait_for_selector("text=Clos Verdier", timeout=30_000)

    account = centre.account(1)
    login, password, submit = FIELDS[site]
    page.goto(centre.url(1) + account["admin"])
    page.fill(login, account["login"])
    page.fill(password, account["password"])
    page.click(submit)
    page.wait_for_selector(INSIDE[site], state="attached", timeout=60_000)
    page.screenshot(path=tmp_path / f"{site}.png")
    elsewhere = {url for url in asked if not url.startswith((centre.url(1), "data:", "blob:", "about:"))}
    assert not elsewhere

    page.goto(centre.url(2))
    assert "poste" in page.inner_text("body").lower()
    assert "Clos Verdier" not in page.content()
    centre.e5b("wave", "close", "--early", "test")
    page.goto(centre.url(1))
    assert "temps" in page.inner_text("body").lower()
    page.close()

"""A candidate's own tool behind the guard: a real browser at a seat, with what browsers do on their own account."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, Playwright, sync_playwright

from tests.guard import lab
from tests.guard.behind import Guarded
from tests.guard.browsing import NO_QUIC, QUIC, browser_at
from tests.guard.lab import Lab

FETCH = "url => fetch(url, {mode: 'no-cors', credentials: 'include'}).then(() => true, () => false)"
"""As a page's own picture or script is fetched: on a connection that is there already, if there is one."""


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as made:
        yield made


def reaches_beside(page: Page) -> bool:
    """Whether a page of an allowed site reaches a platform that its server serves as well."""
    page.goto("https://search.test/")
    assert page.evaluate(FETCH, "https://search.test/again") is True
    return bool(page.evaluate(FETCH, "https://docs.search.test/beside"))


def peers(made: Lab, path: str) -> set[str]:
    """The connections on which *path* was asked for."""
    return {note["peer"] for note in made.noted() if note.get("path") == path}


def hides_a_name(page: Page, made: Lab) -> bool:
    """Whether the browser encrypts the name of a site that offers it. It does not wait long for the offer: it is made
    for several names."""
    for number in range(6):
        page.goto(f"https://n{number}.ech.test/")
        assert page.inner_text("h1") == f"n{number}.ech.test"
        if any(name == lab.ECH_OUTER for name, _server, _from in made.names()):
            return True
    return False


def fails(page: Page, url: str) -> str:
    """Why *url* cannot be shown, in a tab of its own: the browser's own page about it comes a moment later."""
    tab = page.context.new_page()
    try:
        with pytest.raises(Error) as caught:
            tab.goto(url)
        return caught.value.message
    finally:
        tab.close()


def test_without_a_guard_the_browser_reaches_what_the_guard_must_close(
    control: Lab, playwright: Playwright, tmp_path: Path
) -> None:
    """It even asks for a platform on the connection that it has to an allowed site, and hides a name when it can."""
    with browser_at(playwright, control, 1, tmp_path) as page:
        assert reaches_beside(page)
        assert peers(control, "/again") & peers(control, "/beside")
        page.goto("https://drive.test/")
        assert page.inner_text("h1") == "drive.test"
        assert hides_a_name(page, control)
    with browser_at(playwright, control, 1, tmp_path, QUIC) as page:
        fails(page, "https://drive.test/")
        assert any(note.get("udp", "").endswith(":443") for note in control.noted())


def test_the_guard_in_front_of_a_browser(routed: Guarded, playwright: Playwright, tmp_path: Path) -> None:
    routed.lock(1)
    made = routed.lab
    with browser_at(playwright, made, 1, tmp_path) as page:
        assert not reaches_beside(page) and not peers(made, "/beside")
        assert page.goto("http://search.test/") is not None and page.inner_text("h1") == "search.test"
        assert "ERR_CONNECTION" in fails(page, "https://drive.test/")
        assert not hides_a_name(page, made)

        # Where the protocol allows it, the candidate is told why.
        response = page.goto("http://drive.test/")
        assert response is not None and response.status == 403
        text = page.inner_text("body")
        assert "drive.test" in text and "épreuve" in text.lower()

        page.goto(f"http://{lab.HOST}:{lab.SITE_PORTS[0]}/")
        assert page.inner_text("h1") == f"{lab.HOST}:{lab.SITE_PORTS[0]}"


def test_a_browser_that_insists_on_quic_gets_no_datagram_out(
    routed: Guarded, playwright: Playwright, tmp_path: Path
) -> None:
    """It falls back to TCP for an allowed site; a platform stays closed."""
    routed.lock(1)
    with browser_at(playwright, routed.lab, 1, tmp_path, QUIC) as page:
        fails(page, "https://drive.test/")
    assert not any("udp" in note for note in routed.lab.noted())


def test_a_browser_that_uses_the_proxy(proxied: Guarded, playwright: Playwright, tmp_path: Path) -> None:
    """It finds the proxy by the file that it is told; what is closed is explained where the browser shows it."""
    proxied.lock(1)
    found_by = f"--proxy-pac-url=http://{lab.HOST}:{lab.PAC.port}/proxy.pac"
    with browser_at(playwright, proxied.lab, 1, tmp_path, (*NO_QUIC, found_by)) as page:
        page.goto("https://search.test/")
        assert page.inner_text("h1") == "search.test"
        assert not page.evaluate(FETCH, "https://docs.search.test/beside")
        assert "ERR_TUNNEL" in fails(page, "https://drive.test/")
        response = page.goto("http://drive.test/")
        assert response is not None and response.status == 403 and "drive.test" in page.inner_text("body")
        page.goto(f"http://{lab.HOST}:{lab.SITE_PORTS[0]}/")
        assert page.inner_text("h1") == f"{lab.HOST}:{lab.SITE_PORTS[0]}"

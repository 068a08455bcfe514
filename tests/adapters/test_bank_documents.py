"""Documents as PDF: looked at as pictures, and read as text."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image, ImageStat

from orchestrator.adapters import documents
from orchestrator.adapters.bank_files import FolderBankFiles
from orchestrator.adapters.documents import WeasyDocuments
from orchestrator.domain.bank import CRITERIA, Document
from orchestrator.errors import Refused
from orchestrator.services.bank_render import pdfs

SAMPLE = Path(__file__).parents[2] / "subjects"
DOCUMENTS = WeasyDocuments()
A4 = (595, 842)

VALUES = {
    "session": "2027",
    "kind": "Essai",
    "title": "Titre",
    "facts": [],
    "foot": "Pied",
    "reserved": False,
    "shape": "",
}


def pages(content: bytes) -> Iterator[tuple[Any, str]]:
    """Each page, and its text with plain spaces."""
    for page in pypdfium2.PdfDocument(content):
        yield page, " ".join(page.get_textpage().get_text_bounded().split())


def picture(page: Any) -> Image.Image:
    image: Image.Image = page.render(scale=1).to_pil().convert("L")
    return image


@pytest.fixture(scope="module")
def rendered() -> dict[Document, bytes]:
    bank = FolderBankFiles().read(SAMPLE)
    subject = bank.subject("coffret-de-printemps")
    assert subject is not None
    return pdfs(DOCUMENTS, "2027", subject)


@pytest.mark.parametrize("document", list(Document))
def test_a_document_is_a4_with_its_heading_its_foot_and_ink_within_the_margins(
    rendered: dict[Document, bytes], document: Document
) -> None:
    found = list(pages(rendered[document]))
    assert 1 <= len(found) <= 2
    for number, (page, text) in enumerate(found, 1):
        size = tuple(round(length) for length in page.get_size())
        assert size == (A4[::-1] if document is Document.GRID else A4)
        assert "BTS NDRC" in text and "Session 2027" in text and f"Page {number} / {len(found)}" in text
        image = picture(page)
        assert ImageStat.Stat(image).mean[0] < 254  # not blank
        ink = image.point(lambda value: 255 if value < 200 else 0).getbbox()
        assert ink is not None
        assert ink[0] > 25 and ink[1] > 15 and ink[2] < size[0] - 25 and ink[3] < size[1] - 15


def test_what_is_the_jurys_says_so_on_its_first_page(rendered: dict[Document, bytes]) -> None:
    for document, content in rendered.items():
        first = next(text for _page, text in pages(content))
        assert ("RÉSERVÉ AU JURY" in first) == document.for_jury


def test_the_grid_has_five_candidates_and_the_sheet_its_eight_criteria_on_one_page(
    rendered: dict[Document, bytes],
) -> None:
    ((_page, grid),) = pages(rendered[Document.GRID])
    assert all(f"Candidat {number}" in grid for number in range(1, 6))
    ((_page, sheet),) = pages(rendered[Document.SHEET])
    assert all(f"{number}. {criterion}" in sheet for number, criterion in enumerate(CRITERIA, 1))


def test_letters_with_accents_and_signs_are_there(rendered: dict[Document, bytes]) -> None:
    text = " ".join(text for _page, text in pages(rendered[Document.CANDIDATE]))
    assert "39,00 € TTC" in text and "fête des Mères" in text and "« Coffret Printemps »" in text


def test_a_document_shows_its_own_pictures_and_fetches_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No file of this machine, no address; and no warning says what it was."""
    buffer = io.BytesIO()
    Image.new("RGB", (200, 100), (10, 10, 10)).save(buffer, "PNG")
    (tmp_path / "secret.png").write_bytes(buffer.getvalue())
    caplog.set_level(logging.DEBUG)

    def darkest(text: str) -> int:
        content = DOCUMENTS.pdf("document", {**VALUES, "text": text}, {"pictures/a.png": buffer.getvalue()})
        ((page, _text),) = pages(content)
        image = picture(page).crop((60, 200, 200, 280))
        low, _high = image.getextrema()
        return int(low)

    assert darkest("![](pictures/a.png)") < 40
    for other in (f"file://{tmp_path}/secret.png", "../secret.png", "http://127.0.0.1:9/MARQUE.png", "pictures/b.png"):
        assert darkest(f"![]({other})") > 100
    assert "MARQUE" not in caplog.text


def test_html_in_a_text_is_shown_and_not_obeyed() -> None:
    html = DOCUMENTS.html("document", {**VALUES, "title": "<b>", "text": "<script>x</script> <style>*{}</style>"})
    assert "<script>" not in html and "&lt;script&gt;" in html and "<h1>&lt;b&gt;</h1>" in html


def test_a_machine_without_pango_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.setattr(documents, "_imported", missing)
    monkeypatch.setattr(documents, "_installable", lambda: False)
    documents._weasyprint.cache_clear()
    with pytest.raises(Refused) as caught:
        DOCUMENTS.pdf("document", {**VALUES, "text": ""})
    assert "libpango-1.0-0" in (caught.value.hint or "")


def test_a_machine_that_may_install_does_it_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(documents, "_FONT", tmp_path / "none")
    monkeypatch.setattr(documents, "_installable", lambda: True)
    monkeypatch.setattr(documents.apt, "install", lambda *packages: installed.append(packages))
    documents._weasyprint.cache_clear()
    for _time in range(2):
        DOCUMENTS.pdf("document", {**VALUES, "text": "texte"})
    assert installed == [documents.PACKAGES]
    documents._weasyprint.cache_clear()

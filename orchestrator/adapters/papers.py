"""The centre's papers: the same sheets as the bank's documents, with QR codes. Implements ports.Papers."""

import io
from collections.abc import Mapping
from typing import Any

import segno

from orchestrator.ports import Documents


class SheetPapers:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def pdf(self, paper: str, values: Mapping[str, Any], codes: Mapping[str, str]) -> bytes:
        return self._documents.pdf(f"paper-{paper}", values, {f"{name}.svg": _qr(text) for name, text in codes.items()})


def _qr(text: str) -> bytes:
    """The QR code of *text*, as SVG that takes the size it is given."""
    target = io.BytesIO()
    segno.make(text, error="m", micro=False).save(target, kind="svg", omitsize=True, border=2)
    return target.getvalue()

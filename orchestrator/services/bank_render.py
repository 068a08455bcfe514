"""A subject's documents as PDF. They are in French whatever the language: candidates and juries read them."""

import os
from pathlib import Path

from orchestrator.domain.bank import Document, Subject
from orchestrator.domain.exam import Site
from orchestrator.errors import InputInvalid, NotFound
from orchestrator.i18n import _
from orchestrator.ports import BankFiles, Documents

_KINDS = {
    Document.CANDIDATE: "Sujet – document du candidat",
    Document.AID: "Aide à l’évaluation",
    Document.GRID: "Grille d’observation – groupe de cinq candidats",
    Document.SHEET: "Fiche d’évaluation du candidat",
}
_SHAPES = {Document.CANDIDATE: "", Document.AID: "aid", Document.GRID: "wide", Document.SHEET: "sheet"}
_SITES = {Site.WORDPRESS: "Site WordPress", Site.PRESTASHOP: "Boutique PrestaShop"}


def pdfs(documents: Documents, session: str, subject: Subject) -> dict[Document, bytes]:
    """All of a subject's documents. Raises Refused when this machine cannot make any."""
    return {document: _pdf(documents, session, subject, document) for document in Document}


def _pdf(documents: Documents, session: str, subject: Subject, document: Document) -> bytes:
    facts = [_SITES[subject.site], f"Durée : {subject.minutes} minutes"]
    if document is Document.AID:
        facts += subject.competences
    return documents.pdf(
        "document",
        {
            "session": session,
            "kind": _KINDS[document],
            "title": subject.title,
            "facts": facts,
            "foot": f"{_KINDS[document]} · {subject.title}",
            "reserved": document.for_jury,
            "shape": _SHAPES[document],
            "text": subject.documents[document],
        },
        subject.pictures,
    )


def render(files: BankFiles, documents: Documents, folder: Path, subject_id: str, output: Path) -> list[Path]:
    """Write the PDF of one subject of the bank in *folder*, to look at them; readable by their author alone.

    Raises NotFound, InputInvalid when a document is missing or nothing can be written, Refused.
    """
    bank = files.read(folder)
    subject = bank.subject(subject_id)
    if subject is None:
        raise NotFound(
            _("There is no subject {id} in {path}.").format(id=subject_id, path=folder),
            hint=_("There are: {ids}").format(ids=", ".join(item.id for item in bank.subjects)),
        )
    missing = [f"{document.value}.md" for document in Document if document not in subject.documents]
    if missing:
        raise InputInvalid(_("{id} has not all of its documents.").format(id=subject_id), details=missing)
    written = []
    contents = pdfs(documents, bank.calendar.session if bank.calendar else "", subject)
    try:
        output.mkdir(parents=True, exist_ok=True)
        for document, content in contents.items():
            path = output / f"{subject_id}-{document.value}.pdf"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            written.append(path)
    except OSError as error:
        raise InputInvalid(_("{path} cannot be written: {error}.").format(path=output, error=error.strerror)) from error
    return written

"""Read a sealed bank, and what a person types to open a part of it."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.bank import SealedBank
from orchestrator.domain.unlock_code import WORDS, CodeMistyped, UnlockCode
from orchestrator.errors import InputInvalid
from orchestrator.i18n import _, ngettext
from orchestrator.ports import SealedBanks, Signatures


@dataclass(frozen=True)
class ReadBank:
    """A bank whose signature and content hold. *comment* was signed with it."""

    bank: SealedBank
    comment: str


def read_bank(banks: SealedBanks, signatures: Signatures, path: Path, public_key: str) -> ReadBank:
    """Raises SignatureInvalid with its own sentence for each thing that does not hold, InputInvalid when the file
    cannot be read."""
    comment = signatures.verify(path, public_key)
    return ReadBank(banks.read(path), comment)


def typed_code(text: str, second: str | None = None) -> UnlockCode:
    """The code that a person typed; with a second lock, the one that both codes make.

    Raises InputInvalid for a typing mistake, which is no wrong try: nothing was tried. What was typed is in no error.
    """
    code = _one(text, _("The code"))
    return code if second is None else code.with_second(_one(second, _("The second code")))


def _one(text: str, which: str) -> UnlockCode:
    try:
        return UnlockCode.typed(text)
    except CodeMistyped as mistake:
        count, unknown = mistake.count, mistake.unknown
    # Out of the handler: nothing that was typed goes along with the error.
    hint = _("Type the five words again. The first four letters of each are enough; accents and capitals do not count.")
    if count != WORDS:
        sentence = ngettext("{which} has {n} word: it has five.", "{which} has {n} words: it has five.", count)
        raise InputInvalid(sentence.format(which=which, n=count), hint=hint)
    if unknown:
        places = ", ".join(map(str, unknown))
        sentence = ngettext(
            "{which} has a typing mistake: word {places} is not in the list.",
            "{which} has typing mistakes: words {places} are not in the list.",
            len(unknown),
        )
        raise InputInvalid(sentence.format(which=which, places=places), hint=hint)
    raise InputInvalid(
        _("{which} has a typing mistake: each word is in the list, but not together.").format(which=which), hint=hint
    )

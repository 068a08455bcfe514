"""Unlock codes: five words of the French BIP-39 list, 55 bits, of which the last word is a checksum.

44 bits are drawn; the fifth word is the beginning of their SHA-256. One typing mistake in 2048 passes for another code;
every other one is told from a wrong code without trying anything. The first four letters of a word of the list are
enough to know it, and accents, capitals and what stands between the words do not count (BIP-39, word list "french").

Two locks: a code is the exclusive or of two others, each of which says nothing about it.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from functools import cache

WORDS = 5
_WORD_BITS = 11
_DRAWN_BITS = 44
_DOMAIN = b"e5b unlock code 1\0"
_LETTERS = 4


class CodeMistyped(ValueError):
    """What was typed is no code at all. *count* words were found; *unknown* are the places, from 1, of those that are
    not in the list: none when each word is, but not together. The words themselves are not kept: they may be right."""

    def __init__(self, count: int, unknown: tuple[int, ...] = ()) -> None:
        super().__init__("not an unlock code")
        self.count, self.unknown = count, unknown


@dataclass(frozen=True, slots=True)
class UnlockCode:
    """*number* is what was drawn. It never shows by itself: not in a trace, not in a log."""

    number: int = field(repr=False)

    @classmethod
    def draw(cls) -> "UnlockCode":
        return cls(secrets.randbits(_DRAWN_BITS))

    @classmethod
    def typed(cls, text: str) -> "UnlockCode":
        """The code that a person typed. Raises CodeMistyped."""
        words = re.findall(r"[a-z]+", _bare(text))
        numbers = [_numbers().get(word) for word in words]
        unknown = tuple(place for place, number in enumerate(numbers, 1) if number is None)
        if len(words) != WORDS or unknown:
            raise CodeMistyped(len(words), unknown)
        bits = 0
        for number in numbers:
            bits = bits << _WORD_BITS | (number or 0)
        code = cls(bits >> _WORD_BITS)
        if bits != code._bits:
            raise CodeMistyped(len(words))
        return code

    @property
    def words(self) -> tuple[str, ...]:
        """As they are printed, with their accents."""
        places = range(_WORD_BITS * (WORDS - 1), -1, -_WORD_BITS)
        return tuple(_words()[self._bits >> place & 0x7FF] for place in places)

    @property
    def secret(self) -> bytes:
        """What a key is derived from: the words without accents, with a space between them."""
        return _bare(" ".join(self.words)).encode("ascii")

    def share(self, secret: bytes, name: str) -> "tuple[UnlockCode, UnlockCode]":
        """Two codes that are this one together. The first is drawn from *secret* (which no holder of a code may have)
        and *name*: the same two each time."""
        drawn = hmac.digest(secret, name.encode(), "sha256")
        first = int.from_bytes(drawn, "big") >> (256 - _DRAWN_BITS)
        return UnlockCode(first), UnlockCode(first ^ self.number)

    def with_second(self, second: "UnlockCode") -> "UnlockCode":
        """The code that two make, in any order."""
        return UnlockCode(self.number ^ second.number)

    @property
    def _bits(self) -> int:
        digest = hashlib.sha256(_DOMAIN + self.number.to_bytes(6, "big")).digest()
        return self.number << _WORD_BITS | int.from_bytes(digest[:2], "big") >> (16 - _WORD_BITS)


@cache
def _words() -> tuple[str, ...]:
    # Here, not above: hardly any command needs the words.
    from mnemonic import Mnemonic

    return tuple(unicodedata.normalize("NFC", word) for word in Mnemonic("french").wordlist)


@cache
def _numbers() -> dict[str, int]:
    """Each word, and each of its beginnings of four letters or more, to its place in the list."""
    found = {}
    for number, word in enumerate(map(_bare, _words())):
        for length in range(_LETTERS, len(word) + 1):
            found[word[:length]] = number
    return found


def _bare(text: str) -> str:
    """Lower case without accents; a ligature as two letters."""
    split = unicodedata.normalize("NFKD", text.lower().replace("œ", "oe").replace("æ", "ae"))
    return "".join(letter for letter in split if not unicodedata.combining(letter))

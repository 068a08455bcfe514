"""One error family: a sentence for a person, what to do next, a stable exit code.

The exit codes are part of the command-line interface; ``docs/reference/exit-codes.md`` is generated from the
classes below and a test holds the two equal.
"""

from collections.abc import Sequence
from typing import ClassVar


class E5BError(Exception):
    """An error that a person can act upon.

    *message* is one sentence in the user's language; *hint* says what to do next; *details* are further lines
    (one seat or one fault each).
    """

    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = "unexpected failure"

    def __init__(self, message: str, *, hint: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)


class InputInvalid(E5BError):
    exit_code = 2
    meaning = "the command's arguments or an input file cannot be used"


class SettingsInvalid(E5BError):
    exit_code = 3
    meaning = "centre.toml is missing, cannot be read or holds a wrong or unknown setting"


class EngineUnavailable(E5BError):
    exit_code = 4
    meaning = "no Docker engine answers, or this user may not talk to it"


class NotProved(E5BError):
    exit_code = 5
    meaning = "a check was made and did not pass: seats that differ, a preflight that fails"


class Refused(E5BError):
    exit_code = 6
    meaning = "the action is not allowed in this state; nothing was changed"


class Busy(E5BError):
    exit_code = 7
    meaning = "another command is working on the same room"


class Conflict(E5BError):
    exit_code = 8
    meaning = "something that is not ours is in the way (container, network, port); it was not touched"


class ImageUnusable(E5BError):
    exit_code = 9
    meaning = "an image or a release archive is missing or is not what it should be"


class EvidenceInvalid(E5BError):
    exit_code = 10
    meaning = "evidence is missing, incomplete or altered"


class NoSpace(E5BError):
    exit_code = 11
    meaning = "not enough room on the disk"


class JournalBroken(E5BError):
    exit_code = 12
    meaning = "the journal's chain does not hold"


class NotFound(E5BError):
    exit_code = 13
    meaning = "no such wave, seat, room or candidate"


class EnvironmentFailed(E5BError):
    exit_code = 14
    meaning = "an environment or the gateway did not do what it was asked"


class SignatureInvalid(E5BError):
    exit_code = 15
    meaning = "a package's signature or content does not hold"

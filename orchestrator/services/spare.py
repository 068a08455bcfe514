"""Switch a half-day to its spare subject, after an incident with the first one."""

from orchestrator.domain.bank import Role
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import InputInvalid
from orchestrator.i18n import _
from orchestrator.ports import SealedBanks
from orchestrator.services.centre import Centre
from orchestrator.services.unlock import Foreseen, UnlockReport, foreseen, unlock


def spare_foreseen(centre: Centre, half_day: str | None = None) -> Foreseen:
    """The spare of the present half-day. Raises as :func:`foreseen`."""
    return foreseen(centre, half_day, Role.SPARE)


def switch_to_spare(
    centre: Centre, banks: SealedBanks, what: Foreseen, code: UnlockCode | None, reason: str
) -> UnlockReport:
    """Waves that are not open yet get the spare, with its fixtures; candidates who work go on with what they have.
    Raises InputInvalid without a *reason*, and as :func:`unlock`."""
    if not reason.strip():
        raise InputInvalid(_("The reason for the spare subject is missing."))
    return unlock(centre, banks, what, code, reason=reason.strip())

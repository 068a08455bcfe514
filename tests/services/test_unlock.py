"""The half-day's subject: who can unlock which and when, what it changes, and that it is gone afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.adapters.bank_sealing import FolderSealedBanks
from orchestrator.domain.bank import Document, Role, SealedBank, Subject
from orchestrator.domain.calendar import Window, Zone
from orchestrator.domain.exam import AlarmKind, EnvironmentRole, Site
from orchestrator.domain.subject import key_of
from orchestrator.domain.unlock_code import UnlockCode
from orchestrator.errors import EnvironmentFailed, NotFound, NotProved, Refused, SignatureInvalid
from orchestrator.ports import ToSeal
from orchestrator.services.bank_load import check_bank, load_bank
from orchestrator.services.clock import tick
from orchestrator.services.open_wave import open_wave
from orchestrator.services.prepare import prepare
from orchestrator.services.reset import reset, reset_seat
from orchestrator.services.restore import restore
from orchestrator.services.seal import seal
from orchestrator.services.spare import spare_foreseen, switch_to_spare
from orchestrator.services.standbys import give_up_standbys, make_standby, standbys_status
from orchestrator.services.status import wave_status
from orchestrator.services.subject_end import remove_over
from orchestrator.services.supervise import Supervisor
from orchestrator.services.unlock import UnlockReport, foreseen, subject_status, unlock
from orchestrator.settings import Settings
from tests.services.conftest import Lab
from tests.services.fakes import Fuse, Killed, KilledAt

BANKS = FolderSealedBanks(log_n=2)
AM, PM = "2027-05-11-am", "2027-05-11-pm"
NEXT = "2027-05-12-am"


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """In Paris, where it is summer time."""
    return datetime(2027, 5, day, hour - 2, minute, tzinfo=UTC)


WINDOWS = {
    AM: Window(at(11, 7, 30), at(11, 9), at(11, 9), at(11, 13)),
    PM: Window(at(11, 13, 30), at(11, 14), at(11, 14), at(11, 18)),
    NEXT: Window(at(12, 7, 30), at(12, 9), at(12, 9), at(12, 13)),
}
SITES = {AM: Site.WORDPRESS, PM: Site.PRESTASHOP, NEXT: Site.WORDPRESS}


@dataclass
class Exam:
    """A lab with a loaded bank. It is ten o'clock on the first morning."""

    lab: Lab
    bank: SealedBank
    codes: dict[tuple[str, Role], UnlockCode]

    def key(self, role: Role = Role.SUBJECT, half_day: str = AM) -> str:
        entry = self.bank.entry(half_day, Zone.METROPOLE, role)
        assert entry is not None
        return key_of(entry)

    def unlock(self, half_day: str = AM, role: Role = Role.SUBJECT, fuse: Fuse | None = None) -> UnlockReport:
        centre = self.lab.centre(fuse)
        return unlock(centre, BANKS, foreseen(centre), self.codes[half_day, role])

    def spare(self, reason: str = "sujet vu dans le couloir") -> UnlockReport:
        centre = self.lab.centre()
        return switch_to_spare(centre, BANKS, spare_foreseen(centre), self.codes[AM, Role.SPARE], reason)

    def fixtures(self) -> set[bytes | None]:
        """What is in the environments that the seats lead to."""
        active = self.lab.centre().active().values()
        return {self.lab.world.containers[item.name].fixtures for item in active}

    def shown(self) -> dict[int, str | None]:
        return {route.seat: route.subject for route in self.lab.world.gateway or ()}

    def actions(self) -> list[str]:
        return [line.action for line in self.lab.centre().store.journal() if line.action.startswith("subject.")]

    def reboot(self) -> None:
        self.lab.world.clear.clear()
        self.lab.world.clear_references.clear()


def sealed(
    path: Path, *, version: int = 1, session: str = "2027"
) -> tuple[SealedBank, dict[tuple[str, Role], UnlockCode]]:
    codes = {(half_day, role): UnlockCode.draw() for half_day in WINDOWS for role in Role}
    path.parent.mkdir(parents=True, exist_ok=True)
    subjects = [
        ToSeal(
            half_day,
            Zone.METROPOLE,
            role,
            WINDOWS[half_day],
            code,
            Subject(f"{half_day}-{role.value}", SITES[half_day], "Titre", 40, ("Animer",), {}),
            {document: b"%PDF " + document.value.encode() for document in Document},
            f"fixtures of the {role.value}\n".encode(),
        )
        for (half_day, role), code in codes.items()
    ]
    return BANKS.write(path, session, version, at(1, 9) + timedelta(days=version), subjects), codes


pytestmark = pytest.mark.usefixtures("in_english")


@pytest.fixture
def exam(lab: Lab) -> Exam:
    bank, codes = sealed(lab.settings.bank_file)
    lab.centre().store.save(bank=bank)
    return Exam(lab, bank, codes)


MAIN, SPARE = b"fixtures of the subject\n", b"fixtures of the spare\n"


# Unlocking


def test_a_site_that_cannot_apply_the_fixtures_gives_none_of_their_words_away(exam: Exam) -> None:
    exam.lab.at("prepared")
    for seat in (1, 2):
        name = exam.lab.active(seat).name
        exam.lab.world.faults["load", name] = EnvironmentFailed("load-fixtures failed: near 'the secret'")
    report = exam.unlock()
    assert len(report.faults) == 2 and "secret" not in str(report.faults)
    store = exam.lab.centre().store
    assert "secret" not in str(store.journal()) + str(store.waves())


def test_without_a_bank_a_wave_is_opened_as_ever(lab: Lab) -> None:
    lab.at("open")
    assert lab.wave.subject is None and {route.subject for route in lab.world.gateway or ()} == {None}
    with pytest.raises(NotFound, match=r"bank"):
        foreseen(lab.centre())


def test_a_wave_is_opened_with_its_subject_unlocked_and_its_fixtures_proved_and_not_before(exam: Exam) -> None:
    exam.lab.at("prepared")
    assert exam.fixtures() == {None}
    with pytest.raises(Refused, match="not unlocked"):
        open_wave(exam.lab.centre(), exam.lab.wave_id)
    assert "subject unlock" in wave_status(exam.lab.centre(), exam.lab.wave_id).next_step
    report = exam.unlock()
    assert "wave open" in wave_status(exam.lab.centre(), exam.lab.wave_id).next_step
    assert report.faults == () and [len(wave.seats) for wave in report.waves] == [3]
    assert exam.fixtures() == {MAIN}
    assert set(exam.shown().values()) == {None}, "the candidates' document is not shown before the opening"
    open_wave(exam.lab.centre(), exam.lab.wave_id)
    assert exam.shown() == dict.fromkeys((1, 2, 3), exam.key()) and exam.lab.wave.subject == exam.key()
    exam.lab.check()


def test_the_subject_is_shown_until_the_seats_time_is_over(exam: Exam) -> None:
    exam.lab.plan(candidates=[(1, "C001"), (2, "C002", "4/3")])
    prepare(exam.lab.centre(), exam.lab.wave_id)
    exam.unlock()
    exam.lab.at("open")
    exam.lab.world.later(minutes=36)
    tick(exam.lab.centre(), lambda _wave, _what: None)
    assert exam.shown() == {1: None, 2: exam.key(), 3: None}
    exam.lab.world.later(minutes=14)
    tick(exam.lab.centre(), lambda _wave, _what: None)
    assert set(exam.shown().values()) == {None}


def test_a_wave_prepared_after_the_unlocking_has_the_fixtures_and_one_measure_serves_all(exam: Exam) -> None:
    exam.unlock()
    exam.lab.at("prepared")
    assert exam.fixtures() == {MAIN}
    taken = exam.lab.world.references_taken
    prepare(exam.lab.centre(), exam.lab.wave_id)
    assert exam.lab.world.references_taken == taken == 2


def test_a_seat_whose_fixtures_differ_keeps_the_wave_shut(exam: Exam) -> None:
    exam.lab.at("prepared")
    exam.lab.world.containers[exam.lab.active(2).name].altered = "/var/www/site/index.php"
    exam.lab.world.defective.add(2)
    report = exam.unlock()
    assert len(report.faults) == 1 and "02" in report.faults[0]
    with pytest.raises(NotProved):
        open_wave(exam.lab.centre(), exam.lab.wave_id)


@pytest.mark.parametrize(
    ("now", "half_day", "sentence"),
    [
        (at(11, 10), PM, "not the half-day"),
        (at(11, 10), NEXT, "not the half-day"),
        (at(11, 13), AM, "is over"),
        (at(11, 15), AM, "is over"),
        (at(11, 10), "2027-05-20-am", "no subject"),
        (at(10, 10), None, "No subject is foreseen"),
        (at(11, 18, 30), None, "No subject is foreseen"),
        (at(12, 14), NEXT, "is over"),
    ],
)
def test_only_the_present_half_days_subject_can_be_unlocked(
    exam: Exam, now: datetime, half_day: str | None, sentence: str
) -> None:
    exam.lab.world.now = now
    with pytest.raises(Refused, match=sentence):
        foreseen(exam.lab.centre(), half_day)


@pytest.mark.parametrize(
    ("now", "half_day", "permitted"),
    [
        (at(11, 6), AM, False),
        (at(11, 7, 30), AM, True),
        (at(11, 12, 59), AM, True),
        (at(11, 13), PM, False),
        (at(11, 13, 30), PM, True),
        (at(12, 8), NEXT, True),
    ],
)
def test_outside_the_permitted_hours_a_confirmation_is_needed(
    exam: Exam, now: datetime, half_day: str, permitted: bool
) -> None:
    exam.lab.world.now = now
    what = foreseen(exam.lab.centre())
    assert (what.entry.half_day, what.permitted, what.needs_confirmation) == (half_day, permitted, not permitted)
    exam.unlock(half_day)
    (line,) = [line for line in exam.lab.centre().store.journal() if line.action == "subject.unlocked"]
    assert line.data["permitted_hours"] is permitted


def test_another_zones_clock_counts_for_a_centre_there(new_lab: Callable[..., Lab], tmp_path: Path) -> None:
    lab = new_lab(centre={"id": "essai", "name": "Réunion", "state": tmp_path / "state", "zone": "reunion"})
    bank, _codes = sealed(lab.settings.centre.state / "b.e5b")
    there = tuple(
        replace(
            entry,
            zone=Zone.REUNION,
            window=Window(*(moment - timedelta(hours=2) for moment in vars(entry.window).values())),
        )
        for entry in bank.entries
    )
    lab.centre().store.save(bank=replace(bank, entries=there))
    lab.world.now = at(11, 11)  # one in the afternoon in Réunion
    assert foreseen(lab.centre()).entry.half_day == PM


# Wrong codes


def test_another_half_days_code_opens_nothing_and_is_journaled_without_what_was_typed(exam: Exam) -> None:
    with pytest.raises(Refused, match="not the code") as raised:
        exam.unlock(NEXT)
    assert exam.lab.world.clear == {} and exam.actions() == ["subject.wrong_code"]
    wrong = exam.codes[NEXT, Role.SUBJECT].words
    said = f"{raised.value.message} {raised.value.hint} {exam.lab.centre().store.journal()}"
    assert not [word for word in wrong if word in said]


def test_after_three_wrong_codes_the_delay_grows_survives_and_ends_with_the_right_one(exam: Exam) -> None:
    for _try in range(3):
        with pytest.raises(Refused, match="not the code"):
            exam.unlock(PM)
    waited = []
    for _try in range(3):
        with pytest.raises(Refused, match="in a row"):
            exam.unlock()
        before = exam.lab.world.now
        while True:
            exam.lab.world.later(minutes=0.5)
            try:
                exam.unlock(PM)
            except Refused as error:
                if "not the code" in error.message:
                    break
        waited.append((exam.lab.world.now - before).total_seconds())
    assert waited == [30, 60, 120]
    exam.lab.world.later(minutes=10)
    exam.unlock()
    assert exam.actions().count("subject.wrong_code") == 6
    # And the count begins anew.
    exam.reboot()
    with pytest.raises(Refused, match="not the code"):
        exam.unlock(PM)
    exam.unlock()


# During the half-day


def test_what_comes_after_the_opening_has_the_fixtures_too(exam: Exam) -> None:
    exam.unlock()
    exam.lab.at("open")
    reset_seat(exam.lab.centre(), 1)
    restore(exam.lab.centre(), 2, "reference")
    assert exam.fixtures() == {MAIN}
    exam.lab.world.later(minutes=50)
    exam.lab.at("reset")
    assert exam.fixtures() == {MAIN}
    exam.lab.plan(number=2, candidates=[(1, "C011"), (2, "C012")])
    exam.lab.at("open")
    exam.lab.check()


def test_standbys_that_have_not_the_subject_are_given_up_and_made_with_it(exam: Exam) -> None:
    exam.lab.at("prepared")
    exam.lab.world.supervised = True
    assert make_standby(exam.lab.centre()) is not None
    exam.unlock()
    assert not any(line.ready for line in standbys_status(exam.lab.centre()))
    give_up_standbys(exam.lab.centre())
    assert not [item for item in exam.lab.centre().store.environments() if item.role is EnvironmentRole.STANDBY]
    made = make_standby(exam.lab.centre())
    assert made is not None and exam.lab.world.containers[made.name].fixtures == MAIN
    assert sum(line.ready for line in standbys_status(exam.lab.centre())) == 1


def test_after_a_reboot_the_same_code_unlocks_again_without_another_confirmation(exam: Exam) -> None:
    exam.lab.world.now = at(11, 6)
    exam.unlock()
    exam.lab.at("open")
    exam.reboot()
    with pytest.raises(Refused, match="memory"):
        restore(exam.lab.centre(), 1, "reference")
    what = foreseen(exam.lab.centre())
    assert what.record is not None and not what.here and not what.needs_confirmation
    exam.unlock()
    restore(exam.lab.centre(), 1, "reference")
    assert exam.fixtures() == {MAIN}


def test_an_unlocking_that_is_over_is_finished_without_a_code(exam: Exam) -> None:
    exam.lab.at("prepared")
    with pytest.raises(Killed):
        exam.unlock(fuse=KilledAt("engine.load"))
    centre = exam.lab.centre()
    unlock(centre, BANKS, foreseen(centre), None)
    assert exam.fixtures() == {MAIN}
    open_wave(exam.lab.centre(), exam.lab.wave_id)
    exam.lab.check()


def test_killed_anywhere_the_same_command_finishes(exam: Exam, tmp_path: Path) -> None:
    exam.lab.at("prepared")
    whole = Fuse()
    lab = exam.lab.copy(tmp_path / "whole" / "state")
    lab.settings.bank_file.parent.mkdir(parents=True)
    lab.settings.bank_file.write_bytes(exam.lab.settings.bank_file.read_bytes())
    Exam(lab, exam.bank, exam.codes).unlock(fuse=whole)
    for number in range(1, len(whole.calls) + 1, 3):
        lab = exam.lab.copy(tmp_path / str(number) / "state")
        lab.settings.bank_file.parent.mkdir(parents=True)
        lab.settings.bank_file.write_bytes(exam.lab.settings.bank_file.read_bytes())
        again = Exam(lab, exam.bank, exam.codes)
        with pytest.raises(Killed):
            again.unlock(fuse=Fuse(number))
        again.unlock()
        assert again.fixtures() == {MAIN}, whole.calls[number - 1]
        open_wave(lab.centre(), lab.wave_id)
        lab.check()


# The spare


def test_the_spare_goes_to_the_waves_that_are_not_open(exam: Exam) -> None:
    exam.unlock()
    exam.lab.plan(candidates=[(1, "C001")])
    exam.lab.at("open")
    first = exam.lab.wave_id
    exam.lab.plan(number=2, candidates=[(2, "C002"), (3, "C003")])
    prepare(exam.lab.centre(), exam.lab.wave_id)
    exam.spare()
    by_seat = {seat: exam.lab.world.containers[item.name].fixtures for seat, item in exam.lab.centre().active().items()}
    assert by_seat == {1: MAIN, 2: SPARE, 3: SPARE}
    open_wave(exam.lab.centre(), exam.lab.wave_id)
    assert exam.shown() == {1: exam.key(), 2: exam.key(Role.SPARE), 3: exam.key(Role.SPARE)}
    restore(exam.lab.centre(), 1, "reference")
    restore(exam.lab.centre(), 2, "reference")
    by_seat = {seat: exam.lab.world.containers[item.name].fixtures for seat, item in exam.lab.centre().active().items()}
    assert (by_seat[1], by_seat[2]) == (MAIN, SPARE)
    assert exam.lab.centre().wave(first).subject == exam.key()
    (line,) = [
        item for item in exam.lab.centre().store.journal() if item.data.get("role") == "spare" and "reason" in item.data
    ]
    assert line.data["reason"] == "sujet vu dans le couloir"
    exam.lab.check()


def test_after_a_reboot_both_subjects_are_asked_for_where_both_are_worked_on(exam: Exam) -> None:
    exam.unlock()
    exam.lab.plan(candidates=[(1, "C001")])
    exam.lab.at("open")
    exam.spare()
    exam.reboot()
    asked = []
    for _time in range(2):
        what = foreseen(exam.lab.centre())
        asked.append(what.entry.role)
        unlock(exam.lab.centre(), BANKS, what, exam.codes[AM, what.entry.role])
    assert set(asked) == set(Role) and foreseen(exam.lab.centre()).here


# The end


def test_the_supervisor_says_that_the_subject_is_gone_from_memory_and_takes_it_away_at_the_end(exam: Exam) -> None:
    exam.unlock()
    exam.lab.at("open")
    exam.reboot()
    told: list[str] = []

    def look() -> set[AlarmKind]:
        Supervisor(exam.lab.centre(), lambda _about, what: told.append(what)).look_at_machine()
        return {alarm.kind for alarm in exam.lab.centre().store.alarms()}

    assert AlarmKind.SUBJECT in look()
    exam.unlock()
    assert AlarmKind.SUBJECT not in look()
    exam.lab.world.later(minutes=40)
    exam.lab.at("closed")
    exam.lab.world.now = at(11, 13)
    look()
    assert exam.lab.world.clear == {} and "removed from memory" in told[-1]


def test_at_the_end_of_the_half_day_nothing_is_left_but_what_candidates_worked_in(exam: Exam) -> None:
    exam.unlock()
    exam.lab.at("reset")
    exam.lab.world.now = at(11, 13)
    (removed,) = remove_over(exam.lab.centre())
    assert removed.key == exam.key() and exam.lab.world.clear == {}
    assert exam.lab.centre().active() == {}, "no environment that has its fixtures can be reached"
    assert not [item for item in exam.lab.world.containers.values() if item.fixtures is not None]
    assert exam.actions()[-1] == "subject.removed"
    assert remove_over(exam.lab.centre()) == [], "twice is once"
    assert [item.state for item in subject_status(exam.lab.centre())] == ["over", "sealed", "sealed"]
    exam.lab.check()


def test_candidates_who_have_more_time_keep_their_subject_until_they_have_ended(exam: Exam) -> None:
    exam.unlock()
    exam.lab.at("prepared")
    exam.lab.world.now = at(11, 12, 50)
    exam.lab.at("open")
    exam.lab.world.now = at(11, 13, 15)
    assert remove_over(exam.lab.centre()) == [] and set(exam.shown().values()) == {exam.key()}
    exam.lab.world.now = at(11, 13, 40)
    tick(exam.lab.centre(), lambda _wave, _what: None)
    assert [item.key for item in remove_over(exam.lab.centre())] == [exam.key()]


def test_what_nobody_has_a_record_of_is_removed(exam: Exam) -> None:
    exam.unlock()
    exam.lab.world.clear["f" * 16] = exam.lab.world.clear[exam.key()]
    remove_over(exam.lab.centre())
    assert list(exam.lab.world.clear) == [exam.key()]


def test_the_next_wave_of_another_half_day_has_none_of_it(exam: Exam) -> None:
    exam.unlock()
    exam.lab.at("sealed")
    exam.lab.world.now = at(11, 13, 45)
    remove_over(exam.lab.centre())
    reset(exam.lab.centre(), exam.lab.wave_id)
    assert exam.fixtures() == {None}
    with pytest.raises(Refused, match="prestashop"):
        exam.lab.plan(half_day=PM, number=3)


def test_a_wave_on_a_day_without_a_subject_is_not_planned(exam: Exam) -> None:
    with pytest.raises(Refused, match="no subject"):
        exam.lab.plan(half_day="2027-06-01-am")


def test_sealed_evidence_does_not_depend_on_the_clear_text(exam: Exam) -> None:
    exam.unlock()
    exam.lab.at("closed")
    exam.reboot()
    exam.lab.world.now = at(11, 14)
    remove_over(exam.lab.centre())
    assert not seal(exam.lab.centre(), exam.lab.wave_id).faults


# Loading


class Signed:
    """Signatures that hold when the file says so."""

    def verify(self, path: Path, public_key: str) -> str:
        if not path.with_name(path.name + ".minisig").exists():
            raise SignatureInvalid("There is no signature.")
        return "academy"


def trusting(lab: Lab) -> Settings:
    return lab.settings.model_copy(update={"trust": lab.settings.trust.model_copy(update={"public_key": "RW…"})})


def load(lab: Lab, path: Path, *, dry: bool = False) -> bool:
    path.with_name(path.name + ".minisig").write_text("signature")
    act = check_bank if dry else load_bank
    return act(trusting(lab), lab.centre().store, BANKS, Signed(), path).changed  # type: ignore[arg-type]


def test_a_bank_is_loaded_once_and_an_older_one_never(lab: Lab, tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("1.e5b", "2.e5b", "x.e5b"))
    sealed(first)
    sealed(second, version=2)
    sealed(other, version=2)
    assert load(lab, first, dry=True) and lab.centre().store.bank() is None and not lab.settings.bank_file.exists()
    assert load(lab, first) and load(lab, second) and not load(lab, second)
    with pytest.raises(Refused, match="older"):
        load(lab, first)
    with pytest.raises(SignatureInvalid, match="another"):
        load(lab, other)
    assert (
        lab.centre().store.bank() == BANKS.read(second) and lab.settings.bank_file.read_bytes() == second.read_bytes()
    )
    assert [item.name for item in lab.settings.bank_file.parent.glob(".*")] == []
    assert [line.data["version"] for line in lab.centre().store.journal()] == [1, 2]


def test_a_bank_without_a_signature_or_cut_short_is_not_loaded(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "1.e5b"
    sealed(path)
    with pytest.raises(SignatureInvalid, match="no signature"):
        load_bank(trusting(lab), lab.centre().store, BANKS, Signed(), path)  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:-200_000])
    with pytest.raises(SignatureInvalid):
        load(lab, path)
    assert lab.centre().store.bank() is None and not lab.settings.bank_file.exists()


def test_a_centre_that_trusts_nobody_loads_nothing(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "1.e5b"
    sealed(path)
    with pytest.raises(Refused, match="trusts no key"):
        load_bank(lab.settings, lab.centre().store, BANKS, Signed(), path)  # type: ignore[arg-type]

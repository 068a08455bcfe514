"""Evidence over a world in memory: what is found, sealed again, carried away, shown and purged."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.domain.exam import Evidence, PointKind, RestorePoint
from orchestrator.errors import (
    Conflict,
    EnvironmentFailed,
    EvidenceInvalid,
    ImageUnusable,
    InputInvalid,
    NoSpace,
    NotFound,
    Refused,
)
from orchestrator.services.evidence import has_evidence
from orchestrator.services.evidence_export import export_evidence
from orchestrator.services.evidence_list import list_evidence
from orchestrator.services.evidence_open import close_evidence, is_open, newest_archive, open_evidence
from orchestrator.services.evidence_purge import purge, purge_preview, sealed_before
from orchestrator.services.evidence_verify import verify_evidence
from orchestrator.services.reset import reset
from tests.services import fakes
from tests.services.conftest import Lab

STICK = Path("/")


@pytest.fixture(autouse=True)
def in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")


def recorded(lab: Lab, seat: int) -> list[Evidence]:
    return [item for item in lab.centre().store.evidence(lab.wave_id) if item.seat == seat]


def data(lab: Lab, action: str) -> list[dict[str, object]]:
    return [dict(line.data) for line in lab.centre().store.journal() if line.action == action]


# Verify and repair


def test_all_hold(lab: Lab) -> None:
    lab.at("sealed")
    checked = verify_evidence(lab.centre())
    assert [(item.evidence.seat, item.holds, item.layer_there) for item in checked] == [
        (1, True, True),
        (2, True, True),
        (3, True, True),
    ]
    assert data(lab, "evidence.verified") == [{"archives": 3, "faults": []}]
    assert [item.archive_there and item.layer_there for item in list_evidence(lab.centre())] == [True] * 3


@pytest.mark.parametrize("state", ["sealed", "reset"])
def test_a_damaged_archive_is_sealed_again_from_its_layer(lab: Lab, state: str) -> None:
    lab.at(state).damage_evidence(2)
    assert [item.holds for item in verify_evidence(lab.centre())] == [True, False, True]
    # Without being told to, nothing is changed.
    assert len(recorded(lab, 2)) == 1
    checked = verify_evidence(lab.centre(), repair=True)
    assert [item.holds for item in checked] == [True, True, True]
    damaged, repaired = recorded(lab, 2)
    assert damaged.archive == f"{lab.wave_id}/poste-02-1.tar.gz.damaged" and lab.world.archives[damaged.archive].damaged
    assert repaired.archive == f"{lab.wave_id}/poste-02-2.tar.gz"
    archive = lab.world.archives[repaired.archive]
    assert archive.content == b"first page\n"
    assert archive.manifest["repaired_from"]["archive"] == f"{lab.wave_id}/poste-02-1.tar.gz"
    assert archive.manifest["repaired_from"]["fingerprint_compared_with"] == "journal"
    # It is the same state: kept as long, and the end state that a reset asks for.
    assert (repaired.sealed_at, repaired.layer) == (damaged.sealed_at, damaged.layer)
    assert [item.holds for item in verify_evidence(lab.centre(), lab.wave_id, 2)] == [True]
    assert not any("repair" in name for name in lab.world.containers)
    listed = [item for item in list_evidence(lab.centre(), lab.wave_id) if item.evidence.seat == 2]
    assert [item.put_aside for item in listed] == [True, False]
    if state == "sealed":
        environment = lab.active(2)
        assert has_evidence(lab.centre(), environment, lab.place(2).closed_at)
        reset(lab.centre(), lab.wave_id)
    lab.check()


def test_an_archive_that_is_gone_is_sealed_again(lab: Lab) -> None:
    lab.at("reset")
    del lab.world.archives[recorded(lab, 1)[0].archive]
    assert verify_evidence(lab.centre(), seat=1, repair=True)[0].repaired is not None
    assert [item.holds for item in verify_evidence(lab.centre())] == [True] * 3


def test_only_the_layer_is_gone(lab: Lab) -> None:
    lab.at("reset")
    del lab.world.images[recorded(lab, 1)[0].layer]
    checked = verify_evidence(lab.centre())
    assert [(item.holds, item.layer_there) for item in checked] == [(True, False), (True, True), (True, True)]


def test_archive_and_layer_are_gone(lab: Lab) -> None:
    lab.at("reset").damage_evidence(1)
    del lab.world.images[recorded(lab, 1)[0].layer]
    checked = verify_evidence(lab.centre(), repair=True)
    assert not checked[0].holds and "nothing is left" in (checked[0].not_repaired or "")
    assert len(recorded(lab, 1)) == 1 and recorded(lab, 1)[0].archive.endswith(".tar.gz")


def test_a_layer_that_is_not_what_was_sealed(lab: Lab) -> None:
    """Somebody put other content under it: no evidence is made of that."""
    lab.at("reset").damage_evidence(1)
    layer = recorded(lab, 1)[0].layer
    tag = next(tag for tag in lab.world.layers if lab.world.images[tag].id == layer)
    lab.world.layers[tag] = ("forged", "forged")
    checked = verify_evidence(lab.centre(), repair=True)
    assert not checked[0].holds and "fingerprint" in (checked[0].not_repaired or "")
    assert len(recorded(lab, 1)) == 1
    assert not any("repair" in name for name in lab.world.containers)


def test_one_that_cannot_be_repaired_does_not_stop_the_others(lab: Lab) -> None:
    lab.at("reset")
    for seat in (1, 2):
        lab.damage_evidence(seat)
    lab.world.faults["create_aside", f"e5b-essai-repair-{lab.wave_id}-01"] = EnvironmentFailed("no")
    checked = verify_evidence(lab.centre(), repair=True)
    assert [item.holds for item in checked] == [False, True, True]


def test_unknown_waves_and_seats(lab: Lab) -> None:
    lab.at("sealed")
    for given in ({"wave_id": "nothing"}, {"seat": 9}):
        with pytest.raises(NotFound):
            verify_evidence(lab.centre(), **given)  # type: ignore[arg-type]


# Export


def test_exported_and_again(lab: Lab) -> None:
    lab.at("reset")
    done = export_evidence(lab.centre(), STICK, [lab.wave_id])
    assert len(done.copied) == 3 and not done.faults
    copies = lab.world.copies
    manifest = json.loads(copies["manifest.json"])  # type: ignore[arg-type]
    assert [(item["seat"], item["candidate"]) for item in manifest["archives"]] == [
        (1, "C001"),
        (2, "C002"),
        (3, "C003"),
    ]
    lines = [json.loads(line) for line in copies["journal.jsonl"].decode().splitlines()]  # type: ignore[union-attr]
    assert {line["wave"] for line in lines} == {lab.wave_id}
    assert [line["hash"] for line in lines] == [
        line.hash for line in lab.centre().store.journal(lab.wave_id) if line.action != "evidence.exported"
    ]
    sums = copies["SHA256SUMS"].decode().splitlines()  # type: ignore[union-attr]
    assert {line.partition("  ")[2] for line in sums} == set(copies) - {"SHA256SUMS"}
    again = export_evidence(lab.centre(), STICK)
    assert len(again.copied) == 0 and len(again.already_there) == 3


def test_a_stick_collects_the_waves_of_a_session(lab: Lab) -> None:
    """Also when those of before are purged here: what is on the stick stays in its manifest and sums."""
    lab.at("reset")
    first = lab.wave_id
    export_evidence(lab.centre(), STICK)
    lab.world.later(days=400)
    purge(lab.centre(), "1y")
    lab.plan(number=2, half_day="2028-06-20-am")
    lab.at("reset")
    export_evidence(lab.centre(), STICK)
    manifest = json.loads(lab.world.copies["manifest.json"])  # type: ignore[arg-type]
    assert [item["wave"] for item in manifest["archives"]] == [first] * 3 + [lab.wave_id] * 3
    assert lab.world.copies["SHA256SUMS"].decode().count("poste-") == 6  # type: ignore[union-attr]


def test_a_damaged_one_is_named_and_its_seat_left_out(lab: Lab) -> None:
    lab.at("reset").damage_evidence(2)
    done = export_evidence(lab.centre(), STICK)
    assert list(done.faults) == [f"{lab.wave_id}/poste-02-1.tar.gz"]
    assert [item.seat for item in done.copied] == [1, 3]
    manifest = json.loads(lab.world.copies["manifest.json"])  # type: ignore[arg-type]
    assert [item["archive"] for item in manifest["refused"]] == list(done.faults)
    assert "poste-02" in lab.world.copies["LISEZ-MOI.txt"].decode()  # type: ignore[union-attr]


def test_no_attempt_of_a_seat_whose_newest_is_damaged(lab: Lab) -> None:
    lab.at("reset")
    items = recorded(lab, 1)
    newest = replace(items[0], attempt=2, archive=items[0].archive.replace("-1.tar", "-2.tar"))
    lab.world.archives[newest.archive] = replace(lab.world.archives[items[0].archive], damaged=True)
    lab.centre().store.save(evidence=[newest])
    assert 1 not in {item.seat for item in export_evidence(lab.centre(), STICK).copied}


def test_what_stops_an_export(lab: Lab) -> None:
    lab.at("reset")
    lab.world.disk_free = 1
    with pytest.raises(NoSpace):
        export_evidence(lab.centre(), STICK)
    assert lab.world.copies == {}
    lab.world.disk_free = 10**9
    lab.world.copies["manifest.json"] = b'{"format": 1, "centre": "another", "archives": []}'
    with pytest.raises(Conflict):
        export_evidence(lab.centre(), STICK)
    del lab.world.copies["manifest.json"]
    lab.world.copies[f"{lab.wave_id}/poste-03-1.tar.gz"] = b"other"
    with pytest.raises(Conflict):
        export_evidence(lab.centre(), STICK)
    assert set(lab.world.copies) == {f"{lab.wave_id}/poste-03-1.tar.gz"}


# Open


def test_shown_proved_and_closed(lab: Lab) -> None:
    lab.at("reset")
    before = dict(lab.world.containers)
    shown = open_evidence(lab.centre(), newest_archive(lab.centre(), lab.wave_id, 2))
    assert shown.proved and shown.sealed.recorded and shown.sealed.candidate == "C002"
    jury = lab.world.containers["e5b-essai-jury"]
    assert jury.work == ("first page",) and jury.seat is None
    assert lab.world.jury is not None and lab.world.jury[0] == jury.address == "10.213.0.254"
    assert is_open(lab.centre())
    lab.check()
    # A wave is prepared, worked in and reset beside it.
    lab.plan(number=2, half_day="2027-05-12-am")
    lab.at("reset")
    assert lab.world.containers["e5b-essai-jury"] is jury
    assert close_evidence(lab.centre()) is True
    assert lab.world.jury is None and not is_open(lab.centre())
    assert close_evidence(lab.centre()) is False
    assert set(before) & set(lab.world.containers) <= set(before)
    assert [line["proved"] for line in data(lab, "evidence.opened")] == [True]


def test_another_image_is_shown_and_not_proved(lab: Lab) -> None:
    lab.at("reset")
    path = newest_archive(lab.centre(), lab.wave_id, 1)
    newer = fakes.image("e5b/wordpress:newer", fakes.Site.WORDPRESS, id=fakes.NEWER_IMAGE_ID)
    lab.world.images |= {newer.reference: newer, newer.id: newer}
    del lab.world.images[fakes.IMAGE_ID]
    with pytest.raises(ImageUnusable) as refused:
        open_evidence(lab.centre(), path)
    assert "docker load" in (refused.value.hint or "")
    with pytest.raises(ImageUnusable):
        open_evidence(lab.centre(), path, image="e5b/prestashop:current")
    shown = open_evidence(lab.centre(), path, image="e5b/wordpress:newer")
    assert not shown.proved and fakes.IMAGE_ID in shown.how


def test_content_that_is_not_what_was_sealed_is_not_proved(lab: Lab) -> None:
    lab.at("reset")
    name = recorded(lab, 1)[0].archive
    archive = lab.world.archives[name]
    archive.manifest |= {"centre": "another"}
    archive.content += b"one more page\n"
    assert not open_evidence(lab.centre(), Path("/stick") / name).proved


def test_not_the_archive_of_the_record(lab: Lab) -> None:
    lab.at("reset")
    name = recorded(lab, 1)[0].archive
    lab.world.archives[name].content += b"one more page\n"
    with pytest.raises(EvidenceInvalid):
        open_evidence(lab.centre(), Path("/stick") / name)
    lab.world.archives[name].damaged = True
    with pytest.raises(EvidenceInvalid):
        open_evidence(lab.centre(), Path("/stick") / name)
    assert not is_open(lab.centre())


@pytest.mark.parametrize("change", [{"format": 2}, {"seat": "seven"}, {"site": None}, {"image": None, "format": None}])
def test_a_manifest_that_cannot_be_used(lab: Lab, change: dict[str, object]) -> None:
    lab.at("reset")
    name = recorded(lab, 1)[0].archive
    lab.world.archives[name].manifest |= change
    with pytest.raises((EvidenceInvalid, Refused)):
        open_evidence(lab.centre(), Path("/stick") / name)


def test_what_fails_leaves_nothing(lab: Lab) -> None:
    lab.at("reset")
    path = newest_archive(lab.centre(), lab.wave_id, 1)
    for fault in (("load", "e5b-essai-jury"), ("ready", "e5b-essai-jury"), ("open", "jury")):
        lab.world.faults[fault] = EnvironmentFailed("no")
        with pytest.raises(EnvironmentFailed):
            open_evidence(lab.centre(), path)
        assert not is_open(lab.centre()) and lab.world.jury is None
        del lab.world.faults[fault]
    with pytest.raises(InputInvalid):
        open_evidence(lab.centre(), path, host="a b")


# Purge

NOW = datetime(2028, 6, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "age", "limit"),
    [
        (NOW, "1y", datetime(2027, 6, 1, 10, 0, tzinfo=UTC)),
        (NOW, "18m", datetime(2026, 12, 1, 10, 0, tzinfo=UTC)),
        (NOW, "366d", datetime(2027, 6, 1, 10, 0, tzinfo=UTC)),
        (datetime(2028, 2, 29, 10, tzinfo=UTC), "1y", datetime(2027, 2, 28, 10, tzinfo=UTC)),
        (datetime(2027, 7, 31, 10, tzinfo=UTC), "13m", datetime(2026, 6, 30, 10, tzinfo=UTC)),
        (datetime(2027, 1, 15, 10, tzinfo=UTC), "12m", datetime(2026, 1, 15, 10, tzinfo=UTC)),
    ],
)
def test_the_limit(now: datetime, age: str, limit: datetime) -> None:
    assert sealed_before(now, age) == limit


@pytest.mark.parametrize("age", ["0y", "11m", "365d", "1d", "0d"])
def test_less_than_a_year_is_refused(age: str) -> None:
    """With a 29 February in it, a year has 366 days."""
    with pytest.raises(Refused):
        sealed_before(datetime(2028, 3, 1, 10, tzinfo=UTC), age)


@pytest.mark.parametrize("age", ["", "1", "y", "-1y", "1.5y", "1 y", "9999y", "1w"])
def test_what_is_not_an_age(age: str) -> None:
    with pytest.raises(InputInvalid):
        sealed_before(NOW, age)


def test_purged_and_proved(lab: Lab) -> None:
    lab.at("reset").damage_evidence(2)
    verify_evidence(lab.centre(), repair=True)
    sealed = lab.centre().store.evidence()
    point = RestorePoint(
        *(lab.wave_id, "C001", 1, 1, PointKind.ASKED, "gone", "sha256:p", "e5b-point/essai:p", 1, lab.world.now)
    )
    lab.centre().store.save(points=[point])
    lab.world.archives[f"{lab.wave_id}/poste-01-1.tar.gz.damaged"] = lab.world.archives[sealed[0].archive]
    lab.world.later(days=364)
    assert purge(lab.centre(), "1y").removed == ()
    lab.world.later(days=3)
    _limit, old = purge_preview(lab.centre(), "1y")
    assert len(old) == len(sealed) == 4 and len(lab.world.archives) == 5
    done = purge(lab.centre(), "1y")
    assert len(done.removed) == 4 and not done.faults and done.bytes > 0
    assert lab.world.archives == {}
    assert set(done.leftovers) == {f"{lab.wave_id}/poste-01-1.tar.gz.damaged", "e5b-point/essai:p"}
    assert not any(item.layer in lab.world.images for item in sealed)
    assert all(item.purged_at == lab.world.now for item in lab.centre().store.evidence())
    assert {line["sha256"] for line in data(lab, "evidence.purged")} == {item.sha256 for item in sealed}
    # The wave and its journal stay; there is nothing to verify, show or export any more.
    assert verify_evidence(lab.centre()) == []
    assert purge(lab.centre(), "1y").removed == ()
    with pytest.raises(NotFound):
        newest_archive(lab.centre(), lab.wave_id, 1)
    lab.check()
    lab.plan(number=2, half_day="2028-06-20-am")
    lab.at("reset").check()


def test_only_what_is_old_enough(lab: Lab) -> None:
    lab.at("reset")
    first = lab.wave_id
    lab.world.later(days=200)
    lab.plan(number=2, half_day="2027-12-01-am")
    lab.at("reset")
    lab.world.later(days=200)
    assert {item.wave for item in purge(lab.centre(), "1y").removed} == {first}
    assert [item.holds for item in verify_evidence(lab.centre())] == [True] * 3


def test_an_environment_that_still_needs_it(lab: Lab) -> None:
    """A wave that was sealed and never reset keeps its evidence, and can still be reset."""
    lab.at("sealed")
    lab.world.later(days=400)
    done = purge(lab.centre(), "1y")
    assert done.removed == () and len(done.faults) == 3
    reset(lab.centre(), lab.wave_id)
    assert len(purge(lab.centre(), "1y").removed) == 3
    lab.check()


def test_what_cannot_be_removed_is_a_fault_and_tried_again(lab: Lab) -> None:
    lab.at("reset")
    name = recorded(lab, 1)[0].archive
    layer = recorded(lab, 2)[0].layer
    lab.world.later(days=400)
    lab.world.faults["remove", name] = EvidenceInvalid(f"{name} cannot be removed.")
    kept = lab.world.images[layer]
    tag = next(tag for tag in lab.world.layers if lab.world.images[tag].id == layer)
    lab.world.faults["remove_layer", tag] = EnvironmentFailed("in use")
    done = purge(lab.centre(), "1y")
    assert [item.seat for item in done.removed] == [3] and len(done.faults) == 2
    lab.world.faults.clear()
    # Somebody gave the layer another name: it is not gone, whatever the engine said.
    del lab.world.layers[tag]
    again = purge(lab.centre(), "1y")
    assert [item.seat for item in again.removed] == [1] and "still there" in next(iter(again.faults.values()))
    del lab.world.images[kept.id]
    assert [item.seat for item in purge(lab.centre(), "1y").removed] == [2]


def test_repaired_evidence_is_kept_as_long_as_the_rest(lab: Lab) -> None:
    """A year from the exam, not from the repair."""
    lab.at("reset").damage_evidence(1)
    lab.world.later(days=300)
    verify_evidence(lab.centre(), repair=True)
    lab.world.later(days=100)
    assert len(purge(lab.centre(), "1y").removed) == 4


# Killed


@pytest.mark.parametrize("command", ["repair", "purge", "export", "open"])
def test_killed_at_any_call_then_run_again(new_lab: Callable[..., Lab], tmp_path: Path, command: str) -> None:
    lab = new_lab(rooms={"salle-1": [1, 2]}).at("reset")
    lab.damage_evidence(1)
    run = {
        "repair": lambda centre: verify_evidence(centre, repair=True),
        "purge": lambda centre: purge(centre, "1y"),
        "export": lambda centre: export_evidence(centre, STICK),
        "open": lambda centre: open_evidence(centre, newest_archive(centre, lab.wave_id, 2)),
    }[command]
    if command != "repair":
        verify_evidence(lab.centre(), repair=True)
    if command == "purge":
        lab.world.later(days=400)
    whole, fuse = lab.copy(tmp_path / "whole"), fakes.Fuse()
    run(whole.centre(fuse))
    for at in range(1, len(fuse.calls) + 1):
        life = lab.copy(tmp_path / str(at))
        with pytest.raises(fakes.Killed):
            run(life.centre(fakes.Fuse(at)))
        run(life.centre())
        when = f"killed at call {at}, {fuse.calls[at - 1]}"
        assert [(item.archive, item.purged_at is None) for item in life.centre().store.evidence()] == [
            (item.archive, item.purged_at is None) for item in whole.centre().store.evidence()
        ] or command == "repair", when
        assert all(item.holds for item in verify_evidence(life.centre())), when
        assert set(life.world.containers) == set(whole.world.containers), when
        assert set(life.world.copies) == set(whole.world.copies), when
        if command == "purge":
            assert life.world.archives == {}, when
        if command == "repair":
            assert any(item.damaged for item in life.world.archives.values()), "never deleted"
        life.check()


def test_a_third_party_checks_the_lines_of_the_journal(lab: Lab) -> None:
    """As docs/reference/evidence.md says how."""
    lab.at("reset")
    export_evidence(lab.centre(), STICK)
    for text in lab.world.copies["journal.jsonl"].decode().splitlines():  # type: ignore[union-attr]
        line = json.loads(text)
        told = line.pop("hash")
        compact = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(compact.encode()).hexdigest() == told

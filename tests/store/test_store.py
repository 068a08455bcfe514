"""The stored state: what was saved is read back, the journal's chain tells of any change, writers take turns."""

import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError

from orchestrator.adapters import schema
from orchestrator.adapters import store as store_module
from orchestrator.adapters.store import HEAD, SqliteStore, line_hash
from orchestrator.domain.exam import (
    Alarm,
    AlarmKind,
    Environment,
    EnvironmentRole,
    Evidence,
    Place,
    PointKind,
    RestorePoint,
    Site,
    Wave,
)
from orchestrator.domain.fingerprint import Fingerprint, content_digest
from orchestrator.domain.guard import Category, Origin, Policy, Rule
from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.locks import Override, Tried
from orchestrator.domain.time import Credit, CreditKind
from orchestrator.errors import E5BError, JournalBroken
from orchestrator.ports import Entry, JournalLine

MOMENT = datetime(2027, 5, 11, 8, 0, 0, 123456, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return MOMENT


def open_store(path: Path, actor: str = "technicien") -> SqliteStore:
    return SqliteStore(path, Clock(), actor)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "e5b.sqlite"
    open_store(path)._engine.dispose()
    return path


@pytest.fixture
def path(empty: Path, tmp_path: Path) -> Path:
    """A database without a line in it."""
    return Path(shutil.copy(empty, tmp_path / "e5b.sqlite"))


@pytest.fixture
def store(path: Path) -> SqliteStore:
    return open_store(path)


PLACES = (
    Place(1, "C001", timedelta(minutes=53, seconds=20)),
    Place(2, "C002", absent=True, proof="file /é missing"),
    Place(
        3, "0123", left_out=True, environment="g1", proof="proved", opened_at=MOMENT, closed_at=MOMENT, waived="perdu"
    ),
)
WAVE = Wave("w1", "2027-05-11-am", "salle-1", 1, Site.WORDPRESS, "sha256:1", places=PLACES)
ENVIRONMENT = Environment("g1", 3, 1, Site.PRESTASHOP, "sha256:1", "10.0.0.2", "http://x:8003")
EVIDENCE = Evidence("w1", 3, "0123", "g1", 1, "sha256:l", "w1/poste-03-1.tar.gz", "ab" * 32, 12345, MOMENT)
FILES, TABLES = {"/é": "deleted"}, {"wp_posts": "1:aa"}
REFERENCE = Fingerprint("sha256:m", FILES, TABLES, content_digest("sha256:m", FILES, TABLES))


def test_what_was_saved_is_read_back(store: SqliteStore, path: Path) -> None:
    store.save(
        Entry("wave.planned", "w1", data={"é": [1, None]}),
        waves=[WAVE],
        environments=[ENVIRONMENT],
        evidence=[EVIDENCE],
        references={"sha256:1": REFERENCE},
    )
    for reader in (store, open_store(path)):
        assert reader.wave("w1") == WAVE and reader.waves() == [WAVE]
        assert reader.environments() == [ENVIRONMENT]
        assert reader.evidence() == reader.evidence("w1") == [EVIDENCE]
        assert reader.reference("sha256:1") == REFERENCE
        (line,) = reader.journal()
        assert (line.number, line.at, line.actor, line.action) == (1, MOMENT, "technicien", "wave.planned")
        assert (line.wave, line.seat, line.data) == ("w1", None, {"é": [1, None]})


def test_what_a_person_said_of_a_seats_network_is_read_back_until_they_take_it_back(store: SqliteStore) -> None:
    by_hand = Override(1, True, MOMENT)
    excepted = Override(2, False, MOMENT, "faux blocage", "w1")
    store.save(overrides={2: excepted, 1: by_hand})
    assert store.overrides() == [by_hand, excepted]
    store.save(overrides={1: None, 2: replace(excepted, wave="w2")})
    assert store.overrides() == [replace(excepted, wave="w2")]


def test_what_the_guard_refused_is_read_back_with_how_far_its_logs_were_read(store: SqliteStore) -> None:
    assert (store.tried_mark(), store.tried()) == ("", [])
    first = Tried(MOMENT, 2, "192.0.2.2", "drive.google.com", "name", "w1", 3, "é: raw", recorded=3)
    later = replace(first, minute=MOMENT + timedelta(minutes=1), recorded=0)
    stranger = Tried(MOMENT, None, "192.0.2.77", "a.fr", "dns", None, 1, "raw")
    store.save(tried=[later, stranger, first], tried_mark="17")
    assert (store.tried_mark(), store.tried()) == ("17", [stranger, first, later])
    assert store.tried("w1", since=later.minute) == [later]
    assert store.tried(unrecorded=True) == [stranger, later]
    store.save(tried=[replace(later, count=9, recorded=9)])
    assert store.tried("w1") == [first, replace(later, count=9, recorded=9)] and store.tried_mark() == "17"


def test_the_policy_in_place_is_read_back(store: SqliteStore) -> None:
    assert store.policy() is None
    rules = {
        "drive.google.com": Rule("drive.google.com", True, Category.DOCUMENTS, Origin.PROJECT, "documents.toml", 3),
        "google.com": Rule("google.com", False, None, Origin.PROJECT, "exceptions.toml", 1),
        "xn--lve-6la.fr": Rule("xn--lve-6la.fr", True, Category.WEBMAIL, Origin.CENTRE, "élève.toml"),
    }
    for policy in (Policy(rules, only_allowed=True, version="v1"), Policy({}, version="v2")):
        store.save(policy=policy)
        assert store.policy() == policy


CREDITS = (
    Credit(CreditKind.OUTAGE, MOMENT, MOMENT + timedelta(seconds=1.5), reason="ne répond pas"),
    Credit(CreditKind.EXTENSION, MOMENT, given=timedelta(minutes=2.5), reason="bruit"),
    Credit(CreditKind.INCIDENT, MOMENT),
)


def test_times_that_were_given_back_are_read_back(store: SqliteStore, path: Path) -> None:
    first = Place(1, "C001", adjustment="4/3", opened_at=MOMENT, credits=CREDITS)
    wave = replace(WAVE, places=(first, Place(2, "C002", credits=CREDITS[:1])))
    other = replace(WAVE, id="w2", half_day="2027-05-11-pm", places=(Place(1, "C001", credits=CREDITS[1:]),))
    store.save(waves=[wave, other])
    for reader in (store, open_store(path)):
        assert reader.waves() == [wave, other] and reader.wave("w2") == other
    settled = wave.with_places(first.settled(MOMENT))
    store.save(waves=[settled])
    assert store.waves() == [settled, other]
    moved = replace(wave, places=(replace(first, seat=3), wave.places[1]))
    store.save(waves=[moved])
    read = store.wave("w1")
    assert read is not None and {place.seat: place.credits for place in read.places} == {2: CREDITS[:1], 3: CREDITS}


def test_restore_points_are_read_back(store: SqliteStore, path: Path) -> None:
    def point(candidate: str, number: int, wave: str = "w1") -> RestorePoint:
        return RestorePoint(
            wave, candidate, number, 3, PointKind.SCHEDULED, "g1", f"sha256:{number}", f"t:{number}", 9, MOMENT
        )

    points = [point("C001", 1), point("C001", 2), point("C002", 1), point("C001", 1, "w2")]
    store.save(waves=[WAVE, replace(WAVE, id="w2")], points=points[::-1])
    for reader in (store, open_store(path)):
        assert reader.points() == points and reader.points("w2") == points[3:] and reader.points("w9") == []
    changed = replace(points[1], kind=PointKind.UNDO, pruned_at=MOMENT)
    store.save(points=[changed])
    assert store.points("w1") == [points[0], changed, points[2]]


def test_alarms_are_read_back_until_they_are_over(store: SqliteStore, path: Path) -> None:
    seat = Alarm(AlarmKind.DEAD, 3, "w1", "à l'arrêt", MOMENT)
    machine = Alarm(AlarmKind.DISK, None, None, "presque plein", MOMENT)
    store.save(alarms=[seat, machine])
    for reader in (store, open_store(path)):
        assert sorted(reader.alarms(), key=lambda item: item.kind) == [seat, machine]
    store.save(alarms=[replace(seat, cleared_at=MOMENT)])
    assert store.alarms() == [machine]
    again = replace(seat, raised_at=MOMENT + timedelta(seconds=1))
    store.save(alarms=[again])
    assert store.alarms() == [machine, again]


def test_an_environments_layer_and_what_was_purged(store: SqliteStore) -> None:
    environment, evidence = replace(ENVIRONMENT, layer="sha256:p"), replace(EVIDENCE, purged_at=MOMENT)
    store.save(waves=[WAVE], environments=[environment], evidence=[evidence])
    assert store.environments() == [environment] and store.evidence() == [evidence]


def test_what_is_not_there(store: SqliteStore) -> None:
    assert store.wave("w9") is None and store.reference("sha256:9") is None
    assert (store.waves(), store.environments(), store.evidence(), store.journal()) == ([], [], [], [])
    assert (store.points(), store.alarms()) == ([], [])
    assert store.verify_journal() is None


def test_saved_again_replaces(store: SqliteStore) -> None:
    store.save(waves=[WAVE], environments=[ENVIRONMENT], evidence=[EVIDENCE])
    wave = replace(WAVE, state=WaveState.OPEN, intent="close", reason="x", places=PLACES[1:])
    environment = replace(ENVIRONMENT, role=EnvironmentRole.GONE, touched=True, wave="w1", proved_at=MOMENT)
    evidence = replace(EVIDENCE, verified_at=MOMENT)
    store.save(waves=[wave], environments=[environment], evidence=[evidence])
    assert store.waves() == [wave]
    assert store.environments() == [environment]
    assert store.evidence() == [evidence]


def test_candidates_who_change_places(store: SqliteStore) -> None:
    store.save(waves=[WAVE])
    changed = replace(WAVE, places=(Place(1, "C002"), Place(2, "C001")))
    store.save(waves=[changed])
    assert store.waves() == [changed]


def test_all_or_nothing(store: SqliteStore) -> None:
    """A transaction that fails leaves neither state nor a line of the journal."""
    broken = replace(WAVE, id="w2", places=(Place(1, "C001"), Place(2, "C001")))
    with pytest.raises(E5BError) as raised:
        store.save(Entry("wave.planned", "w2"), waves=[WAVE, broken])
    assert raised.value.hint
    assert store.waves() == [] and store.journal() == []


def test_the_journal_of_one_wave(store: SqliteStore) -> None:
    store.save(Entry("a", "w1"), Entry("b", "w2", 7), Entry("c"))
    assert [line.action for line in store.journal("w2")] == ["b"]
    assert [line.number for line in store.journal()] == [1, 2, 3]


# Migrations


def test_the_newest_migration_is_the_one_that_the_store_expects(path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(store_module.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_a_database_made_by_the_migrations_is_the_schema(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.METADATA) == []


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A database as the first version made it, in the middle of an exam."""
    path = tmp_path / "old" / "e5b.sqlite"
    path.parent.mkdir()
    config = Config()
    config.set_main_option("script_location", str(Path(store_module.__file__).parent / "migrations"))
    with create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    at = MOMENT.isoformat()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO waves VALUES "
            "('w1', '2027-05-11-am', 'salle-1', 1, 'wordpress', 'sha256:1', 'open', NULL, NULL)"
        )
        connection.execute(
            f"INSERT INTO places VALUES ('w1', 3, '0123', 2400.0, 0, 0, 'g1', 'proved', '{at}', NULL, NULL)"
        )
        connection.execute(
            "INSERT INTO environments VALUES "
            f"('g1', 3, 1, 'wordpress', 'sha256:1', '10.0.0.2', 'http://x:8003', 'active', 1, 'w1', '{at}')"
        )
        connection.execute(
            f"INSERT INTO evidence VALUES ('w1', 3, 1, '0123', 'g1', 'sha256:l', 'a.tar.gz', 'ab', 5, '{at}', NULL)"
        )
        line = JournalLine(1, MOMENT, "technicien", "wave.opened", "w1", None, {}, "0" * 64, "")
        connection.execute(
            "INSERT INTO journal VALUES (1, ?, 'technicien', 'wave.opened', 'w1', NULL, '{}', ?, ?)",
            (at, "0" * 64, line_hash(line)),
        )
        connection.commit()
    return path


def test_a_database_of_the_first_version_is_brought_up_to_date_with_all_that_it_holds(first_version: Path) -> None:
    store = open_store(first_version)
    place = Place(3, "0123", environment="g1", proof="proved", opened_at=MOMENT)
    wave = Wave("w1", "2027-05-11-am", "salle-1", 1, Site.WORDPRESS, "sha256:1", WaveState.OPEN, places=(place,))
    assert store.waves() == [wave]
    (environment,) = store.environments()
    assert (environment.name, environment.touched, environment.layer) == ("g1", True, None)
    (evidence,) = store.evidence()
    assert (evidence.archive, evidence.purged_at) == ("a.tar.gz", None)
    assert (store.points(), store.alarms()) == ([], [])
    store.save(Entry("seat.extended", "w1", 3), waves=[wave.with_places(replace(place, credits=CREDITS))])
    last = store.verify_journal()
    assert last is not None and last.number == 2
    with (
        create_engine(f"sqlite:///{first_version}").connect() as connection,
        pytest.raises(IntegrityError, match="append-only"),
    ):
        connection.exec_driver_sql("DELETE FROM journal")
    engine = create_engine(f"sqlite:///{first_version}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.METADATA) == []


def test_two_commands_that_meet_a_database_of_the_first_version(first_version: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=open_store, args=(first_version,)) for _process in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(open_store(first_version).waves()) == 1


def test_a_newer_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(E5BError) as raised:
        open_store(path)
    assert str(path) in raised.value.message and raised.value.hint
    assert path.read_bytes() == before


def test_a_file_that_is_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "e5b.sqlite"
    path.write_bytes(b"This was a spreadsheet. " * 100)
    with pytest.raises(E5BError) as raised:
        open_store(path)
    assert str(path) in raised.value.message
    assert path.read_bytes().startswith(b"This was a spreadsheet.")


# The journal's chain


def lines(store: SqliteStore, count: int = 5) -> None:
    for number in range(1, count + 1):
        store.save(Entry("seat.reset", "w1", number, {"environment": f"g{number}"}))


def by_hand(path: Path, *statements: str) -> None:
    """What somebody with the file and a tool can do."""
    with closing(sqlite3.connect(path)) as connection:
        for verb in ("update", "delete", "replace"):
            connection.execute(f"DROP TRIGGER journal_no_{verb}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET seat = 9 WHERE number = 2",
        "DELETE FROM journal",
        "DELETE FROM journal WHERE number = 5",
        "REPLACE INTO journal SELECT number, at, 'somebody', action, wave, seat, data, previous, hash FROM journal",
    ],
)
def test_the_journal_is_append_only(store: SqliteStore, path: Path, statement: str) -> None:
    lines(store)
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    last = store.verify_journal()
    assert last is not None and last.number == 5


@pytest.mark.parametrize(
    ("statements", "line"),
    [
        (["UPDATE journal SET seat = 9 WHERE number = 2"], 2),
        (["UPDATE journal SET actor = 'somebody' WHERE number = 1"], 1),
        (["""UPDATE journal SET data = '{"environment": "g9"}' WHERE number = 5"""], 5),
        (["UPDATE journal SET at = '2027-05-11T08:00:00+00:00' WHERE number = 3"], 3),
        (["UPDATE journal SET at = 'yesterday' WHERE number = 3"], None),
        (["UPDATE journal SET data = 'not JSON' WHERE number = 3"], None),
        (["UPDATE journal SET hash = '' WHERE number = 5"], 5),
        (["DELETE FROM journal WHERE number = 1"], 1),
        (["DELETE FROM journal WHERE number = 3"], 3),
        (["DELETE FROM journal WHERE number = 3", "UPDATE journal SET number = number - 1 WHERE number > 3"], 3),
        (
            [
                "UPDATE journal SET number = -2 WHERE number = 2",
                "UPDATE journal SET number = 2 WHERE number = 3",
                "UPDATE journal SET number = 3 WHERE number = -2",
            ],
            2,
        ),
        (
            [
                "INSERT INTO journal SELECT 6, at, actor, 'seat.absent', wave, 2, data, hash, hash "
                "FROM journal WHERE number = 5"
            ],
            6,
        ),
    ],
    ids=[
        "seat", "actor", "data", "time", "no time", "no JSON", "hash", "first removed", "removed",
        "removed and renumbered", "swapped", "added",
    ],
)  # fmt: skip
def test_a_change_by_hand_is_found(
    store: SqliteStore, path: Path, statements: list[str], line: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E5B_LANG", "en")
    lines(store)
    by_hand(path, *statements)
    with pytest.raises(JournalBroken) as raised:
        store.verify_journal()
    assert raised.value.hint and str(path) in raised.value.hint
    if line is not None:
        assert f"line {line} " in raised.value.message


def test_the_chain_can_be_checked_without_this_program(store: SqliteStore, path: Path) -> None:
    """SHA-256 of the compact JSON of the line with the hash before it: a jury's own expert needs no more."""
    import hashlib

    lines(store)
    previous = "0" * 64
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute("SELECT * FROM journal ORDER BY number"):
            content = {key: row[key] for key in ("number", "at", "actor", "action", "wave", "seat")}
            content |= {"data": json.loads(row["data"]), "previous": previous}
            compact = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            previous = hashlib.sha256(compact.encode()).hexdigest()
            assert row["hash"] == previous


# Several writers


def _write(path: Path, name: str, count: int) -> None:
    mine = open_store(path, name)
    for number in range(count):
        mine.save(Entry("seat.reset", "w1", number), Entry("seat.proved", "w1", number))


def test_writers_in_two_processes_keep_the_chain(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, name, 15)) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    reader = open_store(path)
    last = reader.verify_journal()
    assert last is not None and last.number == 60
    # The lines of one save stay together.
    journal = reader.journal()
    for first, second in zip(journal[::2], journal[1::2], strict=True):
        assert (first.actor, first.seat, first.action) == (second.actor, second.seat, "seat.reset")


def test_two_processes_make_the_same_new_database(tmp_path: Path) -> None:
    path = tmp_path / "new" / "e5b.sqlite"
    context = multiprocessing.get_context("fork")
    makers = [context.Process(target=_write, args=(path, name, 1)) for name in ("one", "two", "three")]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
    assert [maker.exitcode for maker in makers] == [0, 0, 0]
    last = open_store(path).verify_journal()
    assert last is not None and last.number == 6


def test_a_process_killed_while_it_writes_leaves_a_whole_database(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from orchestrator.adapters.machine import ExamClock;"
        "from orchestrator.adapters.store import SqliteStore; from orchestrator.ports import Entry;"
        "store = SqliteStore(Path(sys.argv[1]), ExamClock(Path(sys.argv[1] + '.clock')), 'x')\n"
        "while True: store.save(Entry('a'), Entry('b')); print(flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _line in range(5):
            process.stdout.readline()
        process.kill()
    last = open_store(path).verify_journal()
    assert last is not None and last.number >= 10 and last.number % 2 == 0


# Folders that cannot be used


@pytest.mark.parametrize(
    "place",
    [lambda folder: folder / "file" / "state" / "e5b.sqlite", lambda folder: folder / "file" / "e5b.sqlite"],
    ids=["below a file", "a file"],
)
def test_a_folder_that_cannot_be_made(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(E5BError) as raised:
        open_store(place(tmp_path))
    assert "file" in raised.value.message and raised.value.hint


def _as_nobody(path: Path, folder: Path, answer: "multiprocessing.connection.Connection") -> None:
    os.setgid(65534)
    os.setuid(65534)
    try:
        open_store(path)
        answer.send("opened")
    except E5BError as error:
        answer.send(error.message)
    except BaseException as error:
        answer.send(repr(error))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("there", [True, False], ids=["a database", "an empty folder"])
def test_a_folder_that_one_may_not_write(empty: Path, there: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = Path("/tmp") / f"e5b-test-{os.getpid()}-{there}"
    folder.mkdir(mode=0o755)
    try:
        path = folder / "e5b.sqlite"
        if there:
            shutil.copy(empty, path)
            path.chmod(0o644)
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        child = context.Process(target=_as_nobody, args=(path, folder, theirs))
        child.start()
        message = ours.recv()
        child.join(30)
        assert str(path) in message and not message.startswith(("opened", "PermissionError"))
    finally:
        shutil.rmtree(folder)

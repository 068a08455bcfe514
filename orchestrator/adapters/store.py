"""The centre's state in SQLite: desired state, references, evidence records and the hash-chained journal."""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Table, create_engine, event, select, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError

from orchestrator.adapters import schema
from orchestrator.domain.bank import Role, SealedBank
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
from orchestrator.domain.fingerprint import Fingerprint
from orchestrator.domain.guard import Category, Origin, Policy, Rule
from orchestrator.domain.lifecycle import WaveState
from orchestrator.domain.locks import Override, Tried
from orchestrator.domain.subject import SubjectRecord
from orchestrator.domain.time import Credit, CreditKind
from orchestrator.errors import E5BError, JournalBroken, NoSpace
from orchestrator.i18n import _
from orchestrator.ports import Clock, Entry, JournalLine

HEAD = "0004"
"""The newest migration; a test holds it equal to what the folder of migrations says."""

GENESIS = "0" * 64


class SqliteStore:
    """Implements ports.Store. *actor* is who the journal names for what this process does."""

    def __init__(self, database: Path, clock: Clock, actor: str) -> None:
        self._database, self._clock, self._actor = database, clock, actor
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        self._engine = create_engine(f"sqlite:///{database}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin_immediate)
        self._migrate()

    def _migrate(self) -> None:
        with self._transaction() as connection:
            tables = connection.execute(text("SELECT name FROM sqlite_master WHERE name = 'alembic_version'"))
            if tables.first() is not None:
                version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
                if version == HEAD:
                    return
                if str(version) > HEAD:
                    raise E5BError(
                        _("{path} was written by a newer version of this program.").format(path=self._database),
                        hint=_("Install the newer version; nothing was changed."),
                    )
            # Imported here: every command would pay for it otherwise, and it serves once per version.
            from alembic import command
            from alembic.config import Config

            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            if "disk is full" in str(error.orig):
                raise NoSpace(
                    _("The disk is full: the state in {path} could not be written.").format(path=self._database),
                    hint=_("Free some room, then run the same command again."),
                ) from error
            raise self._unusable(str(error.orig)) from error

    def _unusable(self, reason: str) -> E5BError:
        return E5BError(
            _("The state in {path} cannot be used: {error}.").format(path=self._database, error=reason),
            hint=_("Nothing was changed. Check the folder's owner and the disk, then run the command again."),
        )

    # Reading

    def wave(self, wave: str) -> Wave | None:
        return next((item for item in self._waves(wave)), None)

    def waves(self) -> list[Wave]:
        return self._waves(None)

    def _waves(self, wave: str | None) -> list[Wave]:
        places: dict[str, list[Place]] = {}
        credits: dict[tuple[str, int], list[Credit]] = {}
        with self._transaction() as connection:
            given = select(schema.credits).order_by(schema.credits.c.id)
            for row in connection.execute(given if wave is None else given.where(schema.credits.c.wave == wave)):
                credits.setdefault((row.wave, row.seat), []).append(_credit(row))
            query = select(schema.places).order_by(schema.places.c.seat)
            for row in connection.execute(query if wave is None else query.where(schema.places.c.wave == wave)):
                places.setdefault(row.wave, []).append(_place(row, credits.get((row.wave, row.seat), ())))
            found = select(schema.waves).order_by(schema.waves.c.id)
            rows = connection.execute(found if wave is None else found.where(schema.waves.c.id == wave)).all()
        return [
            Wave(
                id=row.id,
                half_day=row.half_day,
                room=row.room,
                number=row.number,
                site=Site(row.site),
                image=row.image,
                state=WaveState(row.state),
                intent=row.intent,
                reason=row.reason,
                subject=row.subject,
                places=tuple(places.get(row.id, ())),
            )
            for row in rows
        ]

    def environments(self) -> list[Environment]:
        with self._transaction() as connection:
            rows = connection.execute(
                select(schema.environments).order_by(schema.environments.c.seat, schema.environments.c.generation)
            ).all()
        return [
            Environment(
                name=row.name,
                seat=row.seat,
                generation=row.generation,
                site=Site(row.site),
                image=row.image,
                address=row.address,
                url=row.url,
                role=EnvironmentRole(row.role),
                touched=row.touched,
                wave=row.wave,
                proved_at=_time(row.proved_at),
                layer=row.layer,
                subject=row.subject,
            )
            for row in rows
        ]

    def evidence(self, wave: str | None = None) -> list[Evidence]:
        query = select(schema.evidence).order_by(
            schema.evidence.c.wave, schema.evidence.c.seat, schema.evidence.c.attempt
        )
        with self._transaction() as connection:
            rows = connection.execute(query if wave is None else query.where(schema.evidence.c.wave == wave)).all()
        return [
            Evidence(
                wave=row.wave,
                seat=row.seat,
                candidate=row.candidate,
                environment=row.environment,
                attempt=row.attempt,
                layer=row.layer,
                archive=row.archive,
                sha256=row.sha256,
                size=row.size,
                sealed_at=datetime.fromisoformat(row.sealed_at),
                verified_at=_time(row.verified_at),
                purged_at=_time(row.purged_at),
            )
            for row in rows
        ]

    def points(self, wave: str | None = None) -> list[RestorePoint]:
        column = schema.restore_points.c
        query = select(schema.restore_points).order_by(column.wave, column.candidate, column.number)
        with self._transaction() as connection:
            rows = connection.execute(query if wave is None else query.where(column.wave == wave)).all()
        return [
            RestorePoint(
                **_columns(schema.restore_points, row)
                | {
                    "kind": PointKind(row.kind),
                    "taken_at": datetime.fromisoformat(row.taken_at),
                    "pruned_at": _time(row.pruned_at),
                }
            )
            for row in rows
        ]

    def alarms(self) -> list[Alarm]:
        column = schema.alarms.c
        query = select(schema.alarms).where(column.cleared_at.is_(None)).order_by(column.raised_at, column.seat)
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return [
            Alarm(
                kind=AlarmKind(row.kind),
                seat=row.seat or None,
                wave=row.wave,
                message=row.message,
                raised_at=datetime.fromisoformat(row.raised_at),
            )
            for row in rows
        ]

    def reference(self, image: str) -> Fingerprint | None:
        column = schema.image_references.c
        with self._transaction() as connection:
            found = connection.execute(select(column.fingerprint).where(column.image == image)).scalar()
        return None if found is None else Fingerprint.parse(found)

    def bank(self) -> SealedBank | None:
        column = schema.banks.c
        query = select(column.content).order_by(column.loaded_at.desc(), column.version.desc()).limit(1)
        with self._transaction() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else TypeAdapter(SealedBank).validate_json(found)

    def subjects(self) -> list[SubjectRecord]:
        with self._transaction() as connection:
            rows = connection.execute(select(schema.subjects).order_by(schema.subjects.c.unlocked_at)).all()
        return [
            SubjectRecord(
                key=row.key,
                half_day=row.half_day,
                role=Role(row.role),
                site=Site(row.site),
                fixtures=row.fixtures,
                ends_at=datetime.fromisoformat(row.ends_at),
                unlocked_at=datetime.fromisoformat(row.unlocked_at),
                reason=row.reason,
                removed_at=_time(row.removed_at),
            )
            for row in rows
        ]

    def overrides(self) -> list[Override]:
        query = select(schema.guard_overrides).order_by(schema.guard_overrides.c.seat)
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return [
            Override(**_columns(schema.guard_overrides, row) | {"since": datetime.fromisoformat(row.since)})
            for row in rows
        ]

    def tried(self, wave: str | None = None, *, since: datetime | None = None, unrecorded: bool = False) -> list[Tried]:
        column = schema.guard_tried.c
        query = select(schema.guard_tried).order_by(column.minute, column.seat, column.what, column.layer)
        if wave is not None:
            query = query.where(column.wave == wave)
        if since is not None:
            query = query.where(column.minute >= since.isoformat())
        if unrecorded:
            query = query.where(column.recorded < column.count)
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return [
            Tried(
                **_columns(schema.guard_tried, row)
                | {"minute": datetime.fromisoformat(row.minute), "seat": row.seat or None}
            )
            for row in rows
        ]

    def tried_mark(self) -> str:
        found = self._guard_state("mark")
        return "" if found is None else found.decode()

    def policy(self) -> Policy | None:
        found = self._guard_state("policy")
        return None if found is None else _policy(found)

    def policy_version(self) -> str | None:
        found = self._guard_state("policy version")
        return None if found is None else found.decode()

    def _guard_state(self, name: str) -> bytes | None:
        column = schema.guard_state.c
        with self._transaction() as connection:
            found: bytes | None = connection.execute(select(column.value).where(column.name == name)).scalar()
        return found

    # Writing

    def save(
        self,
        *entries: Entry,
        waves: Sequence[Wave] = (),
        environments: Sequence[Environment] = (),
        evidence: Sequence[Evidence] = (),
        points: Sequence[RestorePoint] = (),
        alarms: Sequence[Alarm] = (),
        references: Mapping[str, Fingerprint] | None = None,
        overrides: Mapping[int, Override | None] | None = None,
        tried: Sequence[Tried] = (),
        tried_mark: str | None = None,
        policy: Policy | None = None,
        bank: SealedBank | None = None,
        subjects: Sequence[SubjectRecord] = (),
    ) -> None:
        with self._transaction() as connection:
            for wave in waves:
                row = _columns(schema.waves, wave)
                _upsert(connection, schema.waves, row | {"site": wave.site.value, "state": wave.state.value})
                # Replaced as a whole: a wave planned again may have other seats, or candidates who changed places.
                connection.execute(schema.places.delete().where(schema.places.c.wave == wave.id))
                connection.execute(schema.credits.delete().where(schema.credits.c.wave == wave.id))
                for place in wave.places:
                    connection.execute(schema.places.insert().values(_place_row(wave.id, place)))
                    for credit in place.credits:
                        connection.execute(schema.credits.insert().values(_credit_row(wave.id, place.seat, credit)))
            for environment in environments:
                row = _columns(schema.environments, environment)
                row |= {"site": environment.site.value, "role": environment.role.value}
                _upsert(connection, schema.environments, row | {"proved_at": _text(environment.proved_at)})
            for item in evidence:
                row = _columns(schema.evidence, item)
                row |= {name: _text(row[name]) for name in ("sealed_at", "verified_at", "purged_at")}
                _upsert(connection, schema.evidence, row)
            for point in points:
                row = _columns(schema.restore_points, point) | {"kind": point.kind.value}
                row |= {name: _text(row[name]) for name in ("taken_at", "pruned_at")}
                _upsert(connection, schema.restore_points, row)
            for alarm in alarms:
                row = _columns(schema.alarms, alarm) | {"kind": alarm.kind.value, "seat": alarm.seat or 0}
                row |= {name: _text(row[name]) for name in ("raised_at", "cleared_at")}
                _upsert(connection, schema.alarms, row)
            for image, fingerprint in (references or {}).items():
                _upsert(connection, schema.image_references, {"image": image, "fingerprint": fingerprint.dump()})
            for seat, override in (overrides or {}).items():
                if override is None:
                    connection.execute(schema.guard_overrides.delete().where(schema.guard_overrides.c.seat == seat))
                else:
                    row = _columns(schema.guard_overrides, override) | {"since": _text(override.since)}
                    _upsert(connection, schema.guard_overrides, row)
            for tries in tried:
                row = _columns(schema.guard_tried, tries) | {"minute": _text(tries.minute), "seat": tries.seat or 0}
                _upsert(connection, schema.guard_tried, row)
            if tried_mark is not None:
                _upsert(connection, schema.guard_state, {"name": "mark", "value": tried_mark.encode()})
            if policy is not None:
                _upsert(connection, schema.guard_state, {"name": "policy", "value": _policy_bytes(policy)})
                version = {"name": "policy version", "value": policy.version.encode()}
                _upsert(connection, schema.guard_state, version)
            if bank is not None:
                content = TypeAdapter(SealedBank).dump_json(bank).decode()
                row = {"session": bank.session, "version": bank.version, "content": content}
                _upsert(connection, schema.banks, row | {"loaded_at": _text(self._clock.now())})
            for subject in subjects:
                row = _columns(schema.subjects, subject) | {"site": subject.site.value, "role": subject.role.value}
                row |= {name: _text(row[name]) for name in ("ends_at", "unlocked_at", "removed_at")}
                _upsert(connection, schema.subjects, row)
            self._append(connection, entries)

    def _append(self, connection: Connection, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        columns = schema.journal.c
        last = connection.execute(select(columns.number, columns.hash).order_by(columns.number.desc()).limit(1)).first()
        number, previous = (0, GENESIS) if last is None else (last.number, last.hash)
        for entry in entries:
            number += 1
            line = JournalLine(
                number=number,
                at=self._clock.now(),
                actor=self._actor,
                action=entry.action,
                wave=entry.wave,
                seat=entry.seat,
                data=json.loads(json.dumps(entry.data or {})),
                previous=previous,
                hash="",
            )
            line = replace(line, hash=line_hash(line))
            row = _columns(schema.journal, line) | {"at": _text(line.at)}
            connection.execute(schema.journal.insert().values(row))
            previous = line.hash

    # The journal

    def journal(self, wave: str | None = None) -> list[JournalLine]:
        query = select(schema.journal).order_by(schema.journal.c.number)
        try:
            with self._transaction() as connection:
                rows = connection.execute(query if wave is None else query.where(schema.journal.c.wave == wave)).all()
            return [_line(row) for row in rows]
        except ValueError as error:
            raise self._broken(_("a line cannot be read")) from error

    def last(self, action: str) -> JournalLine | None:
        column = schema.journal.c
        query = select(schema.journal).where(column.action == action).order_by(column.number.desc()).limit(1)
        with self._transaction() as connection:
            row = connection.execute(query).first()
        return None if row is None else _line(row)

    def verify_journal(self) -> JournalLine | None:
        previous, last = GENESIS, None
        for number, line in enumerate(self.journal(), start=1):
            if line.number != number:
                fault = _("line {number} is missing").format(number=number)
            elif line.previous != previous or line.hash != line_hash(line):
                fault = _("line {number} was altered").format(number=number)
            else:
                previous, last = line.hash, line
                continue
            raise self._broken(fault)
        return last

    def _broken(self, fault: str) -> JournalBroken:
        return JournalBroken(
            _("The journal does not hold: {fault}.").format(fault=fault),
            hint=_("Keep the file {path} as it is and tell the exam's head of centre.").format(path=self._database),
        )


def line_hash(line: JournalLine) -> str:
    """SHA-256 in hex of the line's compact JSON (sorted keys, UTF-8), which holds the hash before it."""
    compact = json.dumps(line.content(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(compact.encode()).hexdigest()


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transaction handling would begin late and deferred; ours is explicit (see _begin_immediate).
    connection.isolation_level = None
    # FULL: what was said to be stored survives a power cut.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upsert(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    keys = [column.name for column in table.primary_key]
    statement = insert(table).values(row)
    rest = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest))


def _columns(table: Table, item: object) -> dict[str, Any]:
    return {column.name: getattr(item, column.name) for column in table.columns}


def _place_row(wave: str, place: Place) -> dict[str, Any]:
    return {
        "wave": wave,
        "seat": place.seat,
        "candidate": place.candidate,
        "duration_s": place.duration.total_seconds(),
        "absent": place.absent,
        "left_out": place.left_out,
        "environment": place.environment,
        "proof": place.proof,
        "opened_at": _text(place.opened_at),
        "closed_at": _text(place.closed_at),
        "waived": place.waived,
        "adjustment": place.adjustment,
    }


def _credit_row(wave: str, seat: int, credit: Credit) -> dict[str, Any]:
    return {
        "wave": wave,
        "seat": seat,
        "kind": credit.kind.value,
        "began_at": _text(credit.began_at),
        "ended_at": _text(credit.ended_at),
        "given_s": None if credit.given is None else credit.given.total_seconds(),
        "reason": credit.reason,
    }


def _credit(row: Row[Any]) -> Credit:
    return Credit(
        kind=CreditKind(row.kind),
        began_at=datetime.fromisoformat(row.began_at),
        ended_at=_time(row.ended_at),
        given=None if row.given_s is None else timedelta(seconds=row.given_s),
        reason=row.reason,
    )


def _place(row: Row[Any], credits: Sequence[Credit]) -> Place:
    return Place(
        seat=row.seat,
        candidate=row.candidate,
        duration=timedelta(seconds=row.duration_s),
        absent=row.absent,
        left_out=row.left_out,
        environment=row.environment,
        proof=row.proof,
        opened_at=_time(row.opened_at),
        closed_at=_time(row.closed_at),
        waived=row.waived,
        adjustment=row.adjustment,
        credits=tuple(credits),
    )


def _line(row: Row[Any]) -> JournalLine:
    values = _columns(schema.journal, row)
    return JournalLine(**values | {"at": datetime.fromisoformat(row.at)})


def _policy_bytes(policy: Policy) -> bytes:
    """Compressed JSON: the rules by what they have in common, since a million of them differ in little else."""
    groups: dict[tuple[bool, str | None, str, str], list[tuple[str, int]]] = {}
    for rule in policy.rules.values():
        common = (rule.blocked, rule.category and rule.category.value, rule.origin.value, rule.where)
        groups.setdefault(common, []).append((rule.name, rule.line))
    value = {
        "version": policy.version,
        "only_allowed": policy.only_allowed,
        "groups": [[*common, rules] for common, rules in groups.items()],
    }
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)


def _policy(content: bytes) -> Policy:
    value = json.loads(zlib.decompress(content))
    rules = {
        name: Rule(name, blocked, category and Category(category), Origin(origin), where, line)
        for blocked, category, origin, where, members in value["groups"]
        for name, line in members
    }
    return Policy(rules, value["only_allowed"], value["version"])


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)

"""The tables of the centre's state, as SQLAlchemy sees them. The migrations beside it make them."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

# Times are ISO 8601 texts in UTC: SQLite has no type for them, and a person who opens the file can read them.

waves = Table(
    "waves",
    METADATA,
    Column("id", String, primary_key=True),
    Column("half_day", String, nullable=False),
    Column("room", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("site", String, nullable=False),
    Column("image", String, nullable=False),
    Column("state", String, nullable=False),
    Column("intent", String),
    Column("reason", Text),
    Column("subject", String),
)

places = Table(
    "places",
    METADATA,
    Column("wave", ForeignKey("waves.id"), nullable=False),
    Column("seat", Integer, nullable=False),
    Column("candidate", String, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("absent", Boolean, nullable=False),
    Column("left_out", Boolean, nullable=False),
    Column("environment", String),
    Column("proof", Text),
    Column("opened_at", String),
    Column("closed_at", String),
    Column("waived", Text),
    Column("adjustment", String),
    PrimaryKeyConstraint("wave", "seat"),
    UniqueConstraint("wave", "candidate"),
)

credits = Table(
    "credits",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("wave", ForeignKey("waves.id"), nullable=False),
    Column("seat", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("began_at", String, nullable=False),
    Column("ended_at", String),
    Column("given_s", Float),
    Column("reason", Text, nullable=False),
)

environments = Table(
    "environments",
    METADATA,
    Column("name", String, primary_key=True),
    Column("seat", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("site", String, nullable=False),
    Column("image", String, nullable=False),
    Column("address", String, nullable=False),
    Column("url", String, nullable=False),
    Column("role", String, nullable=False),
    Column("touched", Boolean, nullable=False),
    Column("wave", String),
    Column("proved_at", String),
    Column("layer", String),
    Column("subject", String),
    UniqueConstraint("seat", "generation"),
)

restore_points = Table(
    "restore_points",
    METADATA,
    Column("wave", ForeignKey("waves.id"), nullable=False),
    Column("candidate", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("seat", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("layer", String, nullable=False),
    Column("tag", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("taken_at", String, nullable=False),
    Column("pruned_at", String),
    PrimaryKeyConstraint("wave", "candidate", "number"),
)

alarms = Table(
    "alarms",
    METADATA,
    Column("kind", String, nullable=False),
    # 0: the machine.
    Column("seat", Integer, nullable=False),
    Column("wave", String),
    Column("message", Text, nullable=False),
    Column("raised_at", String, nullable=False),
    Column("cleared_at", String),
    PrimaryKeyConstraint("kind", "seat", "raised_at"),
)

evidence = Table(
    "evidence",
    METADATA,
    Column("wave", ForeignKey("waves.id"), nullable=False),
    Column("seat", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("candidate", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("layer", String, nullable=False),
    Column("archive", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("sealed_at", String, nullable=False),
    Column("verified_at", String),
    Column("purged_at", String),
    PrimaryKeyConstraint("wave", "seat", "attempt"),
)

guard_overrides = Table(
    "guard_overrides",
    METADATA,
    Column("seat", Integer, primary_key=True, autoincrement=False),
    Column("locked", Boolean, nullable=False),
    Column("since", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("wave", String),
)

guard_tried = Table(
    "guard_tried",
    METADATA,
    Column("minute", String, nullable=False),
    # 0: a machine that is no seat.
    Column("seat", Integer, nullable=False),
    Column("address", String, nullable=False),
    Column("what", String, nullable=False),
    Column("layer", String, nullable=False),
    Column("wave", String),
    Column("count", Integer, nullable=False),
    Column("line", Text, nullable=False),
    Column("recorded", Integer, nullable=False),
    PrimaryKeyConstraint("minute", "seat", "address", "what", "layer"),
)

# `mark`: how far the guard's logs were read; `policy`, `policy version`: the one in place.
guard_state = Table(
    "guard_state",
    METADATA,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# `content`: the public part, as JSON.
banks = Table(
    "banks",
    METADATA,
    Column("session", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("loaded_at", String, nullable=False),
    Column("content", Text, nullable=False),
    PrimaryKeyConstraint("session", "version"),
)

# Nothing of what a subject says is ever here.
subjects = Table(
    "subjects",
    METADATA,
    Column("key", String, primary_key=True),
    Column("half_day", String, nullable=False),
    Column("role", String, nullable=False),
    Column("site", String, nullable=False),
    Column("fixtures", Boolean, nullable=False),
    Column("ends_at", String, nullable=False),
    Column("unlocked_at", String, nullable=False),
    Column("reason", Text),
    Column("removed_at", String),
)

image_references = Table(
    "image_references",
    METADATA,
    Column("image", String, primary_key=True),
    Column("fingerprint", Text, nullable=False),
)

journal = Table(
    "journal",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("wave", String),
    Column("seat", Integer),
    Column("data", JSON, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
)

"""The wave: waves, places, environments, evidence, references, journal."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "waves",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("half_day", sa.String, nullable=False),
        sa.Column("room", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("site", sa.String, nullable=False),
        sa.Column("image", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("intent", sa.String),
        sa.Column("reason", sa.Text),
    )
    op.create_table(
        "places",
        sa.Column("wave", sa.String, sa.ForeignKey("waves.id"), nullable=False),
        sa.Column("seat", sa.Integer, nullable=False),
        sa.Column("candidate", sa.String, nullable=False),
        sa.Column("duration_s", sa.Float, nullable=False),
        sa.Column("absent", sa.Boolean, nullable=False),
        sa.Column("left_out", sa.Boolean, nullable=False),
        sa.Column("environment", sa.String),
        sa.Column("proof", sa.Text),
        sa.Column("opened_at", sa.String),
        sa.Column("closed_at", sa.String),
        sa.Column("waived", sa.Text),
        sa.PrimaryKeyConstraint("wave", "seat"),
        sa.UniqueConstraint("wave", "candidate"),
    )
    op.create_table(
        "environments",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("seat", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("site", sa.String, nullable=False),
        sa.Column("image", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("touched", sa.Boolean, nullable=False),
        sa.Column("wave", sa.String),
        sa.Column("proved_at", sa.String),
        sa.UniqueConstraint("seat", "generation"),
    )
    op.create_table(
        "evidence",
        sa.Column("wave", sa.String, sa.ForeignKey("waves.id"), nullable=False),
        sa.Column("seat", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("candidate", sa.String, nullable=False),
        sa.Column("environment", sa.String, nullable=False),
        sa.Column("layer", sa.String, nullable=False),
        sa.Column("archive", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sealed_at", sa.String, nullable=False),
        sa.Column("verified_at", sa.String),
        sa.PrimaryKeyConstraint("wave", "seat", "attempt"),
    )
    op.create_table(
        "image_references",
        sa.Column("image", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
    )
    op.create_table(
        "journal",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("wave", sa.String),
        sa.Column("seat", sa.Integer),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("previous", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
    )
    # The journal is append-only for whoever goes through SQLite; the hash chain tells of whoever does not.
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER journal_no_{verb.lower()} BEFORE {verb} ON journal "
            "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        )
    # INSERT OR REPLACE deletes without a word to the triggers above.
    op.execute(
        "CREATE TRIGGER journal_no_replace BEFORE INSERT ON journal "
        "WHEN EXISTS (SELECT 1 FROM journal WHERE number = NEW.number) "
        "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    )

"""Adjustments and credits of time, restore points, alarms, purged evidence."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("places", sa.Column("adjustment", sa.String))
    op.add_column("environments", sa.Column("layer", sa.String))
    op.add_column("evidence", sa.Column("purged_at", sa.String))
    op.create_table(
        "credits",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("wave", sa.String, sa.ForeignKey("waves.id"), nullable=False),
        sa.Column("seat", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("began_at", sa.String, nullable=False),
        sa.Column("ended_at", sa.String),
        sa.Column("given_s", sa.Float),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "restore_points",
        sa.Column("wave", sa.String, sa.ForeignKey("waves.id"), nullable=False),
        sa.Column("candidate", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("seat", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("environment", sa.String, nullable=False),
        sa.Column("layer", sa.String, nullable=False),
        sa.Column("tag", sa.String, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("taken_at", sa.String, nullable=False),
        sa.Column("pruned_at", sa.String),
        sa.PrimaryKeyConstraint("wave", "candidate", "number"),
    )
    op.create_table(
        "alarms",
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("seat", sa.Integer, nullable=False),
        sa.Column("wave", sa.String),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("raised_at", sa.String, nullable=False),
        sa.Column("cleared_at", sa.String),
        sa.PrimaryKeyConstraint("kind", "seat", "raised_at"),
    )

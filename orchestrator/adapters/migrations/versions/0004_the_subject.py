"""The national bank that is loaded, the subjects that were unlocked, and who was given which."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("waves", sa.Column("subject", sa.String))
    op.add_column("environments", sa.Column("subject", sa.String))
    op.create_table(
        "banks",
        sa.Column("session", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("loaded_at", sa.String, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session", "version"),
    )
    op.create_table(
        "subjects",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("half_day", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("site", sa.String, nullable=False),
        sa.Column("fixtures", sa.Boolean, nullable=False),
        sa.Column("ends_at", sa.String, nullable=False),
        sa.Column("unlocked_at", sa.String, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("removed_at", sa.String),
    )

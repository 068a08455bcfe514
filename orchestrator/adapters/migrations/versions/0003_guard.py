"""The guard: what a person said of a seat's network, what was refused, the policy that is in place."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "guard_overrides",
        sa.Column("seat", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("locked", sa.Boolean, nullable=False),
        sa.Column("since", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("wave", sa.String),
    )
    op.create_table(
        "guard_tried",
        sa.Column("minute", sa.String, nullable=False),
        sa.Column("seat", sa.Integer, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("layer", sa.String, nullable=False),
        sa.Column("wave", sa.String),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("recorded", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("minute", "seat", "address", "what", "layer"),
    )
    op.create_table(
        "guard_state",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )

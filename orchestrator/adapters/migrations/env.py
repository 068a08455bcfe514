"""Alembic's entry point: the connection comes from the store, which runs the migrations itself."""

from alembic import context

from orchestrator.adapters.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()

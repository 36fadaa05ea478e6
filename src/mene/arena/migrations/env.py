"""How Alembic runs the migrations: on the connection that ``store.py`` opened, inside its transaction."""

from alembic import context

from mene.arena.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()

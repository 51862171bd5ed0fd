"""Alembic's entry: migrations run on the connection that config.migrations hands over."""

from __future__ import annotations

from alembic import context

import auth.records
import config.epoch
import models.records
from config.database import Base

TABLES_OF = (auth.records, models.records, config.epoch)  # imported so that they are declared

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()

"""What Alembic runs: on the connection that `digest.migrations` hands over."""

from alembic import context

import digest.models
import subscribers.models
from subscribers.db import Base

TABLES = (digest.models, subscribers.models)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()

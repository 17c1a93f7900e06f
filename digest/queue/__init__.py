"""Where jobs run: in this process, or spread over many by procrastinate on PostgreSQL."""

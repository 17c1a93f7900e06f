"""The pages: desk, archive and ops; one handler, one page, one file."""

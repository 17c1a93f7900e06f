"""The index of what issues say: one entry for an issue's own texts and one for each story in it.

On PostgreSQL the two columns are `tsvector`s with a GIN index over both. On SQLite they are texts of folded words, and
an FTS5 table over them (`search_words`) follows by triggers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.db import Base

_LAST_PLACE = 16_383
"""PostgreSQL counts no further places of a word."""


class Words(sa.types.TypeDecorator[Sequence[str]]):
    """Folded words in their order (`digest.folding.words`), as the database's full-text search wants them.

    They are handed to PostgreSQL as lexemes with their places: its own parser, which cuts texts up in another way than
    SQLite's, never sees them. Written and searched, never read.
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self, weight: str = "D") -> None:
        super().__init__()
        self.weight = weight
        """PostgreSQL's weight of a word that stands here, `A` to `D`."""

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The type that the column has."""
        return dialect.type_descriptor(TSVECTOR() if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Sequence[str] | None, dialect: sa.Dialect) -> str | None:
        """The words as the database reads them."""
        if value is None or dialect.name != "postgresql":
            return None if value is None else " ".join(value)
        return " ".join(f"'{word}':{min(place, _LAST_PLACE)}{self.weight}" for place, word in enumerate(value, 1))


class SearchEntry(Base):
    """What can be found: a story in an issue, or the issue's own texts (`item_id` is none)."""

    __tablename__ = "search_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    issue_id: Mapped[int] = mapped_column(sa.ForeignKey("issues.id", ondelete="CASCADE"), index=True)
    item_id: Mapped[int | None] = mapped_column(sa.ForeignKey("items.id", ondelete="CASCADE"), unique=True)
    newsletter: Mapped[str] = mapped_column(sa.String(40))
    week: Mapped[str] = mapped_column(sa.String(8), index=True)
    """Both are the issue's, beside the words so that a search within one year need not look them up."""
    head: Mapped[Sequence[str]] = mapped_column(Words("A"), deferred=True)
    """The words of the subject or headline."""
    body: Mapped[Sequence[str]] = mapped_column(Words("C"), deferred=True)
    """The words of the introduction or summary."""


FTS5 = (
    # What is a word has been decided by `digest.folding`: nothing is folded here.
    """CREATE VIRTUAL TABLE search_words USING fts5(
    head, body, content='search_entries', content_rowid='id', prefix='2 3',
    tokenize="unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
)""",
    """CREATE TRIGGER search_entries_added AFTER INSERT ON search_entries BEGIN
    INSERT INTO search_words (rowid, head, body) VALUES (new.id, new.head, new.body);
END""",
    """CREATE TRIGGER search_entries_removed AFTER DELETE ON search_entries BEGIN
    INSERT INTO search_words (search_words, rowid, head, body) VALUES ('delete', old.id, old.head, old.body);
END""",
    """CREATE TRIGGER search_entries_changed AFTER UPDATE ON search_entries BEGIN
    INSERT INTO search_words (search_words, rowid, head, body) VALUES ('delete', old.id, old.head, old.body);
    INSERT INTO search_words (rowid, head, body) VALUES (new.id, new.head, new.body);
END""",
)
GIN = ("CREATE INDEX ix_search_entries_words ON search_entries USING gin ((head || body))",)
_ddl: Callable[[str], sa.DDL] = sa.DDL
# SQLAlchemy knows no virtual tables, and on SQLite it would make an index for PostgreSQL too. The migration has these
# statements as they were when it was written, and a test compares what both make.
for _dialect, _statements in (("sqlite", FTS5), ("postgresql", GIN)):
    for _statement in _statements:
        sa.event.listen(SearchEntry.__table__, "after_create", _ddl(_statement).execute_if(dialect=_dialect))

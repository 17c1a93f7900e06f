"""What the checks have said, remembered for the page: rendering an issue for every kind of reader takes its time.

The page is asked for far more often than the issue changes. Nothing is decided by what is remembered here: whoever
approves an issue has it checked anew.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from digest.issues.outcomes import Finding
from digest.models import Issue

MOST = 64
GOOD_FOR = dt.timedelta(minutes=1)
"""How long what was said holds: whether a link is dead, say, stands in no revision."""

Findings = tuple[Finding, ...]


class Checked:
    """The findings about issues as they stand. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, tuple[dt.datetime, Findings]] = OrderedDict()

    def known(self, issue: Issue, now: dt.datetime) -> Findings | None:
        """What is known about an issue as it stands; none where that has to be found out."""
        with self._lock:
            at, findings = self._known.get(standing(issue), (None, ()))
        return findings if at is not None and dt.timedelta(0) <= now - at < GOOD_FOR else None

    def of(self, issue: Issue, now: dt.datetime, check: Callable[[], Findings]) -> Findings:
        """What is known about an issue as it stands, or what `check` finds out."""
        known = self.known(issue, now)
        if known is not None:
            return known
        findings = check()
        with self._lock:
            self._known[standing(issue)] = (now, findings)
            self._known.move_to_end(standing(issue))
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return findings


def standing(issue: Issue) -> Hashable:
    """All of an issue that the checks look at, as one value: its own revision, and how its posts stand. Pure."""
    posts = tuple(
        (item.id, item.included, item.post.fingerprint, item.post.edited_at, item.post.withdrawn_at)
        for item in issue.items
    )
    return (issue.id, issue.revision, issue.state, posts)

"""What the checks have said, remembered for the page: rendering an issue for every kind of reader takes its time.

The page is asked for far more often than the issue changes. Nothing is decided by what is remembered here: whoever
approves an issue has it checked anew.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace

from digest.issues.checks import Examined
from digest.models import Issue

MOST = 64
GOOD_FOR = dt.timedelta(seconds=15)
"""How long what was said holds: whether a link is dead, say, stands in no revision."""


class Remembered:
    """What the checks said of issues as they stand, without the mails themselves. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Hashable, ...], tuple[dt.datetime, Examined]] = OrderedDict()

    def known(self, issue: Issue, now: dt.datetime) -> Examined | None:
        """What is known about an issue as it stands; none where that has to be found out."""
        with self._lock:
            at, examined = self._known.get(standing(issue), (now, None))
        return examined if dt.timedelta(0) <= now - at < GOOD_FOR else None

    def forget(self, issue_id: int) -> None:
        """Somebody has done something about an issue that is in none of its texts: a reason, or links asked for."""
        with self._lock:
            for key in [key for key in self._known if key[0] == issue_id]:
                del self._known[key]

    def of(self, issue: Issue, now: dt.datetime, check: Callable[[], Examined]) -> Examined:
        """What is known about an issue as it stands, or what `check` finds out."""
        known = self.known(issue, now)
        if known is not None:
            return known
        examined = replace(check(), renderings={})
        with self._lock:
            self._known[standing(issue)] = (now, examined)
            self._known.move_to_end(standing(issue))
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return examined


def standing(issue: Issue) -> tuple[Hashable, ...]:
    """All of an issue that the checks look at, as one value: its own revision, and how its posts stand. Pure."""
    posts = tuple(
        (item.id, item.included, item.post.fingerprint, item.post.edited_at, item.post.withdrawn_at)
        for item in issue.items
    )
    return (issue.id, issue.revision, issue.state, posts)

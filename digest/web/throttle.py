"""How often somebody may try to log in: delays that double, and no way for an outsider to lock anybody out (W-06).

Three counts guard the door. One is of an account from one network prefix; it doubles the wait after every failure. One
is of a prefix over all accounts, one of an account over all prefixes: both allow many failures first. A browser that
has logged in to the account before carries a signed *device mark* and is only ever counted by itself (OWASP's device
cookies), so a crowd that hammers on an account from everywhere does not keep its owner out. Kept in memory, per
process; nothing of it is written down. The prefix comes from the connection, never from a header.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

FREE_FAILURES = {"account+prefix": 3, "prefix": 20, "account": 50, "device": 5}
LONGEST_WAIT = dt.timedelta(minutes=15)
FORGET_AFTER = dt.timedelta(hours=12)
MOST_KEYS = 50_000


@dataclass(frozen=True)
class Count:
    """Failures in a row under one key, and when the last one was."""

    failures: int
    last: dt.datetime


def wait_after(failures: int, free: int) -> dt.timedelta:
    """How long to wait after so many failures: nothing for the free ones, then 1 s, 2 s, 4 s … 15 minutes. Pure."""
    if failures < free:
        return dt.timedelta(0)
    return min(LONGEST_WAIT, dt.timedelta(seconds=2 ** min(failures - free, 20)))


@dataclass(frozen=True)
class Attempt:
    """Who tries to get in: the name as typed, from where, and the device mark that was read, if it is a true one."""

    account: str
    prefix: str
    device: str | None = None

    def counted_under(self) -> tuple[tuple[str, str], ...]:
        """What this attempt is counted under: (kind, key)."""
        account = hashlib.sha256(self.account.encode()).hexdigest()
        if self.device:
            return (("device", f"{account} {self.device}"),)
        return (("account+prefix", f"{account} {self.prefix}"), ("prefix", self.prefix), ("account", account))


class Throttle:
    """The counts of one process. The time is an argument; safe to use from several threads."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], Count] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, attempt: Attempt, now: dt.datetime) -> dt.timedelta:
        """How long this attempt has still to wait; zero if it may be made now.

        An attempt that may be made is counted as a failure at once, until `succeeded` says otherwise: a hundred tries
        at the same moment are a hundred tries.
        """
        with self._lock:
            left = max(self._left(key, now) for key in attempt.counted_under())
            if not left:
                self._count(attempt, now)
            return left

    def succeeded(self, attempt: Attempt) -> None:
        """Forget what was counted for this account from here; what others failed at stays."""
        first, *rest = attempt.counted_under()
        with self._lock:
            self._counts.pop(first, None)
            for key in rest:
                if count := self._counts.get(key):
                    self._counts[key] = replace(count, failures=count.failures - 1)

    def _count(self, attempt: Attempt, now: dt.datetime) -> None:
        for key in attempt.counted_under():
            count = self._fresh(key, now)
            self._counts[key] = Count(count.failures + 1 if count else 1, now)
            self._counts.move_to_end(key)
        while len(self._counts) > MOST_KEYS:
            self._counts.popitem(last=False)

    def _left(self, key: tuple[str, str], now: dt.datetime) -> dt.timedelta:
        count = self._fresh(key, now)
        if count is None:
            return dt.timedelta(0)
        return max(dt.timedelta(0), count.last + wait_after(count.failures, FREE_FAILURES[key[0]]) - now)

    def _fresh(self, key: tuple[str, str], now: dt.datetime) -> Count | None:
        count = self._counts.get(key)
        return count if count and now - count.last < FORGET_AFTER else None


def make_device_mark(key: bytes, account: str) -> str:
    """A mark for a browser that has logged in to the account: `nonce.signature`; it opens nothing by itself."""
    nonce = secrets.token_urlsafe(16)
    return f"{nonce}.{_sign(key, account, nonce)}"


def read_device_mark(key: bytes, account: str, mark: str) -> str | None:
    """The nonce of a mark that was made for this account; none if it was not."""
    nonce, _, signature = mark.partition(".")
    if hmac.compare_digest(_sign(key, account, nonce).encode(), signature.encode()):
        return nonce
    return None


def _sign(key: bytes, account: str, nonce: str) -> str:
    return hmac.new(key, f"desk device\0{account}\0{nonce}".encode(), hashlib.sha256).hexdigest()

"""The certificates that SNS signs with: fetched by the guarded client, and kept for a while (N-32)."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from digest.gather.answers import Failed, Fetched
from digest.gather.fetch import Fetcher
from digest.settings import Fetch

KEPT = dt.timedelta(hours=24)
MOST = 16
"""Certificates kept at a time; SNS has one a region, and changes it about once a year."""
_SMALL = 64 * 1024
_SECONDS = 5.0

FetchFile = Callable[[str], bytes | Failed]
"""Opens an address and gives what is there."""


def guarded_fetch(settings: Fetch) -> FetchFile:
    """A `FetchFile` with the protections of gathering (W-51), quick and small."""
    small = settings.model_copy(update={"max_bytes": _SMALL, "timeout": _SECONDS})

    def fetch(url: str) -> bytes | Failed:
        with Fetcher(small) as fetcher:
            answer = fetcher.get_file(url)
        return answer.body if isinstance(answer, Fetched) else _failed(answer)

    return fetch


def _failed(answer: object) -> Failed:
    return answer if isinstance(answer, Failed) else Failed("It gave nothing.")


class Certificates:
    """Public keys by the address of their certificate; safe to use from several threads.

    The caller has checked that the address is one of SNS: what TLS shows to be from there is believed.
    """

    def __init__(self, fetch: FetchFile, clock: Callable[[], dt.datetime]) -> None:
        self._fetch, self._clock = fetch, clock
        self._kept: dict[str, tuple[rsa.RSAPublicKey, dt.datetime]] = {}
        self._lock = threading.Lock()

    def key(self, url: str) -> rsa.RSAPublicKey | None:
        """The key at an address; none where nothing could be fetched, or no certificate that is good today."""
        now = self._clock()
        with self._lock:
            key, until = self._kept.get(url, (None, now))
        if key is not None and now < until:
            return key
        body = self._fetch(url)
        found = None if isinstance(body, Failed) else _good_until(body, now)
        if found is None:
            return None
        with self._lock:
            while len(self._kept) >= MOST:
                self._kept.pop(next(iter(self._kept)))
            self._kept[url] = (found[0], min(found[1], now + KEPT))
        return found[0]


def _good_until(pem: bytes, now: dt.datetime) -> tuple[rsa.RSAPublicKey, dt.datetime] | None:
    """The RSA key of a certificate and when it ends; none for what is no such certificate, or not good now."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (key, end) if isinstance(key, rsa.RSAPublicKey) and start <= now < end else None

"""Why a relay cannot be spoken to, in words that say what to change."""

from __future__ import annotations

import socket
import ssl

from digest.mail.smtp import Interrupted, Refused
from digest.settings import Smtp


def explained(smtp: Smtp, error: Interrupted | Refused) -> str:
    """A sentence for whoever set `[smtp] url`, the raw reason at its end."""
    raw = str(error.reply) if isinstance(error, Refused) else error.why
    words = _refusal(error) if isinstance(error, Refused) else _failure(smtp, error)
    return f"{smtp.host}:{smtp.port}: {words}; see [smtp] url ({raw})"


def _refusal(error: Refused) -> str:
    if error.reply.code in (530, 534, 535, 538):
        return "it does not let us in: the user or the password is wrong, or missing"
    return "it answers, and refuses us"


def _failure(smtp: Smtp, error: Interrupted) -> str:
    causes = _causes(error)
    for kinds, words in _WORDS:
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return _silence(smtp)
    return next((words for part, words in _OFFERS if part in error.why), "it cannot be spoken to")


_WORDS = (
    ((ConnectionRefusedError,), "nothing listens on that port"),
    ((socket.gaierror, UnicodeError), "no machine is known by that name"),
    ((ssl.SSLCertVerificationError,), "its certificate is not one that this machine trusts for that name"),
    ((ssl.SSLError,), "it speaks no TLS there; smtp:// is for port 587"),
)
# The library says by its words alone what a relay does not offer.
_OFFERS = (
    ("AUTH extension", "it takes no user and password there"),
    ("STARTTLS", "it offers no STARTTLS; smtps:// is for port 465, smtp+plain:// for a server on this machine"),
)


def _silence(smtp: Smtp) -> str:
    if smtp.security == "smtps":
        return "it does not answer in time; smtp:// is for port 587"
    return "it does not answer in time; smtps:// is for port 465"


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found

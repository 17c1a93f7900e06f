"""What ends a command with exit code 1 and its own words. It is read where something ended one, and not before."""

from __future__ import annotations

from digest.cli.context import Failed
from digest.configuration import BadSettings
from digest.inbound.door import CannotTakeMail
from digest.mail.render import BadTemplate
from digest.mail.render_words import BadWords
from digest.migrations import BadDatabase
from digest.run import CannotListen
from digest.web.accounts import BadAccount
from digest.wiring import NeedsPrivateKey
from subscribers.keys import BadKeys
from subscribers.languages import BadCatalogue
from subscribers.vault import StoodStill, WrongKeys

EXPECTED = (
    Failed,
    BadSettings,
    BadKeys,
    BadDatabase,
    BadAccount,
    BadCatalogue,
    BadTemplate,
    BadWords,
    CannotListen,
    CannotTakeMail,
    NeedsPrivateKey,
    WrongKeys,
    StoodStill,
)

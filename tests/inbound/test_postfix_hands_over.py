"""Postfix itself hands mail over by LMTP, as docs/inbound.md says how."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme

from digest.inbound.door import Doorkeeper
from digest.models import Arrival
from subscribers.db import Database
from subscribers.vault import Vault
from tests.house import NOW, keys
from tests.inbound import letters
from tests.inbound.letters import BOUNCES
from tests.inbound.test_door import open_door
from tests.mail import postfix
from tests.mail.postfix import Accounts, Greylist, Postfix

MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = /dev/stdout
myhostname = mx.example.org
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
local_transport = error:there are no mailboxes here
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relay_domains = {domain}
transport_maps = inline:{{ {{ {domain} = lmtp:inet:127.0.0.1:{door} }} }}
smtpd_relay_restrictions = permit_mynetworks, reject
"""


@dataclass
class Mx(Postfix):
    """A Postfix that takes mail for the domain of bounces."""

    def _configure(self, folder: Path) -> None:
        super()._configure(folder)
        values = {"root": self._folder, "domain": BOUNCES, "door": self.sink}
        (folder / "main.cf").write_text(MAIN.format(**values))
        with (folder / "master.cf").open("a") as master:
            master.write("lmtp unix - - n - - lmtp\n")


@pytest.mark.skipif(postfix.missing() is not None, reason=str(postfix.missing()))
def test_a_bounce_comes_through_postfix(database: Database) -> None:
    keeper = Doorkeeper(database, Vault(database, keys()), lambda: NOW)
    recipients = [f"b.{'a' * 40}@{BOUNCES}", f"leave@{BOUNCES}"]
    with (
        open_door(keeper) as door,
        Accounts({}) as accounts,
        Greylist() as greylist,
        Mx(trustme.CA(), door.getsockname()[1], accounts, greylist) as mx,
    ):
        with smtplib.SMTP("127.0.0.1", mx.starttls, local_hostname="relay.example.org") as client:
            client.sendmail("", recipients, letters.EXCHANGE)
        sent = mx.wait("status=sent", 2)
        mx.rest()
    assert all("it is kept" in line for line in sent)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Arrival)) == 2

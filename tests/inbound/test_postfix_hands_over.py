"""Postfix itself hands mail over by LMTP, as docs/inbound.md says how."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme

from digest.models import Arrival
from subscribers.db import Database
from tests.inbound import letters
from tests.inbound.letters import BOUNCES
from tests.inbound.test_door import LEAVE, PATH, doorkeeper, open_door
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
smtpd_recipient_restrictions =
  check_recipient_access inline:{{ {{ {domain} = reject_unverified_recipient }} }}
unverified_recipient_reject_code = 550
address_verify_map =
"""


@dataclass
class Mx(Postfix):
    """A Postfix that takes mail for the domain of bounces."""

    def _configure(self, folder: Path) -> None:
        super()._configure(folder)
        values = {"root": self._folder, "domain": BOUNCES, "door": self.sink}
        (folder / "main.cf").write_text(MAIN.format(**values))
        with (folder / "master.cf").open("a") as master:
            master.write("lmtp unix - - n - - lmtp\nverify unix - - n - 1 verify\n")


@pytest.mark.skipif(postfix.missing() is not None, reason=str(postfix.missing()))
def test_a_bounce_comes_through_postfix(database: Database) -> None:
    recipients = [PATH, LEAVE]
    with (
        open_door(doorkeeper(database)) as door,
        Accounts({}) as accounts,
        Greylist() as greylist,
        Mx(trustme.CA(), door.getsockname()[1], accounts, greylist) as mx,
    ):
        with smtplib.SMTP("127.0.0.1", mx.starttls, local_hostname="relay.example.org") as client:
            refused = client.sendmail("", [*recipients, f"nobody@{BOUNCES}"], letters.EXCHANGE)
        # Postfix has asked our door, so that it need not tell anybody afterwards whose mail it could not hand over.
        assert {address: code for address, (code, _) in refused.items()} == {f"nobody@{BOUNCES}": 550}
        sent = mx.wait("status=sent", 2)
        mx.rest()
    assert all("it is kept" in line for line in sent)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Arrival)) == 2

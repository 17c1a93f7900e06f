"""Mail as real systems make it, in our own words: bounces, complaints, answers of programs, commands of people."""

from __future__ import annotations

BOUNCES = "bounces.example.org"
FEEDBACK = ("arf.mail.provider.example",)
"""Who may complain for readers."""


def mail(head: str, body: str) -> bytes:
    """A mail of these fields and this text, with lines as they go over the wire."""
    return f"{head.strip()}\n\n{body.strip(chr(10))}\n".replace("\n", "\r\n").encode()


def returned(list_unsubscribe: str = "<https://digest.example.org/u/x>", path: str = "<>") -> str:
    """The fields of one of our issues, as reports give them back."""
    return f"""\
Return-Path: {path}
Received: from relay.example.org (relay.example.org [192.0.2.1]) by mx.reader.example; Thu, 19 Nov 2026 10:00:01 +0100
From: Watchdog <digest@example.org>
To: reader@reader.example
Subject: The week
Message-ID: <0123456789abcdef@example.org>
List-Unsubscribe: {list_unsubscribe}
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Auto-Submitted: auto-generated
"""


def dsn(
    status: str,
    diagnostic: str,
    *,
    action: str = "failed",
    text: str = "This is the mail system. Your message could not be delivered.",
    daemon: str = "MAILER-DAEMON@mx.reader.example (Mail Delivery System)",
    more: str = "",
    copy: str | None = None,
) -> bytes:
    """A delivery status notification (RFC 3464), as Postfix shapes it."""
    diagnosed = f"Diagnostic-Code: {diagnostic}\n" if diagnostic else ""
    head = f"""\
Return-Path: <>
Received: by mx.reader.example (Postfix) id 4XyZ; Thu, 19 Nov 2026 10:00:03 +0100 (CET)
Date: Thu, 19 Nov 2026 10:00:03 +0100 (CET)
From: {daemon}
Subject: Undelivered Mail Returned to Sender
To: whoever@{BOUNCES}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="4XyZ.1763542803/mx.reader.example"
"""
    body = f"""\
This is a MIME-encapsulated message.

--4XyZ.1763542803/mx.reader.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

{text}

--4XyZ.1763542803/mx.reader.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.reader.example
X-Postfix-Queue-ID: 4XyZ
Arrival-Date: Thu, 19 Nov 2026 10:00:01 +0100 (CET)

Final-Recipient: rfc822; reader@reader.example
Original-Recipient: rfc822;reader@reader.example
Action: {action}
Status: {status}
{diagnosed}{more}
--4XyZ.1763542803/mx.reader.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

{returned() if copy is None else copy}
--4XyZ.1763542803/mx.reader.example--
"""
    return mail(head, body)


EXCHANGE = mail(
    """\
From: postmaster@tenant.onmicrosoft.example
To: <whoever@bounces.example.org>
Date: Thu, 19 Nov 2026 09:00:05 +0000
Content-Type: multipart/report; report-type=delivery-status;
	boundary="8f0c-1a"
X-MS-Exchange-Message-Is-Ndr:
Content-Language: en-US
Subject: Undeliverable: The week
Auto-Submitted: auto-replied
MIME-Version: 1.0
""",
    """\
--8f0c-1a
Content-Type: multipart/alternative; differences=Content-Type;
	boundary="8f0c-2b"

--8f0c-2b
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

Your message to reader@tenant.example couldn't be delivered. reader wasn't f=
ound at tenant.example.

--8f0c-2b
Content-Type: text/html; charset="us-ascii"

<html><script>alert(1)</script></html>

--8f0c-2b--

--8f0c-1a
Content-Type: message/delivery-status

Reporting-MTA: dns;AM9PR01.eurprd01.prod.exchangelabs.example
Received-From-MTA: dns;relay.example.org
Arrival-Date: Thu, 19 Nov 2026 09:00:04 +0000

Final-Recipient: rfc822;reader@tenant.example
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup

--8f0c-1a
Content-Type: message/rfc822

From: Watchdog <digest@example.org>
Subject: The week

text
--8f0c-1a--
""",
)

EXIM = mail(
    """\
Return-path: <>
Received: from exim by mail.reader.example with local (Exim 4.98) id 1tDxyz-0001; Thu, 19 Nov 2026 10:00:02 +0100
X-Failed-Recipients: reader@reader.example
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mail.reader.example>
To: whoever@bounces.example.org
Subject: Mail delivery failed: returning message to sender
""",
    """\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  reader@reader.example
    host mx.elsewhere.example [192.0.2.7]
    SMTP error from remote mail server after RCPT TO:<reader@reader.example>:
    550 5.1.1 The account does not exist

------ This is a copy of the message, including all the headers. ------

From: Watchdog <digest@example.org>
Subject: The week, and error 552 5.2.2 that is only told of
""",
)

QMAIL = mail(
    """\
Return-Path: <>
Received: (qmail 2417 invoked for bounce); 19 Nov 2026 09:00:02 -0000
Date: 19 Nov 2026 09:00:02 -0000
From: MAILER-DAEMON@old.reader.example
To: whoever@bounces.example.org
Subject: failure notice
""",
    """\
Hi. This is the qmail-send program at old.reader.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<reader@old.reader.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <b.x@bounces.example.org>
From: Watchdog <digest@example.org>
""",
)

SENDMAIL_FULL = dsn(
    "5.2.2",
    "SMTP; 552 5.2.2 <reader@reader.example>... Mailbox full",
    daemon="Mail Delivery Subsystem <MAILER-DAEMON@reader.example>",
    text="   ----- The following addresses had permanent fatal errors -----\n<reader@reader.example>",
)

GMAIL_WORDS = mail(
    """\
Return-Path: <>
From: Mail Delivery Subsystem <mailer-daemon@googlemail.example>
To: whoever@bounces.example.org
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
Content-Type: text/plain; charset="UTF-8"
""",
    """\
** Address not found **

Your message wasn't delivered to reader@mail.example because the address couldn't be found,
or is unable to receive mail.

The response was:

550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking it.
""",
)

AWAY = mail(
    """\
Return-Path: <>
From: Reader <reader@reader.example>
To: digest@example.org
Subject: Automatic reply: The week
Auto-Submitted: auto-replied
X-Auto-Response-Suppress: All
Content-Type: text/plain; charset=utf-8
""",
    "I am away until the 30th and read nothing. In a hurry, ask room 550.\n",
)


QUOTED = (
    'mx.example.org; spf=pass (a "comment) smtp.mailfrom="a \\"(b\\"; dmarc=pass"@stranger.example;'
    ' dkim=fail reason="no (key; \\\\" header.d=stranger.example; dmarc=none (p=none) header.from=stranger.example'
)
"""What a mail server wrote of a stranger's mail, with quoted strings that hold whatever the stranger liked."""


def complaint(
    who: str,
    *,
    kind: str = "abuse",
    results: str = "mx.example.org; dkim=pass header.d=arf.mail.provider.example",
    report: str = "",
    path: str = "",
    text: str = "text",
) -> bytes:
    """A complaint in the form of RFC 5965, about a mail of that text.

    `who` is the returned issue's List-Unsubscribe, `path` its envelope's.
    """
    return mail(
        f"""\
Return-Path: <feedback@arf.mail.provider.example>
Received: from out.provider.example by mx.example.org (Postfix) with ESMTPS id 7A1; Fri, 20 Nov 2026 08:00:00 +0000
Authentication-Results: {results}
From: <feedback@arf.mail.provider.example>
To: feedback@{BOUNCES}
Subject: FW: The week
MIME-Version: 1.0
Content-Type: multipart/report; report-type="feedback-report"; boundary="arf-1"
""",
        f"""\
--arf-1
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report for a message received on Thu, 19 Nov 2026.

--arf-1
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Provider-Mail-Feedback/2.0
Version: 1
{report}Reported-Domain: example.org

--arf-1
Content-Type: message/rfc822

{returned(who, f"<{path}>")}
{text}
--arf-1--
""",
    )


def note(
    subject: str,
    text: str = "",
    *,
    sender: str = "Reader <reader@reader.example>",
    results: str | None = "mx.example.org; dmarc=pass (p=none) header.from=reader.example",
    more: str = "",
) -> bytes:
    """A mail that a person wrote to us."""
    checked = f"Authentication-Results: {results}\n" if results else ""
    return mail(
        f"""\
Received: from out.reader.example by mx.example.org (Postfix) with ESMTPS id 7A2; Fri, 20 Nov 2026 08:00:00 +0000
{checked}From: {sender}
To: somebody@{BOUNCES}
Subject: {subject}
{more}Content-Type: text/plain; charset=utf-8
""",
        text,
    )

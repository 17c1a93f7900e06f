"""Eight systems' exports by their own columns: who is a reader there, who has ended, what shows that they agreed."""

import datetime as dt
from pathlib import Path

import pytest

from subscribers.transfer.header import Reading, open_reading
from subscribers.transfer.sheet import BadSheet, open_sheet
from subscribers.transfer.systems import Entry, Standing

NOW = dt.datetime(2026, 11, 18, 18, 0, tzinfo=dt.UTC)
S = Standing

MAILCHIMP = "Email Address,First Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LAST_CHANGED,LEID,EUID"
MAILCHIMP_LEFT = f"{MAILCHIMP},UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_REASON"
LISTMONK = "uuid,email,name,attributes,status,created_at,updated_at"
GHOST = (
    "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels,tiers"
)
SUBSTACK = "email,active_subscription,expiry,email_disabled,prefer_digests,created_at"
BUTTONDOWN = "id,email_address,notes,type,source,creation_date,unsubscription_date,undeliverability_date"
MAILPOET = '"Email","First name","Subscription time","Confirmation time","List status","Global status","List"'
PHPLIST = (
    "Email\tIs this subscriber confirmed\tIs this subscriber blacklisted\tDid this subscriber manually confirm\t"
    "Number of bounces\tEntered\tLast Modified\tSend this subscriber HTML emails\tList Membership"
)

CASES = [
    ("Mailchimp", MAILCHIMP, "a@example.org,Ann,2,2024-01-02 10:00:00,192.0.2.1,2024-01-02 10:05:00,,,1,x", S.READER),
    ("Mailchimp", MAILCHIMP, "a@example.org,Ann,2,,,,,2024-01-02 10:00:00,1,x", S.UNCONFIRMED),
    (
        "Mailchimp",
        MAILCHIMP_LEFT,
        "a@example.org,Ann,2,2020-01-02 10:00:00,,2020-01-02 10:00:00,,,1,x,2021-01-01 10:00:00,May,NORMAL",
        S.LEFT,
    ),
    (
        "Mailchimp",
        MAILCHIMP_LEFT,
        "a@example.org,Ann,2,2020-01-02 10:00:00,,2020-01-02 10:00:00,,,1,x,2021-01-01 10:00:00,May,SPAM",
        S.COMPLAINED,
    ),
    (
        "Mailchimp",
        f"{MAILCHIMP},CLEAN_TIME,CLEAN_CAMPAIGN_TITLE",
        "a@example.org,Ann,2,,,2020-01-02 10:00:00,,,1,x,2021-01-01 10:00:00,May",
        S.BOUNCED,
    ),
    ("Substack", SUBSTACK, "a@example.org,false,,false,false,2024-01-01T00:00:00.000Z", S.READER),
    ("Substack", SUBSTACK, "a@example.org,true,2027-01-01,true,false,2024-01-01T00:00:00.000Z", S.LEFT),
    ("Ghost", GHOST, "1,a@example.org,Ann,,true,false,,2024-01-15T10:00:00.000Z,,,", S.READER),
    ("Ghost", GHOST, "1,a@example.org,Ann,,false,false,,2024-01-15T10:00:00.000Z,,,", S.LEFT),
    ("Ghost", GHOST, "1,a@example.org,Ann,,true,false,,2024-01-15T10:00:00.000Z,2025-01-01T00:00:00.000Z,,", S.LEFT),
    ("Buttondown", BUTTONDOWN, "1,a@example.org,,regular,organic,2024-01-15T10:00:00Z,,", S.READER),
    ("Buttondown", BUTTONDOWN, "1,a@example.org,,unactivated,organic,2024-01-15T10:00:00Z,,", S.UNCONFIRMED),
    ("Buttondown", BUTTONDOWN, "1,a@example.org,,unsubscribed,,2024-01-15T10:00:00Z,2025-01-01T00:00:00Z,", S.LEFT),
    ("Buttondown", BUTTONDOWN, "1,a@example.org,,undeliverable,,2024-01-15T10:00:00Z,,2025-01-01T00:00:00Z", S.BOUNCED),
    ("Buttondown", BUTTONDOWN, "1,a@example.org,,complained,,2024-01-15T10:00:00Z,,", S.COMPLAINED),
    ("Buttondown", BUTTONDOWN, "1,a@example.org,,blocked,,2024-01-15T10:00:00Z,,", S.OTHER),
    ("Buttondown", BUTTONDOWN, "1,a@example.org,,what-comes-next,,2024-01-15T10:00:00Z,,", None),
    ("listmonk", LISTMONK, "u,a@example.org,Ann,{},enabled,2024-01-15 10:00:00.1 +0000 UTC,", S.READER),
    ("listmonk", LISTMONK, "u,a@example.org,Ann,{},blocklisted,2024-01-15 10:00:00.1 +0000 UTC,", S.LEFT),
    ("listmonk", LISTMONK, "u,a@example.org,Ann,{},disabled,2024-01-15 10:00:00.1 +0000 UTC,", S.OTHER),
    ("MailPoet", MAILPOET, '"a@example.org","A","2024-01-01 10:00:00","","subscribed","subscribed","Weekly"', S.READER),
    ("MailPoet", MAILPOET, '"a@example.org","A","2024-01-01 10:00:00","","unsubscribed","subscribed","Weekly"', S.LEFT),
    ("MailPoet", MAILPOET, '"a@example.org","A","2024-01-01 10:00:00","","subscribed","bounced","Weekly"', S.BOUNCED),
    (
        "MailPoet",
        MAILPOET,
        '"a@example.org","A","2024-01-01 10:00:00","","subscribed","unconfirmed","Weekly"',
        S.UNCONFIRMED,
    ),
    ("phpList", PHPLIST, "a@example.org\t1\t0\t1\t0\t2024-01-01 10:00:00\t2024-01-01 10:00:00\t1\tWeekly", S.READER),
    (
        "phpList",
        PHPLIST,
        "a@example.org\t0\t0\t0\t0\t2024-01-01 10:00:00\t2024-01-01 10:00:00\t1\tWeekly",
        S.UNCONFIRMED,
    ),
    ("phpList", PHPLIST, "a@example.org\t1\t1\t1\t9\t2024-01-01 10:00:00\t2024-01-01 10:00:00\t1\tWeekly", S.LEFT),
]


def read(path: Path, text: str, **columns: str) -> tuple[Reading, list[Entry]]:
    path.write_text(text, encoding="utf-8")
    with open_sheet(path) as sheet:
        reading = open_reading(sheet, columns, {}, NOW)
        return reading, [reading.interpret(row[1]) for row in reading.rows() if isinstance(row, tuple)]


@pytest.mark.parametrize(("system", "header", "row", "standing"), CASES)
def test_each_system_is_known_by_its_header_and_its_words_are_understood(
    tmp_path: Path, system: str, header: str, row: str, standing: Standing | None
):
    reading, (entry,) = read(tmp_path / "list.csv", f"{header}\n{row}\n")
    assert (reading.system.name, entry.address, entry.standing) == (system, "a@example.org", standing)


def proof(path: Path, header: str, row: str) -> bool:
    return read(path, f"{header}\n{row}\n")[1][0].is_proven


def test_what_shows_consent_differs_by_system(tmp_path: Path):
    path = tmp_path / "list.csv"
    assert proof(path, MAILCHIMP, "a@example.org,Ann,2,,,2024-01-02 10:05:00,,,1,x")
    assert proof(path, SUBSTACK, "a@example.org,false,,false,false,2024-01-01T00:00:00.000Z")
    # A listmonk export does not say whether its people confirmed, and a date that cannot be read shows nothing.
    assert not proof(path, LISTMONK, "u,a@example.org,Ann,{},enabled,2024-01-15 10:00:00.1 +0000 UTC,")
    assert not proof(path, SUBSTACK, "a@example.org,false,,false,false,last spring")
    # In phpList an administrator can confirm somebody, which is not the same.
    assert proof(path, PHPLIST, "a@example.org\t1\t0\t1\t0\t2024-01-01 10:00:00\t\t1\tWeekly")
    assert not proof(path, PHPLIST, "a@example.org\t1\t0\t0\t0\t2024-01-01 10:00:00\t\t1\tWeekly")


def test_instants_and_the_source_are_kept_but_nothing_that_names_anybody(tmp_path: Path):
    header = "id,email_address,type,creation_date,unsubscription_date,source"
    rows = ["organic", "192.0.2.77", "2001:db8::17:1", "friend@example.org", "x" * 200]
    text = "".join(f"1,a{n}@example.org,regular,2024-01-15T10:00:00+02:00,,{one}\n" for n, one in enumerate(rows))
    _, entries = read(tmp_path / "list.csv", f"{header}\n{text}")
    assert [entry.source for entry in entries] == ["organic", "", "", "", ""]
    assert entries[0].asked_at == dt.datetime(2024, 1, 15, 8, 0, tzinfo=dt.UTC)


def test_mailmans_lists_are_lines_with_or_without_names(tmp_path: Path):
    text = "# members of watch\nann@example.org\nBart Person <bart@example.org>\n\n'Cy, the third' <cy@example.org>\n"
    reading, entries = read(tmp_path / "members.txt", text)
    assert reading.system.name == "Mailman"
    assert [entry.address for entry in entries] == ["ann@example.org", "bart@example.org", "cy@example.org"]
    assert not any(entry.is_proven for entry in entries)


def test_any_other_file_is_read_by_the_columns_that_are_named(tmp_path: Path):
    text = "Mail;State;When, exactly\na@example.org;active;2024-01-01\nb@example.org;Opted out;2024-01-01\n"
    columns = {"email": "Mail", "status": "State", "confirmed_at": "When, exactly"}
    _, entries = read(tmp_path / "list.csv", text, **columns)
    assert [(entry.address, entry.standing) for entry in entries] == [
        ("a@example.org", Standing.READER),
        ("b@example.org", Standing.LEFT),
    ]
    assert entries[0].is_proven


@pytest.mark.parametrize(
    ("text", "columns", "why"),
    [
        ("Mail,Name\na@example.org,Ann\n", {}, r"Mail, Name\. Say which is which"),
        ("Mail,Name\na@example.org,Ann\n", {"email": "E-mail"}, "no column E-mail"),
        ("Mail,Mail\na@example.org,Ann\n", {"email": "Mail"}, "several columns Mail"),
        ("Mail,Name\na@example.org,Ann\n", {"status": "Name"}, "needs email"),
    ],
)
def test_a_file_that_nobody_knows_is_refused_with_what_to_do(
    tmp_path: Path, text: str, columns: dict[str, str], why: str
):
    with pytest.raises(BadSheet, match=why):
        read(tmp_path / "list.csv", text, **columns)


def test_formulas_that_a_system_defused_are_addresses_again_and_others_are_left_alone(tmp_path: Path):
    _, (entry,) = read(tmp_path / "g.csv", f"{GHOST}\n1,'+a@example.org,Ann,,true,false,,2024-01-15T10:00:00.000Z,,,\n")
    assert entry.address == "+a@example.org"
    _, (entry,) = read(tmp_path / "l.csv", f"{LISTMONK}\nu,'+a@example.org,Ann,{{}},enabled,,\n")
    assert entry.address == "'+a@example.org"

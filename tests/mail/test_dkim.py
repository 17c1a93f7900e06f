"""DKIM: dkimpy, which shares nothing with us, verifies every shape of mail, and no copy that was tampered with."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digest.mail import selftest
from digest.mail.compose import Mailing, NotSendable, issue_mailing, letter_mailing
from digest.mail.dkim import OVERSIGNED, Signer
from digest.mail.dkim_keys import make_key, record
from digest.mail.headers import MUST_BE_SIGNED
from digest.mail.kinds import KINDS, Kind
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Rendered, Renderer, of_kind
from digest.mail.smtp import Envelope, Limits, open_session
from digest.settings import Mailbox, Newsletter, Smtp, Source
from subscribers.lifecycle import Format
from subscribers.tokens import Links
from tests.mail.render_samples import ENGLISH, PERSIAN, RUSSIAN, TEMPLATES
from tests.smtp_server import ScriptedServer

LINKS = Links("https://digest.example.org", b"k" * 32)
LONG_LINKS = Links("https://" + "long-host-name." * 9 + "example.org/.a/From/path", b"k" * 32)
BOTH_SLOTS = f"\n{UNSUBSCRIBE_SLOT}\n{MANAGE_SLOT}\n"


@cache
def key() -> RSAPrivateKey:
    """One key a run: making one is slow."""
    return make_key()


def signer() -> Signer:
    return Signer("example.org", "w2026", key())


def newsletter(language: str = "en", name: str = "Watchdog") -> Newsletter:
    return Newsletter(
        slug="watchdog",
        title="Watchdog",
        language=language,
        sender=Mailbox(name=name, address="digest@example.org"),
        sources=(Source(feed="https://www.example.org/"),),
    )


def issue(rendered: Rendered, language: str = "en", links: Links = LINKS, by: Signer | None = None) -> Mailing:
    return issue_mailing(
        newsletter(language),
        rendered,
        links,
        week="2026-W47",
        made_at=selftest.MADE_AT,
        by_hand=True,
        signer=by or signer(),
    )


def plain(
    text: str = "A line.", html: str = "<p>A line.</p>", subject: str = "Subject", links: Links = LINKS
) -> Mailing:
    marked = f'{html}<a href="{UNSUBSCRIBE_SLOT}">leave</a> <a href="{MANAGE_SLOT}">manage</a>'
    return issue(Rendered(subject, text + BOTH_SLOTS, marked), links=links)


def copy(mailing: Mailing, address: str = "reader@example.org", number: int = 1) -> list[bytes]:
    return mailing.copy(address, bytes([number]) * 16, bytes([number]) * 16)


def raw(mailing: Mailing, address: str = "reader@example.org") -> bytes:
    return b"".join(copy(mailing, address))


def is_valid(message: bytes) -> bool:
    name, strings = record(signer())

    def dns(asked: bytes, timeout: int = 5) -> bytes | None:
        return "".join(strings).encode() if asked == f"{name}.".encode() else None

    verdict: bool = dkim.DKIM(message).verify(dnsfunc=dns)
    return verdict


def fails(message: bytes) -> bool:
    """Whether a receiver would not take the signature: it is wrong, or the body is not what was hashed."""
    try:
        return not is_valid(message)
    except dkim.ValidationError:
        return True


def letter(language: str = "en", text: str = "Confirm here.", address: str = "reader@example.org") -> bytes:
    rendered = Rendered("Please confirm", text, f"<p>{text}</p>")
    return raw(
        letter_mailing(newsletter(language), rendered, LINKS, made_at=selftest.MADE_AT, signer=signer()), address
    )


@pytest.mark.parametrize("links", [LINKS, LONG_LINKS])
@pytest.mark.parametrize("view", [ENGLISH, RUSSIAN, PERSIAN], ids=lambda view: view.language)
def test_a_rendered_issue_is_signed_in_every_script(view, links: Links) -> None:
    message = raw(issue(Renderer([TEMPLATES]).issue(view), view.language, links))
    encoding = b"quoted-printable" if view.language == "en" else b"base64"
    assert b"Content-Transfer-Encoding: " + encoding in message
    assert is_valid(message)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("view", [ENGLISH, RUSSIAN, PERSIAN], ids=lambda view: view.language)
def test_every_kind_of_reader_s_copy_is_signed(view, kind: Kind) -> None:
    rendered = of_kind(rendered_for_all(view), kind)
    message = raw(issue(rendered, view.language))
    assert is_valid(message)
    assert (b"multipart/alternative" in message) is (kind.format is not Format.TEXT)
    assert fails(message.replace(b"Content-Language", b"Content-Lang", 1) if not rendered.html else message + b"x\r\n")
    assert fails(message.replace(b"\r\nSubject:", b"\r\nSubject: Another\r\nSubject:", 1))


@cache
def rendered_for_all(view):
    assert view.lead
    body = "<h2>A subhead</h2><p>A story, <b>whole</b>.</p>"
    return Renderer([TEMPLATES]).renderings(replace(view, lead=replace(view.lead, body=body)))


def test_text_alone_has_its_encoding_signed_like_the_rest() -> None:
    """A part's own fields are in the signed body; those of a message without parts are in its head."""
    message = raw(issue(Rendered("Subject", "A line." + BOTH_SLOTS, "")))
    (signed,) = re.findall(rb" h=([^;]*);", message)
    assert {b"content-type", b"content-transfer-encoding", b"content-language"} <= set(re.split(rb"[:\s]+", signed))
    assert fails(message.replace(b"Transfer-Encoding: quoted-printable", b"Transfer-Encoding: 7bit"))


@pytest.mark.parametrize(
    "address", ["reader@example.org", "läsare@exempel.example", "пример@example.org", '"a  b \t c"@example.org']
)
def test_a_copy_for_any_address_is_signed(address: str) -> None:
    assert f"\r\nTo: {address}\r\n".encode() in raw(plain(), address)
    assert is_valid(raw(plain(), address))
    assert is_valid(letter(address=address))


def test_a_letter_is_signed_in_every_script() -> None:
    for language, text in (("en", "Confirm here."), ("fa", "اینجا تأیید کنید " * 9), ("ru", "Подтвердите здесь " * 9)):
        assert is_valid(letter(language, text))


blanks = st.text(alphabet="ab .=\t\r\n\u00e9\u0635\u2028From ", max_size=300)


@settings(max_examples=150)
@given(subject=blanks, text=blanks, html=blanks, name=st.sampled_from(["Watchdog", "Watch,  dog", "Сторож", ""]))
@example(subject="a  b", text="a  b \t\n\n \n", html="x \n\n\n", name="Watch dog")
def test_whatever_is_said_is_signed(subject: str, text: str, html: str, name: str) -> None:
    rendered = Rendered(subject, text + BOTH_SLOTS + text, f"{html}{UNSUBSCRIBE_SLOT} {html}{MANAGE_SLOT}   {html}")
    mailing = issue_mailing(
        newsletter(name=name), rendered, LINKS, week="test", made_at=selftest.MADE_AT, by_hand=False, signer=signer()
    )
    assert is_valid(raw(mailing))


def tags(message: bytes) -> dict[str, str]:
    field = re.match(rb"DKIM-Signature: ((?:[^\r]|\r\n )*)", message)
    assert field
    pairs = ("".join(tag.split()).partition("=") for tag in field[1].decode("ascii").split(";"))
    return {name: value for name, _, value in pairs}


def test_the_signature_says_what_it_should_and_covers_what_it_must() -> None:
    said = tags(raw(plain()))
    assert list(said) == ["v", "a", "c", "d", "s", "h", "bh", "b"]
    assert (said["a"], said["c"], said["d"], said["s"]) == ("rsa-sha256", "relaxed/relaxed", "example.org", "w2026")
    covered = said["h"].lower().split(":")
    assert not {name.lower() for name in MUST_BE_SIGNED} - set(covered)
    head = raw(plain()).partition(b"\r\n\r\n")[0].decode()
    present = [name.lower() for name in re.findall(r"(?m)^([!-9;-~]+):", head) if name != "DKIM-Signature"]
    once_more = [name.lower() for name in OVERSIGNED]
    assert sorted(covered) == sorted([*present, *once_more])


def test_the_signature_field_fits_its_lines_and_begins_the_message() -> None:
    for message in (raw(plain()), letter()):
        field = message.partition(b"\r\nFrom:")[0]
        assert field.startswith(b"DKIM-Signature: ")
        assert max(map(len, field.split(b"\r\n"))) <= 78


def test_a_copy_made_again_is_the_same_to_the_byte() -> None:
    one = plain("Text. " * 2000)
    assert copy(one) == copy(one) == copy(plain("Text. " * 2000))
    assert copy(one, number=2)[0] != copy(one)[0]


def test_copies_may_be_signed_in_several_threads_at_once() -> None:
    mailing = plain("Text. " * 2000)
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda number: copy(mailing, number=number), range(100)))
    assert together == [copy(mailing, number=number) for number in range(100)]


def test_nothing_shared_is_copied_for_a_reader() -> None:
    mailing = plain()
    shared = [
        part is piece
        for part, piece in zip(mailing.segments, copy(mailing)[1:], strict=True)
        if isinstance(part, bytes)
    ]
    assert shared
    assert all(shared)


def test_the_announced_size_has_the_signature_in_it() -> None:
    mailing = plain()
    unsigned = issue_mailing(
        newsletter(),
        Rendered("Subject", BOTH_SLOTS, BOTH_SLOTS),
        LINKS,
        week="2026-W47",
        made_at=selftest.MADE_AT,
        by_hand=True,
    )
    assert unsigned.signature is None
    assert not raw(unsigned).startswith(b"DKIM")
    signed = issue(Rendered("Subject", BOTH_SLOTS, BOTH_SLOTS))
    assert signed.size - unsigned.size == len(copy(signed)[0])
    assert len(raw(mailing)) <= mailing.size <= len(raw(mailing)) + 400


def put_before(name: bytes, field: bytes) -> Callable[[bytes], bytes]:
    return lambda message: message.replace(b"\r\n" + name + b":", b"\r\n" + field + b"\r\n" + name + b":", 1)


def put_first(field: bytes) -> Callable[[bytes], bytes]:
    return lambda message: field + b"\r\n" + message


def without_field(name: bytes) -> Callable[[bytes], bytes]:
    return lambda message: re.sub(rb"\r\n" + name + rb":(?:.|\r\n[ \t])*(?=\r\n)", b"", message, count=1)


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda message: message.replace(old, new, 1)


def swapped_parts(message: bytes) -> bytes:
    boundary = re.search(rb'boundary="([^"]+)"', message)
    assert boundary
    head, one, two, end = message.split(b"--" + boundary[1])
    return (b"--" + boundary[1]).join([head, two, one, end])


TAMPERED = {
    "an octet of the text": replaced(b"A line.", b"A lime."),
    "an octet of the page": replaced(b"<p>A line.", b"<p>A lime."),
    "a reader's link": lambda message: re.sub(
        rb"(?<=\n)(https://digest\.example\.org/u/.{40}).", rb"\1!", message, count=1
    ),
    "text behind the end": lambda message: message + b"More.\r\n",
    "the parts swapped": swapped_parts,
    "a line taken out": replaced(b"A line.\r\n", b""),
    "another To": replaced(b"To: reader@", b"To: render@"),
    "another Subject": replaced(b"Subject: Subject", b"Subject: Object"),
    "another Message-ID": replaced(b"Message-ID: <", b"Message-ID: <0"),
    "another one-click address": replaced(b"List-Unsubscribe: <https://", b"List-Unsubscribe: <https://evil."),
    "another Feedback-ID": replaced(b":issue:", b":other:"),
    "a name given to the sender": replaced(b"From: Watchdog", b"From: Watchcat"),
    "a boundary that hides a part": replaced(b'boundary="=_', b'boundary="=-'),
    "no List-Unsubscribe-Post": without_field(b"List-Unsubscribe-Post"),
    "no List-Unsubscribe": without_field(b"List-Unsubscribe"),
    "no Date": without_field(b"Date"),
    "no List-Id": without_field(b"List-Id"),
    **{
        f"a second {name}, {where}": put(field)
        for name, field in {
            "Subject": b"Subject: Win",
            "From": b"From: Somebody <x@example.net>",
            "To": b"To: x@example.net",
            "Date": b"Date: Thu, 19 Nov 2026 10:00:00 +0000",
            "Message-ID": b"Message-ID: <x@example.net>",
            "MIME-Version": b"MIME-Version: 1.0",
            "Content-Type": b"Content-Type: text/html",
            "List-Unsubscribe": b"List-Unsubscribe: <https://example.net/>",
            "List-Unsubscribe-Post": b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        }.items()
        for where, put in (
            ("on top", put_first),
            ("before From", lambda field: put_before(b"From", field)),
            (
                "at the end",
                lambda field: lambda message: message.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n", 1),
            ),
        )
    },
    "a Reply-To": put_first(b"Reply-To: x@example.net"),
    "a Cc": put_first(b"Cc: x@example.net"),
    "an encoding for the whole": put_first(b"Content-Transfer-Encoding: base64"),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_a_copy_that_was_tampered_with_fails(change: Callable[[bytes], bytes]) -> None:
    good = raw(plain("A line.\nAnother."))
    assert is_valid(good)
    spoilt = change(good)
    assert spoilt != good
    assert fails(spoilt)


def test_a_letter_gets_no_unsubscribe_address_on_its_way() -> None:
    assert fails(b"List-Unsubscribe: <https://example.net/>\r\n" + letter())


def test_two_readers_signatures_are_not_exchangeable() -> None:
    one, two = copy(plain(), number=1), copy(plain(), number=2)
    assert is_valid(b"".join(one))
    assert fails(b"".join([two[0], *one[1:]]))


def reordered(message: bytes) -> bytes:
    head, blank, body = message.partition(b"\r\n\r\n")
    return b"\r\n".join(reversed(re.split(rb"\r\n(?![ \t])", head))) + blank + body


ON_THE_WAY = {
    "a trace": put_first(b"Received: from a.example by b.example; Thu, 19 Nov 2026 09:00:01 +0000"),
    "a relay's Feedback-ID": put_first(b"Feedback-ID: 1:relay"),
    "other names' order": reordered,
    "fields folded anew": replaced(b">,\r\n <mailto", b">, \r\n\t<mailto"),
    "blanks at a line's end": replaced(b"--\r\n", b"-- \t\r\n"),
    "names in capitals": replaced(b"\r\nSubject: ", b"\r\nSUBJECT:  "),
    "empty lines at the end": lambda message: message + b"\r\n\r\n",
}


@pytest.mark.parametrize("change", ON_THE_WAY.values(), ids=ON_THE_WAY)
def test_what_relays_do_with_any_mail_breaks_nothing(change: Callable[[bytes], bytes]) -> None:
    good = raw(plain())
    changed = change(good)
    assert changed != good
    assert is_valid(changed)


@pytest.mark.parametrize("recipient", ["reader@example.org", "läsare@example.org"])
def test_what_a_relay_receives_is_valid(recipient: str) -> None:
    mailing = plain(".\n..\nFrom here\n.", "<p>\n.\n</p>", links=LONG_LINKS)

    async def send(port: int) -> None:
        session = await open_session(Smtp(url=f"smtp+plain://127.0.0.1:{port}"), Limits(connect=5, dot=5))
        async with session:
            envelope = Envelope("digest@example.org", recipient, mailing.size)
            await session.begin(envelope)
            await session.accepted()
            await session.body(copy(mailing, recipient))
            await session.dot()

    with ScriptedServer() as server:
        asyncio.run(send(server.port))
    (caught,) = server.caught
    # A receiver takes the dot away that stands before a line's first (RFC 5321 §4.5.2).
    assert is_valid(re.sub(rb"(?m)^\.", b"", caught.body))


def test_a_signer_tells_nothing_of_its_key() -> None:
    assert "key" not in repr(signer())
    assert "signature" not in repr(plain())


def test_signed_mail_is_read_as_strictly_as_any() -> None:
    with pytest.raises(NotSendable, match=r"extra \{'bcc'\}"):
        issue(Rendered("S", BOTH_SLOTS, BOTH_SLOTS), by=Signer("example.org;\r\nBcc: x@example.net", "w2026", key()))

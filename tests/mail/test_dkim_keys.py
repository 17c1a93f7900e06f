"""DKIM keys: made once, read only where they are good, published whole; and what a received signature covers."""

import base64
import re
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from digest.mail.dkim import Signer
from digest.mail.dkim_check import look
from digest.mail.dkim_keys import BadDkimKey, make_key, read_key, record, signers, write_key
from digest.mail.headers import MUST_BE_SIGNED
from digest.settings import Dkim, Mailbox, Newsletter, Settings, Source
from tests.mail.test_dkim import key, letter, plain, raw, without_field


def saved(
    path: Path,
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    lock: KeySerializationEncryption | None = None,
) -> Path:
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption()))
    path.chmod(0o600)
    return path


def paper(slug: str, dkim: Dkim | None) -> Newsletter:
    return Newsletter(
        slug=slug,
        title="Watchdog",
        sender=Mailbox(name="Watchdog", address="digest@news.example.org"),
        sources=(Source(feed="https://www.example.org/"),),
        dkim=dkim,
    )


def configured(**dkim: Dkim | None) -> Settings:
    return Settings(newsletters={slug: paper(slug, one) for slug, one in dkim.items()})


def test_a_key_is_written_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "dkim.pem"
    write_key(path, key())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path).private_numbers() == key().private_numbers()
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        write_key(path, make_key())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_cannot_be_used_is_said_in_a_sentence(tmp_path: Path) -> None:
    def why(path: Path) -> str:
        with pytest.raises(BadDkimKey) as caught:
            read_key(path)
        assert "PRIVATE KEY" not in str(caught.value)
        return str(caught.value).removeprefix(f"The DKIM key {path} ")

    assert "There is no DKIM key" in why(tmp_path / "none.pem")
    open_to_all = saved(tmp_path / "open.pem", key())
    open_to_all.chmod(0o640)
    assert f"run `chmod 600 {open_to_all}`" in why(open_to_all)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    assert why(folder) == "cannot be read: Is a directory."
    noise = tmp_path / "noise.pem"
    noise.write_bytes(b"\xff\0-----BEGIN PRIVATE KEY-----\nx\n")
    noise.chmod(0o600)
    assert why(noise).startswith("is no private key in PEM")
    short = rsa.generate_private_key(65537, 1024)
    assert why(saved(tmp_path / "short.pem", short)).startswith("has 1024 bits, and 2048 is the least")
    curve = ed25519.Ed25519PrivateKey.generate()
    assert why(saved(tmp_path / "curve.pem", curve)).startswith("is not for RSA")
    locked = saved(tmp_path / "locked.pem", key(), BestAvailableEncryption(b"word"))
    assert why(locked).startswith("is locked with a password")


def test_the_record_is_published_in_strings_that_the_dns_can_hold() -> None:
    name, strings = record(Signer("example.org", "w2026", key()))
    assert name == "w2026._domainkey.example.org"
    assert [len(string) for string in strings] == [255, 155]
    value = re.fullmatch(r"v=DKIM1; k=rsa; p=([A-Za-z0-9+/]+=*)", "".join(strings))
    assert value
    assert load_der_public_key(base64.b64decode(value[1])) == key().public_key()


def test_each_newsletter_has_its_own_signer_or_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "dkim.pem", key())
    found = signers(
        configured(
            own=Dkim(selector="w1", key=path),
            parent=Dkim(selector="W1", key=path, domain="Example.org"),
            relayed=None,
        )
    )
    assert {slug: (one.selector, one.domain) for slug, one in found.items()} == {
        "own": ("w1", "news.example.org"),
        "parent": ("w1", "example.org"),
    }


def test_one_name_is_published_for_one_key(tmp_path: Path) -> None:
    one, two = (saved(tmp_path / f"{number}.pem", make_key()) for number in range(2))
    same = Dkim(selector="w1", key=one)
    assert set(signers(configured(a=same, b=same))) == {"a", "b"}
    with pytest.raises(BadDkimKey, match=r"b has another key .* for w1\._domainkey\.news\.example\.org"):
        signers(configured(a=same, b=Dkim(selector="w1", key=two)))


def test_a_signed_issue_covers_what_it_must() -> None:
    looked = look(b"Authentication-Results: mx.example; dkim=pass header.d=example.org; spf=none\r\n" + raw(plain()))
    (found,) = looked.signatures
    assert (found.domain, found.selector, found.problems) == ("example.org", "w2026", ())
    assert looked.said == ("dkim=pass",)
    assert looked.is_right


@pytest.mark.parametrize("save", [lambda m: m.replace(b"\r\n", b"\n"), lambda m: b"From x@y Thu Nov 19 10:00:00\n" + m])
def test_it_is_read_however_it_was_saved(save) -> None:
    assert look(save(raw(plain()))).is_right


def test_what_a_signature_leaves_out_is_named() -> None:
    field, start, rest = raw(plain()).partition(b"\r\nFrom:")
    looked = look(field.replace(b"list-unsubscribe-post", b"list-unsubscribe-past") + start + rest)
    assert [one.problems for one in looked.signatures] == [("it does not cover List-Unsubscribe-Post",)]
    assert not looked.is_right


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"a=rsa-sha256", b"a=rsa-sha1", "it is made by rsa-sha1, which receivers do not accept"),
        (b"a=rsa-sha256; ", b"", "it is made by nothing that it names, which receivers do not accept"),
        (b"v=1;", b"v=1; l=10;", "it covers only a part of the text (l=), so that anybody may add to it"),
        (b"d=example.org", b"d=relay.example", "it is in the name of relay.example, and the sender is of example.org"),
        (b"d=example.org", b"d=", "it is in the name of nobody, and the sender is of example.org"),
        (b"d=example.org", b"d=org", "it is in the name of org, and the sender is of example.org"),
    ],
)
def test_a_signature_that_will_not_do_is_said_to(old: bytes, new: bytes, problem: str) -> None:
    (found,) = look(raw(plain()).replace(old, new, 1)).signatures
    assert found.problems == (problem,)


def test_one_good_signature_is_enough_and_a_neighbour_s_is_good() -> None:
    message = raw(plain())
    field = message.partition(b"\r\nFrom:")[0] + b"\r\n"
    assert look(field.replace(b"d=example.org", b"d=relay.example") + message).is_right
    assert look(message.replace(b"d=example.org", b"d=mail.example.org")).is_right


def test_a_field_that_the_relay_took_out_is_missed() -> None:
    looked = look(without_field(b"List-Unsubscribe-Post")(raw(plain())))
    assert looked.absent == ("List-Unsubscribe-Post",)
    assert not looked.is_right
    assert look(letter()).absent == ("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID")


@pytest.mark.parametrize(
    "noise", [b"", b"\r\n", b"\xff\xfe\0", b"DKIM-Signature", b"DKIM-Signature:\n\n", b"no mail at all"]
)
def test_what_is_no_message_is_looked_at_quietly(noise: bytes) -> None:
    looked = look(noise)
    assert looked.absent == MUST_BE_SIGNED
    assert not looked.is_right

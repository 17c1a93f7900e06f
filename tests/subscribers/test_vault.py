"""The vault: what opens where, what does not, and the keys file."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from hypothesis import given
from hypothesis import strategies as st

from subscribers.db import Base, Database
from subscribers.forms import Address, parse_address
from subscribers.keys import BadKeys, KeysFile
from subscribers.models import DataKey, Subscriber
from subscribers.tokens import NeverToken
from subscribers.vault import (
    SEALS_PER_KEY,
    SECONDS_PER_KEY,
    SUBSCRIBER_ADDRESS,
    USER_ADDRESS,
    CannotOpen,
    Keys,
    Vault,
    key_id_of,
    make_keys,
    pad,
    read_keys,
    unpad,
    write_keys,
)

ADDRESS = "canary.reader@example.org"
ROW = bytes(range(16))


def without_private(keys: Keys) -> Keys:
    return Keys(keys.index, keys.suppression, keys.rate, keys.token, keys.public)


def data_keys(database: Database) -> int:
    with database.read() as session:
        return session.scalars(sa.select(sa.func.count()).select_from(DataKey)).one()


def test_what_one_process_seals_the_sender_opens(database: Database, keys: Keys) -> None:
    sealed = Vault(database, without_private(keys)).seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    assert Vault(database, keys).open(sealed, SUBSCRIBER_ADDRESS, ROW) == ADDRESS


def test_without_the_private_key_nothing_that_others_sealed_opens(database: Database, keys: Keys) -> None:
    sealed = Vault(database, keys).seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    with pytest.raises(CannotOpen, match="no private key"):
        Vault(database, without_private(keys)).open(sealed, SUBSCRIBER_ADDRESS, ROW)


def test_without_the_private_key_a_restart_closes_what_the_process_sealed_itself(
    database: Database, keys: Keys
) -> None:
    taker = Vault(database, without_private(keys))
    sealed = taker.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    with pytest.raises(CannotOpen):
        Vault(database, without_private(keys)).open(sealed, SUBSCRIBER_ADDRESS, ROW)


@pytest.mark.parametrize(
    ("place", "row"), [(USER_ADDRESS, ROW), (SUBSCRIBER_ADDRESS, ROW[::-1]), (SUBSCRIBER_ADDRESS, ROW + b"\0")]
)
def test_a_value_moved_to_another_column_or_row_does_not_open(sqlite_database, keys, place, row) -> None:
    vault = Vault(sqlite_database, keys)
    sealed = vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    with pytest.raises(CannotOpen, match="moved"):
        vault.open(sealed, place, row)


def test_every_changed_octet_is_noticed(sqlite_database: Database, keys: Keys) -> None:
    vault = Vault(sqlite_database, keys)
    sealed = vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(CannotOpen):
            vault.open(bytes(changed), SUBSCRIBER_ADDRESS, ROW)
    for length in range(len(sealed)):
        with pytest.raises(CannotOpen):
            vault.open(sealed[:length], SUBSCRIBER_ADDRESS, ROW)


def test_another_installation_s_keys_open_nothing(sqlite_database: Database, keys: Keys) -> None:
    sealed = Vault(sqlite_database, keys).seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    with pytest.raises(CannotOpen, match="other keys"):
        Vault(sqlite_database, make_keys()).open(sealed, SUBSCRIBER_ADDRESS, ROW)


def test_a_data_key_that_was_deleted_is_said_to_be_missing(sqlite_database: Database, keys: Keys) -> None:
    sealed = Vault(sqlite_database, keys).seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    with sqlite_database.write() as session:
        session.execute(sa.delete(DataKey))
    with pytest.raises(CannotOpen, match="not in the database"):
        Vault(sqlite_database, keys).open(sealed, SUBSCRIBER_ADDRESS, ROW)


def test_the_format_is_octet_one_key_nonce_and_ciphertext_bound_to_the_place(
    sqlite_database, keys, monkeypatch
) -> None:
    """A known answer: another program that has the data key reads a value by E-02 and E-03 alone."""
    data_key = bytes(range(32))
    monkeypatch.setattr(AESGCMSIV, "generate_key", lambda _bits: data_key)
    sealed = Vault(sqlite_database, keys).seal("a@b.example", SUBSCRIBER_ADDRESS, ROW)
    bound = b"\0\x0bsubscribers\0\x0eaddress_sealed\0\x10" + ROW + b"\0\x04\0\0\0\x01"
    plain = AESGCMSIV(data_key).decrypt(sealed[5:17], sealed[17:], bound)
    assert sealed[:5] == b"\x01\0\0\0\x01"
    assert plain == b"a@b.example\x80".ljust(64, b"\0")


def test_two_values_of_one_text_have_nothing_in_common(sqlite_database: Database, keys: Keys) -> None:
    vault = Vault(sqlite_database, keys)
    one, other = (vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW) for _ in range(2))
    assert one[5:] != other[5:]


def test_the_length_of_a_value_does_not_tell_the_length_of_the_address(sqlite_database: Database, keys: Keys) -> None:
    vault = Vault(sqlite_database, keys)
    assert len({len(vault.seal("a" * n, SUBSCRIBER_ADDRESS, ROW)) for n in range(64)}) == 1


@given(st.binary(max_size=300))
def test_what_was_padded_comes_back(text: bytes) -> None:
    padded = pad(text)
    assert len(padded) % 64 == 0
    assert unpad(padded) == text


@pytest.mark.parametrize("padded", [b"", b"\0" * 64, b"abc", b"\x80\x01"])
def test_what_was_not_padded_by_us_is_refused(padded: bytes) -> None:
    with pytest.raises(CannotOpen):
        unpad(padded)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Vault]:
    database = Database("sqlite://")
    Base.metadata.create_all(database.engine)
    yield Vault(database, make_keys())
    database.close()


@given(text=st.text(max_size=400), row=st.binary(max_size=40))
def test_every_text_comes_back(lasting: Vault, text: str, row: bytes) -> None:
    assert lasting.open(lasting.seal(text, SUBSCRIBER_ADDRESS, row), SUBSCRIBER_ADDRESS, row) == text


def test_threads_that_seal_at_once_share_one_data_key(database: Database, keys: Keys) -> None:
    vault, ready, sealed = Vault(database, without_private(keys)), threading.Barrier(8), []

    def seal(number: int) -> None:
        ready.wait()
        sealed.append((number, vault.seal(f"{number}@example.org", SUBSCRIBER_ADDRESS, ROW)))

    threads = [threading.Thread(target=seal, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sender = Vault(database, keys)
    assert data_keys(database) == 1
    assert {sender.open(value, SUBSCRIBER_ADDRESS, ROW) for _, value in sealed} == {
        f"{n}@example.org" for n in range(8)
    }


def test_processes_that_begin_at_once_have_a_data_key_each(database: Database, keys: Keys) -> None:
    vaults, ready = [Vault(database, without_private(keys)) for _ in range(6)], threading.Barrier(6)

    def prepare(vault: Vault) -> None:
        ready.wait()
        vault.prepare()

    threads = [threading.Thread(target=prepare, args=(vault,)) for vault in vaults]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = [vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW) for vault in vaults]
    assert data_keys(database) == 6
    assert [Vault(database, keys).open(value, SUBSCRIBER_ADDRESS, ROW) for value in sealed] == [ADDRESS] * 6


def test_a_prepared_vault_seals_inside_an_open_transaction(database: Database, keys: Keys) -> None:
    vault = Vault(database, keys)
    vault.prepare()
    with database.write() as session:
        session.execute(sa.delete(DataKey).where(DataKey.id == -1))
        sealed = vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    assert vault.open(sealed, SUBSCRIBER_ADDRESS, ROW) == ADDRESS


def test_after_many_values_the_next_data_key_begins(sqlite_database: Database, keys: Keys) -> None:
    vault = Vault(sqlite_database, without_private(keys))
    first = vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    for _ in range(SEALS_PER_KEY):
        vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    vault.prepare()
    assert data_keys(sqlite_database) == 2
    with pytest.raises(CannotOpen, match="no private key"):
        vault.open(first, SUBSCRIBER_ADDRESS, ROW)


def test_data_keys_that_were_made_together_are_used_one_after_the_other_while_they_stand(
    sqlite_database: Database, keys: Keys
) -> None:
    vault = Vault(sqlite_database, without_private(keys), keys_at_once=3)

    def key_of_the_next() -> int:
        for _ in range(SEALS_PER_KEY - 1):
            vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
        vault.prepare(0)
        return key_id_of(vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW))

    first = key_id_of(vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW))
    second = key_of_the_next()
    assert (data_keys(sqlite_database), second != first) == (3, True)
    # A rotation retires them all, those too that nothing was sealed with yet.
    with sqlite_database.write() as session:
        session.execute(sa.update(DataKey).values(retired_at=dt.datetime.now(dt.UTC)))
        retired = set(session.scalars(sa.select(DataKey.id)))
    assert key_of_the_next() not in retired
    assert data_keys(sqlite_database) == 6


def test_after_a_day_the_next_data_key_begins(sqlite_database: Database, keys: Keys) -> None:
    times = [0.0]
    vault = Vault(sqlite_database, without_private(keys), clock=lambda: times[-1])
    first = vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)
    times.append(SECONDS_PER_KEY - 1)
    vault.prepare()
    assert data_keys(sqlite_database) == 1
    times.append(SECONDS_PER_KEY)
    vault.prepare()
    assert data_keys(sqlite_database) == 2
    with pytest.raises(CannotOpen, match="no private key"):
        vault.open(first, SUBSCRIBER_ADDRESS, ROW)


def test_a_sealed_value_says_which_data_key_it_needs(sqlite_database: Database, keys: Keys) -> None:
    vault = Vault(sqlite_database, keys)
    for number in (1, 2):
        assert key_id_of(vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW)) == number
        for _ in range(SEALS_PER_KEY):
            vault.seal("x", SUBSCRIBER_ADDRESS, ROW)
        vault.prepare()
    assert [key_id_of(other) for other in (b"", b"\x02\0\0\0\x01", b"a@example.org")] == [0, 0, 0]


def test_an_empty_text_is_a_value_too(sqlite_database: Database, keys: Keys) -> None:
    vault = Vault(sqlite_database, keys)
    sealed = vault.seal("", SUBSCRIBER_ADDRESS, ROW)
    assert len(sealed) == len(vault.seal(ADDRESS, SUBSCRIBER_ADDRESS, ROW))
    assert vault.open(sealed, SUBSCRIBER_ADDRESS, ROW) == ""


def test_nothing_of_a_person_is_in_the_repr_of_what_holds_them(sqlite_database: Database, keys: Keys) -> None:
    """E-08: a repr ends up in logs and in the reports of failed tests."""
    vault = Vault(sqlite_database, keys)
    address = parse_address(ADDRESS)
    assert isinstance(address, Address)
    person = Subscriber(id=7, public_id=ROW, blind_index=vault.blind_index(address.identity))
    named = NeverToken(vault.blind_index(address.identity), vault.suppression_hash(address.identity))
    following = keys.rotated(dt.datetime(2026, 11, 18, tzinfo=dt.UTC))
    shown = repr((address, person, named, following.previous, KeysFile(Path("x.keys"))))
    assert "canary" not in shown
    assert not any(repr(one)[2:12] in shown for one in (ROW, named.blind_index, keys.private or b"", following.index))


def test_the_same_address_has_another_hash_for_each_use(sqlite_database: Database, keys: Keys) -> None:
    vault = Vault(sqlite_database, keys)
    hashes = {vault.blind_index(ADDRESS), vault.suppression_hash(ADDRESS), vault.rate_key(ADDRESS)}
    assert len(hashes) == 3
    assert {len(one) for one in hashes} == {32}


def test_hashes_are_the_same_in_every_process_of_an_installation(sqlite_database: Database, keys: Keys) -> None:
    one, other = Vault(sqlite_database, keys), Vault(sqlite_database, without_private(keys))
    assert one.blind_index(ADDRESS) == other.blind_index(ADDRESS)
    assert one.blind_index(ADDRESS) != Vault(sqlite_database, make_keys()).blind_index(ADDRESS)


def test_the_blind_index_is_hmac_sha256_over_label_and_identity(sqlite_database: Database, keys: Keys) -> None:
    """A known answer: printf 'subscriber-email\\0a@b.example' | openssl dgst -sha256 -mac HMAC …"""
    fixed = Keys(bytes(range(32)), keys.suppression, keys.rate, keys.token, keys.public)
    index = Vault(sqlite_database, fixed).blind_index("a@b.example")
    assert index.hex() == "f55151f36c12d477f9b96ccce41c6c246884d0efea2ebb96b48625e4e993d6a9"


def test_nothing_secret_is_in_a_repr(sqlite_database: Database, keys: Keys) -> None:
    shown = repr(keys) + repr(Vault(sqlite_database, keys)) + str(keys)
    secrets_ = (keys.index, keys.suppression, keys.rate, keys.token, keys.public, keys.private or b"")
    assert not any(repr(one)[2:12] in shown for one in secrets_)
    assert shown.startswith("Keys(with the private key)Vault(")


class TestTheKeysFile:
    def test_what_was_written_is_read(self, tmp_path: Path, keys: Keys) -> None:
        write_keys(tmp_path / "digest.keys", keys)
        assert read_keys(tmp_path / "digest.keys") == keys

    def test_it_is_for_its_owner_alone(self, tmp_path: Path, keys: Keys) -> None:
        write_keys(tmp_path / "digest.keys", keys)
        assert (tmp_path / "digest.keys").stat().st_mode & 0o777 == 0o600
        assert [one.name for one in tmp_path.iterdir()] == ["digest.keys"]

    def test_it_is_never_overwritten(self, tmp_path: Path, keys: Keys) -> None:
        write_keys(tmp_path / "digest.keys", keys)
        with pytest.raises(FileExistsError):
            write_keys(tmp_path / "digest.keys", make_keys())
        assert read_keys(tmp_path / "digest.keys") == keys
        assert [one.name for one in tmp_path.iterdir()] == ["digest.keys"]

    def test_it_says_what_it_is(self, tmp_path: Path, keys: Keys) -> None:
        write_keys(tmp_path / "digest.keys", keys)
        assert (tmp_path / "digest.keys").read_text().startswith("# The keys of this installation")

    def test_without_the_private_key_it_is_good(self, tmp_path: Path, keys: Keys) -> None:
        write_keys(tmp_path / "web.keys", without_private(keys))
        assert read_keys(tmp_path / "web.keys") == without_private(keys)

    def test_a_missing_one_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadKeys, match=r"There is no keys file .* `digest init`"):
            read_keys(tmp_path / "digest.keys")

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "digest.keys").mkdir(mode=0o700)
        with pytest.raises(BadKeys, match="cannot be read"):
            read_keys(tmp_path / "digest.keys")

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
    def test_one_that_others_can_read_is_refused(self, tmp_path: Path, keys: Keys, mode: int) -> None:
        write_keys(tmp_path / "digest.keys", keys)
        (tmp_path / "digest.keys").chmod(mode)
        with pytest.raises(BadKeys, match="chmod 600"):
            read_keys(tmp_path / "digest.keys")

    @pytest.mark.parametrize("name", ["index", "suppression", "rate", "token", "public"])
    def test_one_that_lacks_a_key_is_refused(self, tmp_path: Path, keys: Keys, name: str) -> None:
        self.change(tmp_path, keys, name, None)
        with pytest.raises(BadKeys, match=f"lacks {name}"):
            read_keys(tmp_path / "digest.keys")

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ("changeme", "octets where"),
            ("not base64!", "not a key"),
            ("", "octets where"),
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "placeholder"),
            ("YWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWI=", "placeholder"),
            ("c2hvcnQ=", "has 5 octets where 32 are right"),
        ],
    )
    def test_one_with_a_short_or_placeholder_key_is_refused(self, tmp_path, keys, value, why) -> None:
        self.change(tmp_path, keys, "token", value)
        with pytest.raises(BadKeys, match=why):
            read_keys(tmp_path / "digest.keys")

    def test_one_with_a_secret_twice_is_refused(self, tmp_path: Path, keys: Keys) -> None:
        write_keys(tmp_path / "digest.keys", Keys(keys.index, keys.index, keys.rate, keys.token, keys.public))
        with pytest.raises(BadKeys, match="twice"):
            read_keys(tmp_path / "digest.keys")

    def test_one_with_another_pair_s_private_key_is_refused(self, tmp_path: Path, keys: Keys) -> None:
        other = make_keys()
        mixed = Keys(keys.index, keys.suppression, keys.rate, keys.token, keys.public, other.private)
        write_keys(tmp_path / "digest.keys", mixed)
        with pytest.raises(BadKeys, match="does not belong"):
            read_keys(tmp_path / "digest.keys")

    def test_one_that_is_no_toml_is_refused_without_repeating_it(self, tmp_path: Path) -> None:
        (tmp_path / "digest.keys").write_text('index = "sEcReT\n')
        (tmp_path / "digest.keys").chmod(0o600)
        with pytest.raises(BadKeys, match="damaged") as caught:
            read_keys(tmp_path / "digest.keys")
        assert "sEcReT" not in str(caught.value)

    def test_one_with_an_unknown_key_is_refused(self, tmp_path: Path, keys: Keys) -> None:
        write_keys(tmp_path / "digest.keys", keys)
        with (tmp_path / "digest.keys").open("a") as file:
            file.write('privat = "x"\n')
        with pytest.raises(BadKeys, match="not ours: privat"):
            read_keys(tmp_path / "digest.keys")

    def change(self, folder: Path, keys: Keys, name: str, value: str | None) -> None:
        path = folder / "digest.keys"
        write_keys(path, keys)
        lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name} =")]
        path.write_text("\n".join([*lines, *([f'{name} = "{value}"'] if value is not None else [])]))

"""Whatever readers, strangers, mailboxes, operators and clocks do, in whatever order, the promises hold (DESIGN 6)."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from digest.inbound.notice import Sign
from digest.models import Bounce, Delivery, DeliveryState
from subscribers import choices, fresh
from subscribers.db import Base, Database
from subscribers.erasing import Mark, erase
from subscribers.forms import Address, budget_form, parse_address
from subscribers.keys import read_keys
from subscribers.letters import CONFIRM
from subscribers.lifecycle import BY_MAIL, FORM, Format, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.roll import audience
from subscribers.service import Entered, Outcome, Refused
from subscribers.suppression import ASKED, BOUNCE, COMPLAINT, LEFT_ELSEWHERE, take_back
from subscribers.transfer.plan import Fate
from subscribers.vault import Vault
from tests.house import keys
from tests.promises.model import FINAL, Asked, Person, Tie
from tests.promises.world import PAPERS, World

ADDRESSES = ("Mina@readers.example", "o.mid+x@gmail.com", "omid@gmail.com")
ENDED = {
    "unsubscribed": (LEFT_ELSEWHERE, Fate.LEFT),
    "bounced": (BOUNCE, Fate.BOUNCED),
    "complained": (COMPLAINT, Fate.COMPLAINED),
}
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
people, papers = st.sampled_from(ADDRESSES), st.sampled_from(sorted(PAPERS))
methods = st.sampled_from([FORM, BY_MAIL])


def mailbox(address: str) -> str:
    parsed = parse_address(address)
    assert isinstance(parsed, Address)
    return budget_form(parsed.identity)


class Promises(RuleBasedStateMachine):
    """Three addresses, two of which are one mailbox; two newsletters; a model of what ought to be so."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="digest-promises-")
        self.world = World(database, Path(self.folder.name))
        self.people = {one: Person(one, mailbox(one), {slug: Tie() for slug in PAPERS}) for one in ADDRESSES}
        self.asked: list[Asked] = []
        self.told: list[tuple[str, dt.datetime]] = []
        self.answers: dict[tuple[str, str], tuple[int, str]] = {}
        self.bounces: list[tuple[str, int, dt.datetime]] = []
        self.old_ids: list[bytes] = []
        """Public ids of subscriptions that were, and may be no more."""
        self.keys_before = keys()
        self.issue: int | None = None
        self.weeks = 0

    def teardown(self) -> None:
        self.world.close()
        self.folder.cleanup()

    def tie(self, address: str, newsletter: str) -> Tie:
        return self.people[address].ties[newsletter]

    def same_answer(self, door: str, newsletter: str, answer: tuple[int, str]) -> None:
        """What a door says to everybody, whoever is asked about."""
        assert self.answers.setdefault((door, newsletter), answer) == answer

    # Asking, confirming.

    @rule(address=people, newsletter=papers, method=methods, door=st.sampled_from(["form", "api"]))
    def ask(self, address: str, newsletter: str, method: str, door: str) -> None:
        world, person, tie = self.world, self.people[address], self.tie(address, newsletter)
        world.turn(HOUR)
        world.vault.prepare()
        if method == BY_MAIL:
            world.service.join(newsletter, address, world.now, BY_MAIL)
        else:
            press = world.press_form if door == "form" else world.press_api
            self.same_answer(door, newsletter, press(address, newsletter))
        letters = world.new_letters()
        assert len(letters) <= 1
        for delivery, said in letters:
            assert delivery.subscriber_id == world.number_of(address)
            assert (delivery.letter == CONFIRM) is not tie.reads
            assert person.may_be_asked(method)
            if delivery.letter != CONFIRM:
                self.told.append((person.mailbox, world.now))
                continue
            assert method == BY_MAIL or not self.is_mailbox_closed(person.mailbox)
            links = (said[name].rpartition("/")[2] for name in ("confirm_url", "never_url"))
            self.asked.append(Asked(address, newsletter, world.now, *links))
            person.ask(self.asked[-1], method)

    def is_mailbox_closed(self, name: str) -> bool:
        return any(one.mailbox == name and one.is_mailbox_suppressed for one in self.people.values())

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), hours=st.sampled_from([1, 71, 72]))
    def confirm(self, data: st.DataObject, hours: int) -> None:
        self.world.turn(hours * HOUR)
        asked = data.draw(st.sampled_from(self.asked[-4:]))
        # A scanner opens it first; that this changes nothing is what the invariants say.
        self.world.client.get(f"/confirm/{asked.confirm}")
        is_good = self.people[asked.address].confirm(asked, self.world.now)
        done = self.world.service.confirm(asked.confirm, self.world.now)
        assert done is (Outcome.DONE if is_good else Outcome.OLD_LINK)

    # Ending.

    @rule(address=people, newsletter=papers, by_mail=st.booleans())
    def leave(self, address: str, newsletter: str, by_mail: bool) -> None:
        self.world.turn(HOUR)
        public_id = self.world.public_id(address, newsletter)
        if public_id is None:
            return
        self.old_ids = [*self.old_ids[-3:], public_id]
        if by_mail:
            assert self.world.told_to_leave(public_id) == "left"
        else:
            self.same_answer("leave", "", self.world.press_leave(public_id))
        self.tie(address, newsletter).end(self.world.now, None)

    @precondition(lambda self: self.old_ids)
    @rule(data=st.data())
    def open_old_links(self, data: st.DataObject) -> None:
        """Somebody has a forwarded issue: what they see and may ask for says nothing of whoever it was sent to."""
        self.world.turn(HOUR)
        public_id = data.draw(st.sampled_from(self.old_ids))
        self.world.vault.prepare()
        self.same_answer("manage", "", self.world.press_manage(public_id))
        letters = self.world.new_letters()
        assert len(letters) <= 1
        if letters:
            assert self.people[self.world.addresses()[letters[0][0].subscriber_id or 0]].reason is None

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def never(self, data: st.DataObject) -> None:
        self.world.turn(HOUR)
        asked = data.draw(st.sampled_from(self.asked))
        assert self.world.service.never(asked.never, self.world.now) is Outcome.DONE
        self.people[asked.address].suppress(ASKED, self.world.now, speaks_for_mailbox=True)

    @rule(data=st.data(), sign=st.sampled_from([Sign.HARD, Sign.COMPLAINT]))
    def something_comes_back(self, data: st.DataObject, sign: Sign) -> None:
        """A mailbox is gone, or its owner complains: said of any copy that ever was."""
        self.world.turn(HOUR)
        with self.world.database.read() as session:
            copies = session.execute(sa.select(Delivery.public_id, Delivery.subscriber_id).order_by(Delivery.id)).all()
        if not copies:
            return
        public_id, number = data.draw(st.sampled_from([tuple(one) for one in copies[-8:]]))
        done = self.world.told_of_copy(sign, public_id)
        assert done in ("suppressed", "known") if number else done == "nobody"
        if done == "suppressed":
            address = self.world.addresses()[number]
            reason = BOUNCE if sign is Sign.HARD else COMPLAINT
            self.people[address].suppress(reason, self.world.now, speaks_for_mailbox=sign is Sign.COMPLAINT)
            if reason == BOUNCE:
                self.bounces.append((address, number, self.world.now))

    @precondition(lambda self: self.bounces)
    @rule(data=st.data())
    def a_crowd_is_taken_back(self, data: st.DataObject) -> None:
        address, number, at = data.draw(st.sampled_from(self.bounces[-3:]))
        if self.world.now - at > DAY:
            return
        with self.world.database.write() as session:
            take_back(session, number, at)
        if self.world.addresses().get(number) == address:
            self.people[address].take_back(at)

    @rule(address=people, keeps_mark=st.booleans())
    def erase(self, address: str, keeps_mark: bool) -> None:
        self.world.turn(HOUR)
        token = self.world.fresh_link(address)
        if token is None:
            return
        number = self.world.number_of(address)
        done = erase(self.world.service.rooms, token, self.world.now, keeps_mark=keeps_mark)
        assert done is (Mark.KEPT if keeps_mark else Mark.GONE)
        self.people[address].erase(keeps_mark=keeps_mark)
        with self.world.database.read() as session:
            for table in (Delivery, Bounce, Subscription):
                query = sa.select(sa.func.count()).select_from(table).where(table.subscriber_id == number)
                assert session.scalar(query) == 0

    # What operators do.

    @rule(address=people, newsletter=papers)
    def enter(self, address: str, newsletter: str) -> None:
        self.world.turn(HOUR)
        answer = self.world.service.enter(newsletter, address, "Signed the list.", self.world.now)
        assert isinstance(answer, Entered if self.people[address].enter(newsletter) else Refused)

    @rule(address=people, newsletter=papers, status=st.sampled_from(["subscribed", *ENDED]))
    def bring(self, address: str, newsletter: str, status: str) -> None:
        self.world.turn(HOUR)
        person = self.people[address]
        if status == "subscribed":
            expected = person.bring(newsletter)
        else:
            expected = person.turn_away(*ENDED[status], self.world.now)
        assert self.world.bring(address, newsletter, status) is expected

    @rule(newsletter=papers)
    def export(self, newsletter: str) -> None:
        read = sorted(one.address for one in self.people.values() if one.ties[newsletter].reads)
        assert self.world.export(newsletter) == read

    @rule()
    def freeze(self) -> None:
        self.world.turn(HOUR)
        self.weeks += 1
        self.issue = self.world.house.issue(f"2026-W{self.weeks:02}")

    @precondition(lambda self: not self.world.is_rotating)
    @rule()
    def rotate(self) -> None:
        self.keys_before = read_keys(self.world.path)
        self.world.rotate()

    @rule()
    def go_on(self) -> None:
        self.world.go_on()

    @precondition(lambda self: self.world.is_rotating)
    @rule()
    def finish(self) -> None:
        self.world.finish()

    @rule(hours=st.sampled_from([1, 12, 24, 96, 24 * 31]), purges=st.booleans())
    def wait(self, hours: int, purges: bool) -> None:
        self.world.turn(hours * HOUR)
        if purges:
            self.world.service.purge(self.world.now)
            for person in self.people.values():
                for tie in person.ties.values():
                    tie.lapse(self.world.now)

    # A reader's own page.

    @rule(address=people, newsletter=papers, wanted=st.sampled_from(Format), is_neutral=st.booleans())
    def choose(self, address: str, newsletter: str, wanted: Format, is_neutral: bool) -> None:
        tie = self.tie(address, newsletter)
        chosen = {"wanted": wanted, "is_neutral": is_neutral}
        done = self.press(address, lambda *whose: choices.set_format(*whose, newsletter, **chosen))
        assert done in (None, tie.reads)
        if done:
            tie.wish.format, tie.wish.is_neutral = wanted, is_neutral

    @rule(address=people, newsletter=papers, weeks=st.sampled_from([0, *choices.PAUSES]))
    def pause(self, address: str, newsletter: str, weeks: int) -> None:
        tie = self.tie(address, newsletter)
        done = self.press(address, lambda *whose: choices.pause(*whose, newsletter, weeks, self.world.now))
        assert done in (None, tie.reads)
        if done:
            tie.wish.until = self.world.now + dt.timedelta(weeks=weeks) if weeks else None

    @rule(address=people, newsletter=papers)
    def leave_on_their_page(self, address: str, newsletter: str) -> None:
        tie = self.tie(address, newsletter)
        done = self.press(address, lambda *whose: choices.leave(*whose, newsletter, self.world.now))
        assert done in (None, tie.reads)
        if done:
            tie.end(self.world.now, None)

    @rule(address=people, newsletter=papers)
    def join_on_their_page(self, address: str, newsletter: str) -> None:
        done = self.press(address, lambda *whose: choices.join(*whose, PAPERS[newsletter], "token", self.world.now))
        if done is not None:
            assert done is self.people[address].join(newsletter)

    def press(self, address: str, act: Callable[..., bool]) -> bool | None:
        """Press a button on the page that a fresh link opens; none where there is nobody."""
        self.world.turn(HOUR / 2)
        token = self.world.fresh_link(address)
        if token is None:
            return None
        with self.world.database.write() as session:
            person = fresh.person_of(session, token, self.world.now, locked=True)
            assert person
            return act(session, person)

    # The promises.

    @invariant()
    def the_roll_is_of_those_who_read(self) -> None:
        addresses, now = self.world.addresses(), self.world.now
        for newsletter in PAPERS:
            with self.world.database.read() as session:
                rows = session.execute(audience(newsletter, now)).all()
            found = {(addresses[row.subscriber_id], row.format, row.is_neutral) for row in rows}
            assert len(found) == len(rows)
            ties = [(one, one.ties[newsletter]) for one in self.people.values()]
            reads = [(one.address, tie.wish) for one, tie in ties if tie.reads and not tie.wish.pauses(now)]
            assert found == {(address, wish.format, wish.is_neutral) for address, wish in reads}

    @invariant()
    def before_the_dot_the_same_are_let_go(self) -> None:
        if self.issue is None:
            return
        gone, addresses = self.world.intended(self.issue), self.world.addresses()
        with self.world.database.read() as session:
            copies = session.scalars(sa.select(Delivery).where(Delivery.issue_id == self.issue)).all()
            known = set(session.scalars(sa.select(Subscription.id)))
        assert {one.state for one in copies} <= {DeliveryState.QUEUED}
        reads = {one.address for one in self.people.values() if one.ties["watchdog"].reads}
        assert gone == {
            one.id for one in copies if one.subscription_id in known and addresses.get(one.subscriber_id or 0) in reads
        }

    @invariant()
    def who_must_never_be_mailed_reads_nothing(self) -> None:
        with self.world.database.read() as session:
            rows = {row.address_hash: row for row in session.scalars(sa.select(Suppression))}
        for person in self.people.values():
            found = rows.pop(self.world.vault.suppression_hash(identity(person.address)), None)
            assert (found and found.reason) == person.reason
            assert bool(found and found.mailbox_hash) is person.is_mailbox_suppressed
            assert not (person.reason and any(tie.reads for tie in person.ties.values()))
            assert not person.is_mailbox_suppressed or person.reason in FINAL
        # Nobody's hash is kept whom nothing was said of.
        assert rows == {}

    @invariant()
    def every_address_opens_and_is_its_row_s(self) -> None:
        opened = self.world.addresses()
        assert len(set(opened.values())) == len(opened)
        assert set(opened.values()) <= set(ADDRESSES)
        present, first = (Vault(self.world.database, one) for one in (read_keys(self.world.path), self.keys_before))
        with self.world.database.read() as session:
            for person in session.scalars(sa.select(Subscriber)):
                name = identity(opened[person.id])
                assert person.suppression_hash == present.suppression_hash(name)
                by_others = [first.blind_index(name)] if self.world.is_rotating else []
                assert person.blind_index in (present.blind_index(name), *by_others)

    @invariant()
    def one_subscription_is_there_for_a_person_and_a_newsletter(self) -> None:
        opened = self.world.addresses()
        with self.world.database.read() as session:
            rows = session.scalars(sa.select(Subscription)).all()
        stand = {(opened[one.subscriber_id], one.newsletter): one for one in rows}
        assert len(stand) == len(rows)
        for person in self.people.values():
            for newsletter, tie in person.ties.items():
                found = stand.pop((person.address, newsletter), None)
                expected = {"nothing": None, "waits": State.PENDING, "reads": State.CONFIRMED, "left": State.LEFT}
                assert (found and found.state) == expected[tie.stand.value]
                assert not (found and found.state is State.LEFT and (found.paused_until or found.confirm_hash))
        assert stand == {}

    @invariant()
    def no_mailbox_gets_more_letters_than_the_budgets_allow(self) -> None:
        for name in {one.mailbox for one in self.people.values()}:
            asked = [one.at for one in self.asked if self.people[one.address].mailbox == name]
            told = [at for other, at in self.told if other == name]
            for times, most, span in ((asked, 1, DAY), (asked, 3, 30 * DAY), (told, 1, 30 * DAY)):
                assert all(later - first >= span for first, later in zip(times, times[most:], strict=False))


def identity(address: str) -> str:
    parsed = parse_address(address)
    assert isinstance(parsed, Address)
    return parsed.identity


Opener = Callable[[], Database]


def run(opener: Opener, examples: int, steps: int) -> None:
    opened = list[Database]()

    def machine() -> Promises:
        opened.append(opener())
        return Promises(opened[-1])

    bounds = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine, settings=bounds)
    finally:
        for database in opened:
            database.close()


def test_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    count = iter(range(10**6))

    def opener() -> Database:
        path = tmp_path / f"{next(count)}.db"
        shutil.copy(sqlite_template, path)
        return Database(f"sqlite:///{path}")

    run(opener, examples=25, steps=30)


def test_on_postgresql(postgres_database: Database) -> None:
    names = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)

    def opener() -> Database:
        with postgres_database.write() as session:
            session.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        return Database(postgres_database.url)

    run(opener, examples=4, steps=25)

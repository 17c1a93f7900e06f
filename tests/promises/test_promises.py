"""Whatever readers, strangers, mailboxes, operators and clocks do, in whatever order, the promises hold (DESIGN 6)."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

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
from sqlalchemy import event

from digest.inbound.notice import Sign
from digest.models import Bounce, Delivery
from subscribers import choices, fresh
from subscribers.db import Base, Database
from subscribers.erasing import Mark, erase
from subscribers.keys import read_keys
from subscribers.letters import CONFIRM
from subscribers.lifecycle import BY_MAIL, FORM, Format
from subscribers.models import Subscription
from subscribers.service import Entered, Outcome, Refused
from subscribers.suppression import ASKED, BOUNCE, COMPLAINT, LEFT_ELSEWHERE, take_back
from subscribers.transfer.plan import Fate
from subscribers.vault import Vault
from tests.house import keys
from tests.promises import promises
from tests.promises.model import Asked, Person, Tie
from tests.promises.promises import mailbox_of
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
WAYS = ("link", "mail", "page")


class Promises(RuleBasedStateMachine):
    """Three addresses, two of which are one mailbox; two newsletters; a model of what ought to be so."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="digest-promises-")
        self.world = World(database, Path(self.folder.name))
        self.people = {one: Person(one, mailbox_of(one), {slug: Tie() for slug in PAPERS}) for one in ADDRESSES}
        self.asked: list[Asked] = []
        self.told: list[tuple[str, dt.datetime]] = []
        self.answers: dict[tuple[str, str], tuple[int, str]] = {}
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

    @rule(address=people, newsletter=papers, way=st.sampled_from(WAYS))
    def leave(self, address: str, newsletter: str, way: str) -> None:
        self.world.turn(HOUR)
        public_id, tie = self.world.public_id(address, newsletter), self.tie(address, newsletter)
        if public_id is None:
            return
        self.old_ids = [*self.old_ids[-3:], public_id]
        if way == "mail":
            assert self.world.told_to_leave(public_id) == "left"
        elif way == "link":
            self.same_answer("leave", "", self.world.press_leave(public_id))
        else:
            done = self.press(address, partial(choices.leave, newsletter=newsletter, now=self.world.now))
            assert done is tie.reads
        if way != "page" or tie.reads:
            tie.end(self.world.now, None)

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
        self.say_never(data.draw(st.sampled_from(self.asked)))

    def say_never(self, asked: Asked) -> None:
        assert self.world.service.never(asked.never, self.world.now) is Outcome.DONE
        self.people[asked.address].suppress(ASKED, self.world.now, speaks_for_mailbox=True)

    @rule(data=st.data(), sign=st.sampled_from([Sign.HARD, Sign.COMPLAINT]))
    def something_comes_back(self, data: st.DataObject, sign: Sign) -> None:
        """A mailbox is gone, or its owner complains: said of any copy that ever was."""
        self.world.turn(HOUR)
        with self.world.database.read() as session:
            copies = session.scalars(sa.select(Delivery).order_by(Delivery.id)).all()
        if copies:
            copy = data.draw(st.sampled_from(copies[-8:]))
            self.carry_out(sign, copy.public_id, copy.subscriber_id)

    def carry_out(self, sign: Sign, public_id: bytes, number: int | None) -> None:
        done = self.world.told_of_copy(sign, public_id)
        assert done in ("suppressed", "known") if number else done == "nobody"
        if number and done == "suppressed":
            address = self.world.addresses()[number]
            reason = BOUNCE if sign is Sign.HARD else COMPLAINT
            self.people[address].suppress(reason, self.world.now, speaks_for_mailbox=sign is Sign.COMPLAINT)

    @rule(address=people, newsletter=papers, says=st.sampled_from(["nothing", "never", "asks", *WAYS, *ENDED]))
    def a_crowd_comes_back_and_is_taken_back(self, address: str, newsletter: str, says: str) -> None:
        """A mailbox was taken for dead by its provider's mistake, and meanwhile something was said of its owner."""
        self.enter(address, "watchdog")
        number = self.world.number_of(address)
        if number is None or not self.tie(address, "watchdog").reads:
            return
        self.freeze()
        with self.world.database.read() as session:
            theirs = Delivery.issue_id == self.issue, Delivery.subscriber_id == number
            copy = session.scalar(sa.select(Delivery.public_id).where(*theirs))
        if copy is None:
            return
        at = self.world.now
        self.carry_out(Sign.HARD, copy, number)
        if says in WAYS:
            self.leave(address, newsletter, says)
        elif says == "never" and (asked := [one for one in self.asked if one.address == address]):
            self.say_never(asked[-1])
        elif says == "asks":
            self.ask(address, newsletter, FORM, "form")
        elif says in ENDED:
            self.bring(address, newsletter, says)
        if self.world.now - at <= DAY:
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
        self.world.turn(HOUR)
        tie = self.tie(address, newsletter)
        set_format = partial(choices.set_format, newsletter=newsletter, wanted=wanted, is_neutral=is_neutral)
        done = self.press(address, set_format)
        assert done in (None, tie.reads)
        if done:
            tie.wish.format, tie.wish.is_neutral = wanted, is_neutral

    @rule(address=people, newsletter=papers, weeks=st.sampled_from([0, *choices.PAUSES]))
    def pause(self, address: str, newsletter: str, weeks: int) -> None:
        self.world.turn(HOUR)
        tie = self.tie(address, newsletter)
        done = self.press(address, partial(choices.pause, newsletter=newsletter, weeks=weeks, now=self.world.now))
        assert done in (None, tie.reads)
        if done:
            tie.wish.until = self.world.now + dt.timedelta(weeks=weeks) if weeks else None

    @rule(address=people, newsletter=papers)
    def join_on_their_page(self, address: str, newsletter: str) -> None:
        self.world.turn(HOUR)
        done = self.press(
            address, partial(choices.join, info=PAPERS[newsletter], fresh_token="token", now=self.world.now)
        )
        if done is not None:
            assert done is self.people[address].join(newsletter)

    def press(self, address: str, act: Callable[..., bool]) -> bool | None:
        """Press a button on the page that a fresh link opens; none where there is nobody."""
        token = self.world.fresh_link(address)
        if token is None:
            return None
        with self.world.database.write() as session:
            person = fresh.person_of(session, token, self.world.now, locked=True)
            assert person
            return act(session, person)

    # The promises.

    @invariant()
    def they_hold(self) -> None:
        seen, people = promises.look(self.world, self.issue), self.people
        promises.the_roll_is_of_those_who_read(seen, people)
        promises.before_the_dot_the_same_are_let_go(seen, people)
        promises.who_must_never_be_mailed_reads_nothing(seen, people, self.world.vault)
        keys_now = [read_keys(self.world.path), *([self.keys_before] if self.world.is_rotating else [])]
        indexes = [Vault(self.world.database, one) for one in keys_now]
        promises.every_address_opens_and_is_its_row_s(seen, people, indexes)
        promises.one_subscription_is_there_for_a_person_and_a_newsletter(seen, people)
        promises.no_mailbox_gets_more_letters_than_the_budgets_allow(people, self.asked, self.told)


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
        run_state_machine_as_test(cast("type[Promises]", machine), settings=bounds)
    finally:
        for database in opened:
            database.close()


def test_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    count = iter(range(10**6))

    def opener() -> Database:
        path = tmp_path / f"{next(count)}.db"
        shutil.copy(sqlite_template, path)
        database = Database(f"sqlite:///{path}")
        # Nothing here is about a power cut, and the disk would take most of the time.
        event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        return database

    run(opener, examples=50, steps=25)


def test_on_postgresql(postgres_database: Database) -> None:
    names = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)

    def opener() -> Database:
        with postgres_database.write() as session:
            session.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        return Database(postgres_database.url)

    run(opener, examples=6, steps=25)

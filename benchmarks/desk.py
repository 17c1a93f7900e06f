"""`python -m benchmarks.desk`: how long the issue page takes, with forty whole stories and fifty revisions.

Requests go to the application in this process, so what is measured is ours alone, without a network. The figures that
count are the CPU's: a machine that does other things meanwhile makes all others meaningless.
"""

from __future__ import annotations

import random
import re
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import TestClient

from benchmarks.ground import make_ground, on_disk
from benchmarks.issue import FIRST_WEEK, SENTENCES, SLUG, draft
from digest.cli.logs import set_up_logs
from digest.issues.edit import edit_issue
from digest.models import Issue, Post
from digest.pages import parts_of
from digest.web.accounts import add_user
from digest.web.app import create_app
from digest.wiring import House

WHO = "benchmark"
REVISIONS = 50
ROUNDS = 40
PARAGRAPHS = 8
HOST = "digest.example.org"


@dataclass(frozen=True)
class Took:
    """What one kind of request took, in milliseconds: of the CPU, and by the clock on the wall."""

    cpu: list[float]
    wall: list[float]

    def __str__(self) -> str:
        return "  ".join(f"{_middle(one):6.1f} {_p95(one):6.1f}" for one in (self.cpu, self.wall))


def main() -> int:
    """Measure, and print a line for each page."""
    set_up_logs(quiet=True)
    with tempfile.TemporaryDirectory(prefix="digest-bench-", dir=on_disk(None)) as folder:
        ground = make_ground(Path(folder) / "desk", f"sqlite:///{folder}/desk.db", 10)
        issue_id = _issue(ground.house)
        with TestClient(create_app(parts_of(ground.house)), base_url=f"https://{HOST}") as client:
            _log_in(ground.house, client)
            _report(ground.house, client, issue_id)
    return 0


def _issue(house: House) -> int:
    dice = random.Random(7)
    with house.database.write() as session:
        for post in session.scalars(sa.select(Post)):
            post.body = "".join(f"<p>{' '.join(dice.sample(SENTENCES, 5))}</p>" for _ in range(PARAGRAPHS))
    issue_id = draft(house, FIRST_WEEK)
    for number in range(REVISIONS):
        _change(house, issue_id, f"Word {number}")
    return issue_id


def _change(house: House, issue_id: int, text: str) -> None:
    with house.database.write() as session:
        edit_issue(session, issue_id, introduction=text, who=WHO, now=house.clock())


def _log_in(house: House, client: TestClient[Litestar]) -> None:
    password = secrets.token_urlsafe(16)
    house.vault.prepare()
    with house.database.write() as session:
        add_user(session, house.vault, WHO, password, "publisher", None, house.clock())
    form = {"name": WHO, "password": password}
    client.post("/desk/login", data=form, headers={"origin": f"https://{HOST}"}, follow_redirects=False)


def _report(house: House, client: TestClient[Litestar], issue_id: int) -> None:
    page = f"/desk/issues/{SLUG}/{FIRST_WEEK}"
    as_script = {"accept": "application/json"}

    def changed(number: int) -> None:
        _change(house, issue_id, f"Changed {number}")

    rows: list[tuple[str, str, dict[str, str], Callable[[int], None] | None]] = [
        ("the issue page", page, {}, None),
        ("what a saved change is answered with", f"{page}?done=saved", as_script, changed),
        ("the preview beside a changed issue", f"{page}/beside", {}, changed),
        ("the page of a changed issue, checked anew", page, {}, changed),
        ("is there anything new?", f"{page}/revision", {}, None),
    ]
    text = client.get(page).text
    print(f"{len(text):,} characters, {len(re.findall('<li class=.story', text))} stories; milliseconds")
    print(f"{'':45} CPU  p50    p95   wall p50 p95")
    for name, path, headers, before in rows:
        print(f"{name:45} {_took(client, path, headers, before)}", flush=True)
    with house.database.read() as session:
        print(f"at revision {session.scalar(sa.select(Issue.revision).where(Issue.id == issue_id))}")


def _took(
    client: TestClient[Litestar], path: str, headers: dict[str, str], before: Callable[[int], None] | None
) -> Took:
    took = Took([], [])
    for number in range(ROUNDS):
        if before:
            before(number)
        cpu, wall = time.process_time(), time.perf_counter()
        answer = client.get(path, headers=headers, follow_redirects=False)
        took.cpu.append((time.process_time() - cpu) * 1000)
        took.wall.append((time.perf_counter() - wall) * 1000)
        if answer.status_code != 200:
            raise SystemExit(f"{path} answered {answer.status_code}")
    return took


def _middle(numbers: list[float]) -> float:
    return statistics.median(numbers)


def _p95(numbers: list[float]) -> float:
    return statistics.quantiles(numbers, n=20)[-1]


if __name__ == "__main__":
    sys.exit(main())

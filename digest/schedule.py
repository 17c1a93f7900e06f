"""APScheduler: ticks without rules. The database decides what a tick does; a doubled or missed one is harmless."""

from __future__ import annotations

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from digest.issues import audit, watch
from digest.issues.overdue import SCHEDULER, beat
from digest.issues.plan import SLOW, URGENT, tick
from digest.mail.report_purge import purge
from digest.settings import Newsletter
from digest.wiring import House

log = structlog.get_logger()


def make_scheduler(house: House) -> BackgroundScheduler:
    """A scheduler that wakes the planner of each newsletter every minute, looks after the log, and tidies once a day.

    Start it with `start()`, end it with `shutdown()`. Several of them on one database are harmless.
    """
    scheduler = BackgroundScheduler(
        timezone="UTC",
        # A late tick is as good as one in time, and many late ones are as good as one (trap T10: the default forgets
        # whatever is later than a second).
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    for newsletter in house.settings.newsletters.values():
        # Two ticks: a source that takes minutes must not make an issue late.
        for name, kinds in (("tick", URGENT), ("gather", SLOW)):
            every_minute = CronTrigger(second=0, timezone="UTC")
            scheduler.add_job(tick_once, every_minute, args=[house, newsletter, kinds], id=f"{name} {newsletter.slug}")
        half_past = CronTrigger(second=30, timezone="UTC")
        scheduler.add_job(watch_once, half_past, args=[house, newsletter], id=f"watch {newsletter.slug}")
    # Often, since an editor who has pressed the button waits for it; mostly nothing is due.
    scheduler.add_job(ask_once, CronTrigger(second="*/10", timezone="UTC"), args=[house], id="links")
    scheduler.add_job(look_after, CronTrigger(second=30, timezone="UTC"), args=[house], id="look after")
    scheduler.add_job(tidy_once, CronTrigger(hour=3, minute=30, timezone="UTC"), args=[house], id="tidy")
    # A machine that is off at night tidies when it comes up.
    scheduler.add_job(tidy_once, args=[house], id="tidy at start")
    return scheduler


def tick_once(house: House, newsletter: Newsletter, kinds: tuple[type, ...]) -> None:
    """Do what is due for a newsletter now, and say what was done."""
    try:
        for act in tick(house.hands(), newsletter, house.clock(), kinds):
            if act.failure:
                log.error("planner", newsletter=newsletter.slug, did=act.said, exc_info=act.failure)
            elif act.said:
                log.info("planner", newsletter=newsletter.slug, did=act.said)
    except Exception:
        log.exception("a tick failed", newsletter=newsletter.slug)


def look_after(house: House) -> None:
    """Say that the scheduler is at work, and link what was written into the log (W-42)."""
    try:
        beat(house.database, SCHEDULER, house.clock())
        audit.link(house.database, house.keys.token)
    except Exception:
        log.exception("the scheduler could not say that it is at work")


def watch_once(house: House, newsletter: Newsletter) -> None:
    """Look at a newsletter's open issues once, and say what was done."""
    try:
        for said in watch.watch(house.eyes(), newsletter, house.clock()):
            log.warning("a check", newsletter=newsletter.slug, did=said)
    except Exception:
        log.exception("open issues could not be looked at", newsletter=newsletter.slug)


def ask_once(house: House) -> None:
    """Ask for the links that are due."""
    try:
        if asked := watch.ask_now(house.eyes()):
            log.info("links were asked for", links=asked)
    except Exception:
        log.exception("links could not be asked for")


def tidy_once(house: House) -> None:
    """Forget the sign-ups that were never confirmed (O-25), and of old issues everything but the counts (O-55)."""
    try:
        log.info("tidied", unconfirmed=house.service.purge(house.clock()))
    except Exception:
        log.exception("sign-ups that were never confirmed could not be removed")
    try:
        watch.forget(house.eyes(), house.clock())
    except Exception:
        log.exception("what the checks remember could not be tidied")
    try:
        _purge_copies(house)
    except Exception:
        log.exception("old copies could not be purged to counts")


def _purge_copies(house: House) -> None:
    purged = purge(house.database, house.clock())
    log.info("purged to counts", issues=list(purged.issues), copies=purged.deliveries, letters=purged.letters)
    if purged.unclosed:
        log.error("old issues whose books do not close are kept whole", issues=list(purged.unclosed))

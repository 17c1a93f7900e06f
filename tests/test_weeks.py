"""Weeks, windows and send instants: across clock changes, year ends, week 53 and skipped weeks."""

import datetime as dt
from dataclasses import replace
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.weeks import REACH, Calendar, Moment, Slot, Week, Window, parse_duration

PRAGUE = ZoneInfo("Europe/Prague")
NEW_YORK = ZoneInfo("America/New_York")
TEHRAN = ZoneInfo("Asia/Tehran")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
ZONES = ("Europe/Prague", "America/New_York", "Asia/Tehran", "Australia/Lord_Howe", "Pacific/Apia", "UTC")
HOUR = dt.timedelta(hours=1)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def calendar(zone: ZoneInfo = PRAGUE, send: str = "thu 10:00", cutoff: str = "thu 06:00", *skip: str) -> Calendar:
    return Calendar(zone, Slot.parse(send), Slot.parse(cutoff), frozenset(map(dt.date.fromisoformat, skip)))


# ---- names


def test_a_week_is_read_and_written_alike() -> None:
    assert str(Week.parse("2026-W47")) == "2026-W47"
    assert Week.parse("2026-w07") == Week(2026, 7)


@pytest.mark.parametrize(
    "text", ["2026-47", "2026-W7", "2026-W00", "2026-W54", "0000-W01", "", "2026-W47 ", "٢٠٢٦-W47"]
)
def test_what_is_not_a_week_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a week"):
        Week.parse(text)


def test_week_53_exists_in_2026_and_not_in_2025() -> None:
    assert Week.parse("2026-W53").day(3) == dt.date(2026, 12, 31)
    with pytest.raises(ValueError, match="2025 has no week 53"):
        Week.parse("2025-W53")


def test_weeks_are_counted_over_week_53_and_the_year_end() -> None:
    assert Week(2026, 52).shift(1) == Week(2026, 53)
    assert Week(2026, 53).shift(1) == Week(2027, 1)
    assert Week(2025, 52).shift(1) == Week(2026, 1)
    assert Week(2027, 1).shift(-1) == Week(2026, 53)


def test_new_years_day_can_belong_to_the_old_years_last_week() -> None:
    assert Week.of(dt.date(2027, 1, 1)) == Week(2026, 53)
    assert Week.of(dt.date(2024, 12, 30)) == Week(2025, 1)


@given(st.dates(dt.date(1990, 1, 8), dt.date(2090, 1, 1)), st.integers(-300, 300))
def test_shifting_weeks_is_reversible_and_keeps_their_order(day: dt.date, by: int) -> None:
    week = Week.of(day)
    assert week.shift(by).shift(-by) == week
    assert (week.shift(by) > week) == (by > 0)
    assert (str(week.shift(by)) > str(week)) == (by > 0)
    assert Week.parse(str(week)) == week
    assert week.day(day.weekday()) == day


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("thu 10:00", "thu 10:00"),
        ("Thursday 9:05", "thu 09:05"),
        (" SUN 23:59 ", "sun 23:59"),
        ("Tues 00:00", "tue 00:00"),
    ],
)
def test_a_slot_is_read_in_the_usual_spellings(text: str, plain: str) -> None:
    assert str(Slot.parse(text)) == plain


@pytest.mark.parametrize(
    "text", ["thunder 10:00", "thu", "thu 24:00", "thu 10:60", "10:00", "th 10:00", "thu 1000", ""]
)
def test_what_is_not_a_slot_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="thu 10:00"):
        Slot.parse(text)


def test_lengths_of_time_are_read() -> None:
    assert parse_duration("90 s") == dt.timedelta(seconds=90)
    assert parse_duration("30min") == parse_duration("30 m") == dt.timedelta(minutes=30)
    assert parse_duration("12 h") == dt.timedelta(hours=12)
    assert parse_duration("3 D") == dt.timedelta(days=3)


@pytest.mark.parametrize("text", ["", "12", "h", "-1 h", "1.5 h", "1 week", "9" * 30 + " d"])
def test_what_is_not_a_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="length of time"):
        parse_duration(text)


# ---- instants


def test_the_hour_stays_local_over_both_clock_changes() -> None:
    # In Prague the clock goes back on 2026-10-25 and forward on 2026-03-29.
    assert calendar().send_at(Week(2026, 43)) == utc("2026-10-22T08:00")
    assert calendar().send_at(Week(2026, 44)) == utc("2026-10-29T09:00")
    assert calendar().send_at(Week(2026, 13)) == utc("2026-03-26T09:00")
    assert calendar().send_at(Week(2026, 14)) == utc("2026-04-02T08:00")


@pytest.mark.parametrize(
    ("zone", "week", "hours"),
    [
        (PRAGUE, Week(2026, 14), 167),
        (PRAGUE, Week(2026, 44), 169),
        (NEW_YORK, Week(2026, 11), 167),
        (NEW_YORK, Week(2026, 45), 169),
        (TEHRAN, Week(2022, 12), 167),
        (TEHRAN, Week(2022, 38), 169),
        (TEHRAN, Week(2026, 13), 168),
        (LORD_HOWE, Week(2026, 41), 167.5),
        (LORD_HOWE, Week(2026, 15), 168.5),
    ],
)
def test_a_window_over_a_clock_change_is_as_long_as_it_really_is(zone: ZoneInfo, week: Week, hours: float) -> None:
    window = calendar(zone).window(week)
    assert window.end - window.start == dt.timedelta(hours=hours)


@pytest.mark.parametrize(
    ("zone", "slot", "week", "local"),
    [
        # The hour is jumped over: as far after the jump as the slot was after its start.
        (PRAGUE, "sun 02:30", Week(2026, 13), "2026-03-29T03:30+02:00"),
        (NEW_YORK, "sun 02:00", Week(2026, 10), "2026-03-08T03:00-04:00"),
        (LORD_HOWE, "sun 02:10", Week(2026, 40), "2026-10-04T02:40+11:00"),
        (TEHRAN, "tue 00:15", Week(2022, 12), "2022-03-22T01:15+04:30"),
        # The hour comes twice: the first one.
        (PRAGUE, "sun 02:30", Week(2026, 43), "2026-10-25T02:30+02:00"),
        (NEW_YORK, "sun 01:30", Week(2026, 44), "2026-11-01T01:30-04:00"),
        (LORD_HOWE, "sun 01:45", Week(2026, 14), "2026-04-05T01:45+11:00"),
        (TEHRAN, "wed 23:30", Week(2022, 38), "2022-09-21T23:30+04:30"),
    ],
)
def test_a_slot_that_is_missing_or_comes_twice_has_one_instant(
    zone: ZoneInfo, slot: str, week: Week, local: str
) -> None:
    assert calendar(zone, slot, slot).send_at(week) == dt.datetime.fromisoformat(local)


def test_a_cut_off_that_the_clock_jumps_over_is_not_after_the_send() -> None:
    # 02:50 does not exist on this Sunday and would be 03:50, later than the send at 03:10.
    rhythm = calendar(PRAGUE, "sun 03:10", "sun 02:50")
    assert rhythm.cutoff_at(Week(2026, 13)) == rhythm.send_at(Week(2026, 13)) == utc("2026-03-29T01:10")


@pytest.mark.parametrize(
    ("cutoff", "instant"),
    [
        ("thu 06:00", "2026-11-19T05:00"),
        ("thu 10:00", "2026-11-19T09:00"),
        ("thu 10:01", "2026-11-12T09:01"),
        ("wed 18:00", "2026-11-18T17:00"),
        ("fri 18:00", "2026-11-13T17:00"),
        ("mon 00:00", "2026-11-15T23:00"),
    ],
)
def test_the_cut_off_is_the_last_one_before_the_send(cutoff: str, instant: str) -> None:
    assert calendar(PRAGUE, "thu 10:00", cutoff).cutoff_at(Week(2026, 47)) == utc(instant)


# ---- windows


def test_a_window_has_its_start_and_not_its_end() -> None:
    window = calendar().window(Week(2026, 47))
    assert window == Window(utc("2026-11-12T05:00"), utc("2026-11-19T05:00"))
    assert window.start in window
    assert window.end not in window
    assert window.end - dt.timedelta(microseconds=1) in window


def test_a_window_after_skipped_weeks_reaches_back_over_them() -> None:
    rhythm = calendar(PRAGUE, "thu 10:00", "thu 06:00", "2026-12-24", "2026-12-31")
    assert rhythm.is_skipped(Week(2026, 52))
    assert rhythm.is_skipped(Week(2026, 53))
    assert rhythm.window(Week(2027, 1)) == Window(utc("2026-12-17T05:00"), utc("2027-01-07T05:00"))
    upcoming = rhythm.upcoming(utc("2026-12-17T09:00"))
    assert list(islice(upcoming, 2)) == [Week(2027, 1), Week(2027, 2)]


def test_a_skip_date_that_is_no_send_day_skips_nothing() -> None:
    assert not calendar(PRAGUE, "thu 10:00", "thu 06:00", "2026-11-18").is_skipped(Week(2026, 47))


def test_the_window_of_the_first_week_of_the_year_begins_in_week_53() -> None:
    rhythm = calendar()
    assert rhythm.window(Week(2026, 53)).start == rhythm.cutoff_at(Week(2026, 52))
    assert rhythm.window(Week(2027, 1)).start == rhythm.cutoff_at(Week(2026, 53)) == utc("2026-12-31T05:00")


def test_the_week_to_draft_changes_exactly_at_the_cut_off() -> None:
    rhythm = calendar()
    assert rhythm.drafting(utc("2026-11-19T04:59")) == Week(2026, 46)
    assert rhythm.drafting(utc("2026-11-19T05:00")) == Week(2026, 47)
    assert rhythm.gathering(utc("2026-11-19T04:59")) == Week(2026, 47)
    assert rhythm.gathering(utc("2026-11-19T05:00")) == Week(2026, 48)


def test_a_send_is_upcoming_until_its_instant() -> None:
    rhythm = calendar()
    assert next(rhythm.upcoming(utc("2026-11-19T08:59"))) == Week(2026, 47)
    assert next(rhythm.upcoming(utc("2026-11-19T09:00"))) == Week(2026, 48)


slots = st.builds(Slot, st.integers(0, 6), st.times().map(lambda time: time.replace(second=0, microsecond=0)))
instants = st.datetimes(dt.datetime(2008, 1, 1), dt.datetime(2035, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=dt.UTC)
)


@st.composite
def rhythms(draw: st.DrawFn) -> tuple[Calendar, dt.datetime]:
    """Any calendar, with up to eight skipped sends around an instant, several in a row among them."""
    send, now = draw(slots), draw(instants)
    week = Week.of(now.date())
    skipped = draw(st.frozensets(st.integers(-6, 6), max_size=8))
    skip = frozenset(week.shift(by).day(send.weekday) for by in skipped)
    return Calendar(ZoneInfo(draw(st.sampled_from(ZONES))), send, draw(slots), skip), now


@given(rhythms())
def test_the_windows_of_consecutive_issues_tile_time(given_rhythm: tuple[Calendar, dt.datetime]) -> None:
    rhythm, now = given_rhythm
    start = Week.of(now.date())
    weeks = [week for by in range(-8, 9) if not rhythm.is_skipped(week := start.shift(by))]
    windows = [rhythm.window(week) for week in weeks]
    assert all(window.start < window.end for window in windows)
    assert all(before.end == after.start for before, after in pairwise(windows))
    assert all(window.end <= rhythm.send_at(week) for window, week in zip(windows, weeks, strict=True))


@given(rhythms())
def test_every_instant_is_in_the_window_that_is_open_then(given_rhythm: tuple[Calendar, dt.datetime]) -> None:
    rhythm, now = given_rhythm
    gathering, drafting = rhythm.gathering(now), rhythm.drafting(now)
    assert now in rhythm.window(gathering)
    assert rhythm.window(drafting).end == rhythm.window(gathering).start
    assert drafting < gathering
    assert not rhythm.is_skipped(gathering)
    assert not rhythm.is_skipped(drafting)


@given(rhythms())
def test_the_upcoming_sends_are_ahead_in_order_and_complete(given_rhythm: tuple[Calendar, dt.datetime]) -> None:
    rhythm, now = given_rhythm
    weeks = list(islice(rhythm.upcoming(now), 5))
    sends = [rhythm.send_at(week) for week in weeks]
    assert now < sends[0]
    assert sends == sorted(sends)
    between = [weeks[0].shift(by) for by in range(-9, 5)]
    missed = [w for w in between if rhythm.send_at(w) > now and w <= weeks[-1] and not rhythm.is_skipped(w)]
    assert set(missed) <= set(weeks)


@given(rhythms())
def test_all_instants_are_in_utc(given_rhythm: tuple[Calendar, dt.datetime]) -> None:
    rhythm, now = given_rhythm
    window = rhythm.window(rhythm.gathering(now))
    instants_given = (window.start, window.end, rhythm.send_at(rhythm.gathering(now)))
    assert all(instant.tzinfo is dt.UTC for instant in instants_given)


# ---- weeks that the desk skips or moves


def moved(to: str, week: Week = Week(2026, 47), skip: frozenset[dt.date] = frozenset()) -> Calendar:  # noqa: B008 -- frozen.
    return replace(calendar(), moves={week: Moment.parse(to, week)}, skip=skip)


def test_a_moved_week_takes_its_cut_off_along() -> None:
    rhythm = moved("tue 16:30")
    assert rhythm.send_at(Week(2026, 47)) == utc("2026-11-17T15:30")
    assert rhythm.window(Week(2026, 47)) == Window(utc("2026-11-12T05:00"), utc("2026-11-17T11:30"))
    assert rhythm.window(Week(2026, 48)) == Window(utc("2026-11-17T11:30"), utc("2026-11-26T05:00"))
    assert (rhythm.is_moved(Week(2026, 47)), rhythm.is_moved(Week(2026, 48))) == (True, False)


def test_a_week_moved_into_the_next_one_is_still_before_it() -> None:
    rhythm = replace(
        calendar(PRAGUE, "sat 10:00", "sat 06:00"),
        moves={Week(2026, 47): Moment.parse("2026-11-23 09:00", Week(2026, 47))},
    )
    assert rhythm.send_at(Week(2026, 47)) == utc("2026-11-23T08:00")
    assert rhythm.drafting(utc("2026-11-22T12:00")) == Week(2026, 46)
    assert rhythm.drafting(utc("2026-11-23T04:00")) == Week(2026, 47)
    assert list(islice(rhythm.upcoming(utc("2026-11-22T12:00")), 2)) == [Week(2026, 47), Week(2026, 48)]


def test_a_move_keeps_its_hour_on_the_wall_across_a_change_of_the_clock() -> None:
    # Europe goes back to winter time on Sunday, 2026-10-25.
    rhythm = moved("sun 10:00", Week(2026, 43))
    assert rhythm.send_at(Week(2026, 43)) == utc("2026-10-25T09:00")
    assert rhythm.cutoff_at(Week(2026, 43)) == utc("2026-10-25T05:00")
    # And forward on Sunday, 2026-03-29, where half past two does not come.
    assert moved("sun 02:30", Week(2026, 13)).send_at(Week(2026, 13)) == utc("2026-03-29T01:30")


def test_week_53_can_be_moved_out_of_the_holidays() -> None:
    rhythm = moved("2026-12-30 10:00", Week(2026, 53))
    assert rhythm.window(Week(2027, 1)).start == rhythm.window(Week(2026, 53)).end == utc("2026-12-30T05:00")


def test_a_move_leaves_a_date_on_which_nothing_is_sent_and_may_not_go_there() -> None:
    assert not moved("tue 10:00", skip=frozenset({dt.date(2026, 11, 19)})).is_skipped(Week(2026, 47))
    assert moved("tue 10:00", skip=frozenset({dt.date(2026, 11, 17)})).is_skipped(Week(2026, 47))


def test_a_move_from_before_the_settings_changed_counts_for_nothing_where_it_is_too_far() -> None:
    rhythm = replace(moved("mon 09:00"), send=Slot.parse("sun 10:00"))
    assert rhythm.sending(Week(2026, 47)) == Moment(dt.date(2026, 11, 22), dt.time(10))
    assert not rhythm.is_moved(Week(2026, 47))


@pytest.mark.parametrize(
    "text", ["tue 10:00", "Tuesday 10:00", "2026-11-17 10:00", "2026-11-17T10:00", " 2026-11-17  10:00 "]
)
def test_moments_are_read_in_both_ways(text: str) -> None:
    assert Moment.parse(text, Week(2026, 47)) == Moment(dt.date(2026, 11, 17), dt.time(10))


@pytest.mark.parametrize(
    "text", ["", "2026-13-01 10:00", "2026-11-31 10:00", "2026-11-17 24:00", "2026-11-17", "10:00"]
)
def test_what_is_no_moment_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write it like"):
        Moment.parse(text, Week(2026, 47))


@st.composite
def changed_rhythms(draw: st.DrawFn) -> tuple[Calendar, dt.datetime]:
    """Any calendar with weeks that the desk has skipped and moved, as far as may be and too far, around an instant."""
    rhythm, now = draw(rhythms())
    around = Week.of(now.date())
    minutes = int(REACH / dt.timedelta(minutes=1)) + 600
    far = st.integers(-minutes, minutes).map(lambda by: dt.timedelta(minutes=by))
    moves = draw(st.dictionaries(st.integers(-6, 6), far, max_size=10))
    shifted = {around.shift(by): rhythm.usual(around.shift(by)).shift(far) for by, far in moves.items()}
    skipped = frozenset(around.shift(by) for by in draw(st.frozensets(st.integers(-6, 6), max_size=6)))
    # Samoa left out a whole day in 2011, and with it the order of what would have been moved there and back.
    zone = rhythm.zone if rhythm.zone.key != "Pacific/Apia" else ZoneInfo("Pacific/Auckland")
    return replace(rhythm, zone=zone, skipped=skipped, moves=shifted), now


@given(changed_rhythms())
def test_the_windows_cover_time_once_whatever_is_skipped_and_moved(given_rhythm: tuple[Calendar, dt.datetime]) -> None:
    rhythm, now = given_rhythm
    start = Week.of(now.date())
    weeks = [week for by in range(-9, 10) if not rhythm.is_skipped(week := start.shift(by))]
    windows = [rhythm.window(week) for week in weeks]
    assert all(window.start < window.end for window in windows)
    assert all(before.end == after.start for before, after in pairwise(windows))
    assert sum(now in window for window in windows) == 1
    sends = [rhythm.send_at(week) for week in weeks]
    assert sends == sorted(set(sends))
    assert all(window.end <= at for window, at in zip(windows, sends, strict=True))


@given(changed_rhythms())
def test_what_is_drafted_gathered_and_sent_next_follows_the_changes(given_rhythm: tuple[Calendar, dt.datetime]) -> None:
    rhythm, now = given_rhythm
    gathering, drafting = rhythm.gathering(now), rhythm.drafting(now)
    assert now in rhythm.window(gathering)
    assert rhythm.window(drafting).end == rhythm.window(gathering).start
    coming = list(islice(rhythm.upcoming(now), 4))
    sends = [rhythm.send_at(week) for week in coming]
    assert now < sends[0]
    assert sends == sorted(sends)
    earlier = [coming[0].shift(-by) for by in range(1, 9)]
    assert all(rhythm.is_skipped(week) or rhythm.send_at(week) <= now for week in earlier)

"""Issues to render in tests: invented places, people and papers, in three scripts, written for this purpose."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

from digest.mail.render import IssueView, SectionView, StoryView

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "email"
IMAGES = "https://images.example.org"
HOSTS = frozenset({"images.example.org"})


def story(
    number: int, headline: str, summary: str, *, byline: str = "", image: bool = False, alt: str = ""
) -> StoryView:
    """One story; its pictures live on the one host that `HOSTS` allows."""
    return StoryView(
        headline=headline,
        summary=summary,
        link=f"https://www.example.org/a/story-{number}/3144{number:04d}.html",
        published=dt.datetime(2026, 11, 12 + number % 7, 9, 30, tzinfo=dt.UTC),
        byline=byline,
        image_url=f"{IMAGES}/{number:04d}_w600.jpg" if image else "",
        image_alt=alt,
    )


ENGLISH = IssueView(
    name="watchdog/2026-W47",
    newsletter_title="Watchdog",
    description="Human rights, civil society and press freedom, every Thursday",
    publisher="The Harbour Review, 12 Lantern Street, 110 00 Prague, Czech Republic",
    language="en",
    direction="ltr",
    date=dt.date(2026, 11, 19),
    subject="The court that met at night, and four more stories",
    preheader="A provincial court tried eleven reporters after dark. We read the record it did not want read.",
    introduction=(
        (
            "This week we follow a trial that nobody was meant to see. Our colleagues in Velin copied out the "
            "court record by hand, because the clerk would not let them photograph it."
        ),
        "Further down: a library that lends radio sets, and what became of the teachers of Ostrava Row.",
    ),
    lead=replace(
        story(
            1,
            "The Court That Met At Night",
            "Eleven reporters were tried in Velin between sunset and the last tram. The record runs to "
            "four pages and names no witness. A lawyer who asked to see the evidence was told that it had "
            "been summarised for him.",
            byline="Ilka Marten",
            image=True,
            alt="A courthouse with one lit window, seen from across a wet street at night",
        ),
        image_caption="The district court in Velin. Hearings began at seven in the evening.",
    ),
    sections=(
        SectionView(
            "",
            (
                story(
                    2,
                    "In The Hill Towns, A Library Lends Out Radios",
                    "When the mobile network is switched off, as it was on nine days this autumn, people "
                    "in Dorsk queue at the lending desk. The librarian keeps a waiting list and spare "
                    "batteries.",
                    byline="Tomas Reyle and Anna Okonjo",
                    image=True,
                    alt="Shelves with small radio sets, each with a paper label",
                ),
                story(
                    3,
                    "“They Asked Me Who Taught Me To Read A Budget”",
                    "An accountant in Mersel published her town's spending in a table that anyone could "
                    "sort. Three weeks later she was questioned for six hours about her choice of columns.",
                    byline="Petra Lindqvist",
                ),
                story(
                    4,
                    "Ministry Says The Bridge Was Never Closed",
                    "Residents have 212 photographs of it being closed. We laid them beside the ministry's log.",
                ),
            ),
        ),
        SectionView(
            "Journalists in trouble",
            (
                story(
                    5,
                    "Photographer Held For A Fourth Week In Karsk",
                    "Daniyar Sol was detained while photographing a queue. His editor has not been told the charge.",
                    byline="Staff report",
                    image=True,
                    alt="A camera on an empty chair",
                ),
                story(
                    6,
                    "Two Radio Hosts Released After Hunger Strike",
                    "Both were taken to hospital on Monday evening and are said to be in good spirits.",
                ),
            ),
        ),
    ),
    archive_url="https://digest.example.org/issues/watchdog/2026-W47",
    home_url="https://digest.example.org/",
    issues_url="https://digest.example.org/issues/",
    feed_url="https://digest.example.org/feed.xml",
)

RUSSIAN = replace(
    ENGLISH,
    newsletter_title="Дозор",
    description="Права человека и свобода прессы, каждый четверг",
    publisher="«Обозрение гавани», Прага",
    language="ru",
    subject="Суд, который заседал ночью",
    preheader="Одиннадцать репортёров судили после заката. Мы прочли протокол, который не хотели показывать.",
    introduction=("На этой неделе мы следим за процессом, который никто не должен был увидеть.",),
    lead=replace(
        story(
            1,
            "Суд, который заседал ночью",
            "Одиннадцать репортёров судили в Велине между закатом и последним трамваем. В протоколе четыре"
            " страницы и ни одного имени свидетеля.",
            byline="Илка Мартен",
            image=True,
            alt="Здание суда с одним освещённым окном",
        ),
        image_caption="Районный суд в Велине.",
    ),
    sections=(
        SectionView(
            "Журналисты под давлением",
            (
                story(2, "Библиотека выдаёт радиоприёмники", "Когда сеть отключают, люди в Дорске идут в библиотеку."),
                story(3, "Фотографа держат четвёртую неделю", "Обвинение редактору не сообщили.", byline="Редакция"),
            ),
        ),
    ),
)

PERSIAN = replace(
    ENGLISH,
    newsletter_title="دیده‌بان",
    description="حقوق بشر، جامعهٔ مدنی و آزادی رسانه‌ها، هر پنجشنبه",
    publisher="نشریهٔ Harbour Review، پراگ",
    language="fa",
    direction="rtl",
    subject="دادگاهی که شب تشکیل شد، و چهار گزارش دیگر",
    preheader="یازده خبرنگار پس از غروب محاکمه شدند. صورت‌جلسه‌ای را خواندیم که نمی‌خواستند خوانده شود.",
    introduction=(
        (
            "این هفته محاکمه‌ای را دنبال می‌کنیم که قرار نبود کسی آن را ببیند. همکاران ما در Harbour Review "
            "صورت‌جلسهٔ دادگاه را با دست رونویسی کردند."
        ),
    ),
    lead=replace(
        story(
            1,
            "دادگاهی که شب تشکیل شد",
            "یازده خبرنگار در ولین میان غروب و آخرین قطار محاکمه شدند. صورت‌جلسه چهار صفحه است و از هیچ "
            "شاهدی نام نمی‌برد. به وکیلی که خواست مدارک (Exhibit B) را ببیند گفتند خلاصه‌اش کرده‌اند.",
            byline="ایلکا مارتن",
            image=True,
            alt="ساختمان دادگاه در شب با یک پنجرهٔ روشن",
        ),
        image_caption="دادگاه منطقه در ولین.",
    ),
    sections=(
        SectionView(
            "",
            (
                story(
                    2,
                    "کتابخانه‌ای که رادیو امانت می‌دهد",
                    "وقتی شبکهٔ تلفن همراه قطع می‌شود، مردم دورسک جلوی میز امانت صف می‌کشند. کتابدار فهرست انتظار دارد.",
                    byline="توماس رایله",
                    image=True,
                    alt="قفسه‌هایی با رادیوهای کوچک",
                ),
                replace(
                    story(
                        3,
                        "Ministry Says The Bridge Was Never Closed",
                        "Residents have 212 photographs of it being closed. We laid them beside the ministry's log.",
                        byline="Harbour Review",
                    ),
                    language="en",
                ),
            ),
        ),
        SectionView(
            "روزنامه‌نگاران در فشار",
            (story(5, "عکاس برای چهارمین هفته در بازداشت", "به سردبیر او نگفته‌اند اتهام چیست."),),
        ),
    ),
)


def many(count: int, language: str = "en") -> IssueView:
    """An issue of `count` stories with pictures and summaries of about 300 characters: the size that F-43 speaks of."""
    english = (
        "A town council voted to publish every contract above the price of a bicycle, and then to "
        "unpublish those that people had read. We compared both lists, line by line, and asked the mayor "
        "about the eleven that differ. He said the table had been too wide for the page, and that it would"
        " be printed again in spring."
    )
    persian = (
        "شورای شهر رأی داد که هر قراردادی گران‌تر از یک دوچرخه منتشر شود، و سپس آنهایی را که مردم خوانده "
        "بودند برداشت. ما دو فهرست را سطر به سطر کنار هم گذاشتیم و از شهردار دربارهٔ یازده موردی که فرق "
        "دارد پرسیدیم. او گفت جدول برای صفحه زیادی پهن بود و بهار دوباره چاپ می‌شود. این پاسخ را همراه "
        "اسناد می‌آوریم."
    )
    base, summary = (PERSIAN, persian) if language == "fa" else (ENGLISH, english)
    headline = (
        "شهری که قراردادهایش را پس گرفت" if language == "fa" else "The Town That Took Its Contracts Back, Line By Line"
    )
    stories = tuple(
        story(
            number,
            f"{headline} {number}",
            summary,
            byline=base.lead.byline if base.lead else "",
            image=True,
            alt=headline,
        )
        for number in range(2, count + 1)
    )
    return replace(base, sections=(SectionView("", stories[:20]), SectionView(base.sections[-1].title, stories[20:])))

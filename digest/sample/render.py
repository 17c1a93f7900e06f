"""The sample blog's pages and feeds as text: articles with all the debris that real ones have."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from email.utils import format_datetime
from html import escape
from importlib import resources
from string import Template

from digest.sample.posts import SamplePost

_PROMO = (
    '<div class="wsw__embed"><div class="promo"><h4>Subscribe To Our Watchdog Report</h4><p>Watchdog is our curated '
    "digest of human rights and press freedom. In your in-box every Thursday. "
    '<a href="/subscribe">Subscribe here</a>.</p></div></div>'
)


def article(post: SamplePost, published: dt.datetime, base: str, others: Iterable[SamplePost]) -> str:
    """The page of one post."""
    url = base + post.path
    names = [name for name in post.byline.split(" and ") if name]
    return _page("article").substitute(
        style=_style(),
        title=escape(post.title),
        summary=escape(post.summary),
        url=url,
        og_image=f'<meta content="{_image(post, base, 1200)}" property="og:image" />' if post.image else "",
        linked_data=json.dumps(_linked_data(post, published)).replace("</", "<\\/"),
        category=escape(post.category),
        iso=published.isoformat(),
        day=f"{published:%B} {published.day}, {published.year}",
        byline="".join(_author(index, name) for index, name in enumerate(names)),
        cover=_cover(post, base),
        body=story(post),
        related="".join(_teaser(one, base) for one in others),
    )  # fmt: skip


def flow(posts: Iterable[tuple[SamplePost, dt.datetime]], base: str) -> str:
    """The blog page: whole posts one after the other."""
    parts = [
        f'<div class="post"><h2 class="pg-title"><a href="{post.path}">{escape(post.title)} </a></h2>'
        f'<span class="date"><time datetime="{at.isoformat()}">{at:%B} {at.day}, {at.year}</time></span>'
        f'{_cover(post, base)}<div class="wsw">{story(post)}</div></div>'
        for post, at in posts
    ]
    return _page("flow").substitute(style=_style(), posts="\n".join(parts))


def home() -> str:
    """The front page, with links to everything."""
    return _page("home").substitute(style=_style())


def feed(title: str, posts: Iterable[tuple[SamplePost, dt.datetime]], base: str, at: dt.datetime) -> str:
    """An RSS feed as the publishing system makes it: without the stories' text, the picture as an enclosure."""
    items = "".join(
        f"<item><title>{escape(post.title)} </title><description>{escape(post.summary)}</description>"
        f"<link>{base}{post.path}</link><guid>{base}{post.path}</guid><pubDate>{format_datetime(one)}</pubDate>"
        f"<category>{escape(post.category)}</category>"
        + (f'<enclosure url="{_image(post, base, 1023)}" length="0" type="image/png"/>' if post.image else "")
        + "</item>\n"
        for post, one in posts
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>\n'
        f"<title>{escape(title)}</title><link>{base}/Watchdog</link><description>A sample</description>"
        f"<language>en</language><ttl>60</ttl><lastBuildDate>{format_datetime(at)}</lastBuildDate>"
        f"<generator>Sample CMS</generator>\n{items}</channel></rss>\n"
    )


def sitemap(posts: Iterable[tuple[SamplePost, dt.datetime]], base: str) -> str:
    """The news sitemap."""
    urls = "".join(
        f"<url><loc>{base}{post.path}</loc><news:news><news:publication><news:name>Sample</news:name>"
        f"<news:language>en</news:language></news:publication><news:publication_date>{at:%Y-%m-%dT%H:%M:%SZ}"
        f"</news:publication_date><news:title>{escape(post.title)} </news:title></news:news></url>"
        for post, at in posts
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><urlset xmlns:news="http://www.google.com/schemas/sitemap-news/0.9" '
        f'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'
    )


def story(post: SamplePost) -> str:
    """A post's text as HTML, with promotions and players in the middle of it."""
    dateline = f'<span class="dateline">{escape(post.dateline)} —&nbsp;</span>' if post.dateline else ""
    credit = f"<p><em>{escape(post.credit)}</em></p>" if post.credit else ""
    return dateline + "\n".join(_paragraph(one) for one in post.paragraphs) + credit


def _paragraph(text: str) -> str:
    if text == "[promo]":
        return _PROMO
    if text.startswith("## "):
        return f'<h4 class="wsw__h4">{escape(text[3:])}</h4>'
    kind, _, title = text.strip("[]").partition(": ")
    if text.startswith("[") and kind in ("watch", "player"):
        watch = f"<p><strong>WATCH: {escape(title)}</strong></p>" if kind == "watch" else ""
        return (
            f'{watch}<div class="wsw__embed"><div class="c-mmp"><h4>{escape(title)}</h4><p>please wait</p>'
            "<p>No media source currently available</p><p>0:00 0:02:42 0:00</p></div></div>"
        )
    return f"<p>{escape(text)}</p>"


def _author(index: int, name: str) -> str:
    link = f'<a class="links__item-link" href="/author/{index}">{escape(name)}</a>'
    return f'<li class="links__item">By {link}</li>'


def _cover(post: SamplePost, base: str) -> str:
    if not post.image:
        return ""
    # The alternative text is escaped twice, as it is on real pages.
    return (
        '<div class="cover-media"><figure class="media-image"><div class="img-wrap"><div class="thumb thumb16_9">'
        f'<img src="{_image(post, base, 250)}" alt="{escape(escape(post.alt))}" /></div></div>'
        f'<figcaption><span class="caption">{escape(post.caption)}</span></figcaption></figure></div>'
    )


def _teaser(post: SamplePost, base: str) -> str:
    image = f'<img data-src="{_image(post, base, 66)}" src="" alt="" />' if post.image else ""
    title = f'<h4 class="media-block__title">{escape(post.title)}</h4>'
    return (
        f'<div class="media-block"><a href="{post.path}" class="img-wrap"><div class="thumb">{image}</div></a>'
        f'<div class="media-block__content"><a href="{post.path}">{title}</a></div></div>'
    )


def _image(post: SamplePost, base: str, width: int) -> str:
    return f"{base}/gdb/{post.image}_w{width}_r1_s.png"


def _linked_data(post: SamplePost, published: dt.datetime) -> dict[str, object]:
    return {
        "@type": "NewsArticle",
        "headline": post.title + " ",
        "datePublished": f"{published:%Y-%m-%d %H:%M:%SZ}",
        "dateModified": "0001-01-01 00:00:00Z",
    }


def _page(name: str) -> Template:
    return Template((resources.files("digest.sample") / "pages" / f"{name}.html").read_text(encoding="utf-8"))


def _style() -> str:
    return (resources.files("digest.sample") / "pages" / "style.html").read_text(encoding="utf-8")

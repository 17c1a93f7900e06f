"""The pure rules of gathering: addresses, robots, links, dates, text, encodings."""

from __future__ import annotations

import datetime as dt
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.gather import junk, robots
from digest.gather.address import is_allowed_host, is_public
from digest.gather.dates import parse_date, parse_tuple
from digest.gather.decode import html_text, xml_text
from digest.gather.entry import Unreadable
from digest.gather.links import article_number, canonical, identity, tidy, web_link, wide_image
from digest.gather.text import caption, from_html, headline, plain, sentences


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80e::200e"])
def test_addresses_of_the_public_internet_may_be_connected_to(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.9.8.7", "172.31.0.1", "192.168.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "168.63.129.16", "192.88.99.1", "198.18.0.1", "::1", "::", "fe80::1%eth0", "fd00:ec2::254",
     "ff02::1",
     "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "2002:808:808::1", "2001:0:1::1", "2001:db8::1",
     "fec0::1", "100::1", "3fff::1", "5f00::1", "", "example.org"],
)  # fmt: skip
def test_special_addresses_may_not(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public_here(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if ip.is_private or ip.is_multicast or ip.is_loopback or ip.is_link_local:
        assert not is_public(str(ip))


@given(st.ip_addresses(v=4))
def test_no_form_that_carries_an_ipv4_address_in_ipv6_is_public(ip: ipaddress.IPv4Address) -> None:
    number = int(ip)
    for form in (0xFFFF << 32 | number, number, 0x64_FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert not is_public(str(ipaddress.IPv6Address(form)))


def test_an_operator_allows_a_host_by_name_or_with_its_port() -> None:
    assert is_allowed_host("Wiki.Inside", 80, ["wiki.inside"])
    assert is_allowed_host("127.0.0.1", 8080, ["127.0.0.1:8080"])
    assert not is_allowed_host("127.0.0.1", 8081, ["127.0.0.1:8080"])
    assert not is_allowed_host("evil.wiki.inside", 80, ["wiki.inside"])


ROBOTS = """
User-agent: BadBot
Disallow: /

User-agent: watchdogdigest
User-agent: other
Disallow: /private
Disallow: /*.pdf$
Allow: /private/open
Disallow:

User-agent: *
Disallow: /search   # a comment
Crawl-delay: 10
"""


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("WatchdogDigest/0.1 (+x)", "/a/1.html", True),
        ("WatchdogDigest/0.1 (+x)", "/private/x", False),
        ("WatchdogDigest/0.1 (+x)", "/private/open/x", True),
        ("WatchdogDigest/0.1 (+x)", "/a/report.pdf", False),
        ("WatchdogDigest/0.1 (+x)", "/a/report.pdf?page=2", True),
        ("WatchdogDigest/0.1 (+x)", "/search", True),
        ("Somebody", "/search?q=1", False),
        ("Somebody", "/private", True),
        ("BadBot", "/", False),
    ],
)
def test_robots_rules_are_the_longest_match_of_our_group(agent: str, path: str, allowed: bool) -> None:
    assert robots.parse(ROBOTS, agent).allow(f"https://example.org{path}") is allowed


@given(st.text(alphabet="ab/*$", max_size=30), st.text(alphabet="ab/", max_size=30))
def test_no_robots_pattern_makes_trouble(pattern: str, path: str) -> None:
    rules = robots.parse(f"User-agent: *\nDisallow: {pattern}", "x")
    assert rules.allow(f"https://example.org/{path}") in (True, False)


@pytest.mark.parametrize(
    ("value", "base", "link"),
    [
        (" https://Example.org:443/a b?q=ü ", "", "https://example.org/a%20b?q=%C3%BC"),
        ("/a/x/12345.html", "https://www.rferl.org/api/", "https://www.rferl.org/a/x/12345.html"),
        ("//example.org/x", "https://y.org", "https://example.org/x"),
        ("https://пример.рф/x", "", "https://xn--e1afmkfd.xn--p1ai/x"),
        ("https://example.org/a%20b", "", "https://example.org/a%20b"),
        ("java\nscript:alert(1)", "https://y.org", ""),
        ("javascript:alert(1)", "", ""),
        ("data:text/html,x", "", ""),
        ("https://user:word@example.org/", "", ""),
        ("http://[bad", "", ""),
        ("https://example.org:99999/", "", ""),
        ("", "https://y.org", ""),
        (None, "", ""),
    ],
)
def test_only_web_links_are_links(value: str | None, base: str, link: str) -> None:
    assert web_link(value, base) == link


@given(st.text(max_size=60))
def test_whatever_is_given_a_link_is_http_and_stays_what_it_is(value: str) -> None:
    link = web_link(value, "https://example.org/")
    assert link == "" or link.startswith(("http://", "https://"))
    assert web_link(link) == link
    assert link.isascii()


@pytest.mark.parametrize(
    "link",
    ["https://www.rferl.org/a/some-slug/33423647.html", "http://rferl.org/a/33423647.html?utm_source=x#top",
     "https://www.rferl.mobi/amp/some-other-slug/33423647.html", "https://staging.rferl.eu/a/33423647.html/"],
)  # fmt: skip
def test_one_article_under_several_addresses_is_one_post(link: str) -> None:
    assert identity(link.rstrip("/"), "") == "article:rferl:33423647"


def test_an_address_without_a_number_is_the_same_whatever_hangs_on_it() -> None:
    plain_link = "https://blog.example/2026/11/a-story"
    for link in (
        "http://www.blog.example/2026/11/a-story/?utm_campaign=x&fbclid=1#comments",
        "https://blog.example:443/2026//11/a-story/amp/",
        "HTTPS://m.blog.example/2026/11/a-story",
    ):
        assert identity(web_link(link), "tag:1") == identity(plain_link, "tag:2")
    assert identity(plain_link + "?page=2", "") != identity(plain_link, "")
    assert canonical("https://x.org/?b=2&a=1") == canonical("https://x.org/?a=1&b=2")


def test_without_a_link_the_guid_names_a_post_and_without_both_nothing_does() -> None:
    assert identity("", "tag:example.org,2026:1") == "guid:tag:example.org,2026:1"
    assert identity("", "https://www.rferl.org/a/33423647.html") == "article:rferl:33423647"
    assert identity("", "") == ""
    assert len(identity("https://x.org/" + "y" * 5000, "")) < 100


def test_tracking_goes_from_links_and_all_else_stays() -> None:
    assert tidy("https://x.org/a?utm_source=a&id=7&gclid=1#part") == "https://x.org/a?id=7#part"
    assert article_number("https://x.org/p/2905.html") == ""


@pytest.mark.parametrize(
    ("url", "wide"),
    [
        ("8C23ACC7-8E8C-4CFE-B55F-A982CFA5F1B0_w100_r1.jpg", "8C23ACC7-8E8C-4CFE-B55F-A982CFA5F1B0_w1023_r1.jpg"),
        ("AAC6D412-9308-455F-AE16-FDA5BCE7F840_cx0_cy2_cw0_w33_r1.jpg",
         "AAC6D412-9308-455F-AE16-FDA5BCE7F840_cx0_cy2_cw0_w1023_r1.jpg"),
        ("142cf2f4-cc4d-4524-8a5a-cf289833be9d_tv_w33_r1.jpg", "142cf2f4-cc4d-4524-8a5a-cf289833be9d_tv_w1023_r1.jpg"),
        ("438B0BA5-2ED3-48F0-A5EB-52C86CDB5E0C_w250_r1_s.jpg", "438B0BA5-2ED3-48F0-A5EB-52C86CDB5E0C_w1023_r1_s.jpg"),
        ("6AD44B97-4251-4D10-B871-C134BBFB39FA_w640_h360.jpg", "6AD44B97-4251-4D10-B871-C134BBFB39FA_w1023.jpg"),
        ("7C01456E-AFA3-4D09-A6AA-A6042A5159FA.jpg", "7C01456E-AFA3-4D09-A6AA-A6042A5159FA_w1023.jpg"),
        ("harbour_w33.jpg", "harbour_w33.jpg"),
    ],
)  # fmt: skip
def test_the_system_s_pictures_are_asked_for_in_a_decent_width(url: str, wide: str) -> None:
    assert wide_image(f"https://gdb.rferl.org/{url}") == f"https://gdb.rferl.org/{wide}"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-04-28T03:00:00-04:00", "2024-04-28T07:00:00+00:00"),
        ("2024-04-28 07:00:00Z", "2024-04-28T07:00:00+00:00"),
        ("2025-05-25T10:55:00.82Z", "2025-05-25T10:55:00.820000+00:00"),
        ("2019-11-18", "2019-11-18T00:00:00+00:00"),
        ("Thu, 14 Jul 2022 10:35:32 +0000", "2022-07-14T10:35:32+00:00"),
        ("Sun, 07 Jul 24 08:00:00 GMT", "2024-07-07T08:00:00+00:00"),
        ("April 28, 2024 3:00 PM", "2024-04-28T15:00:00+00:00"),
        ("18 November 2026", "2026-11-18T00:00:00+00:00"),
    ],
)
def test_dates_are_read_as_they_are_written(text: str, instant: str) -> None:
    found = parse_date(text)
    assert found is not None
    assert found.isoformat() == instant


@pytest.mark.parametrize(
    "text",
    ["0001-01-01 00:00:00Z", "1970-01-01T00:00:00Z", "", None, "yesterday", "99 Foo 2024", "2024-13-45", "9" * 40],
)
def test_impossible_dates_are_none(text: str | None) -> None:
    assert parse_date(text) is None


@given(st.text(max_size=40))
def test_no_text_makes_the_date_reader_fail(text: str) -> None:
    found = parse_date(text)
    assert found is None or found.tzinfo is dt.UTC
    assert parse_tuple(text) is None


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("AT&amp;T &lt;b&gt; <i>q</i> 1 < 2", "AT&T <b> q 1 < 2"),
        ("A<br/>B<p>C</p>", "A B C"),
        ("x<script>alert(1)</script>y<!-- z -->", "x y"),
        ("one\n\t two\u00a0 three ", "one two three"),
        ("a\u202eb\u202cc", "abc"),
        ("\u2066a", "a"),
        ("\u2067اب\u2069 c", "\u2067اب\u2069 c"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("it\x92s \x93so\x94", "it’s “so”"),
        ("a\x00b\x07\x81", "a b"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
    ],
)
def test_titles_are_text_and_not_html(html: str, text: str) -> None:
    assert from_html(html) == text


@given(st.text())
def test_plain_text_has_no_controls_and_stays_plain(text: str) -> None:
    once = plain(text)
    assert plain(once) == once
    assert once == " ".join(once.split())
    assert not any(ord(one) < 32 or 0x7F <= ord(one) < 0xA0 or 0x202A <= ord(one) <= 0x202E for one in once)


def test_an_attribute_that_was_escaped_twice_is_decoded_once_more() -> None:
    assert caption("Members of the &quot;Yamb To&quot;") == 'Members of the "Yamb To"'
    assert caption("R&D and Q & A") == "R&D and Q & A"


def test_sentences_are_told_from_abbreviations() -> None:
    assert sentences("Dr. A. Smith of the U.S. spoke. It rained!") == ["Dr. A. Smith of the U.S. spoke.", "It rained!"]
    assert sentences('He said "No." Then he left') == ['He said "No."', "Then he left"]
    assert sentences("") == []


def test_a_headline_made_of_a_first_sentence_is_short() -> None:
    assert headline("Ramzan loves a party. And so on.") == "Ramzan loves a party"
    long = headline("word " * 60)
    assert len(long) <= 121
    assert long.endswith("word…")


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("<t>Café</t>".encode(), None, "<t>Café</t>"),
        ("<t>Café</t>".encode("cp1252"), None, "<t>Café</t>"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><t>“Café”</t>'.encode("cp1252"), None, "<t>“Café”</t>"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><t>텍스트</t>'.encode(), None, "<t>텍스트</t>"),
        ('<?xml version="1.0" encoding="utf-8"?><t>Café</t>'.encode("cp1252"), None, "<t>Café</t>"),
        ('<?xml version="1.0" encoding="KOI8-R"?><t>Первая</t>'.encode("koi8-r"), None, "<t>Первая</t>"),
        ("<t>Первая новость дня</t>".encode("cp1251"), None, "<t>Первая новость дня</t>"),
        ("<t>Первая</t>".encode("koi8-r"), "KOI8-R", "<t>Первая</t>"),
        ("<t>Café</t>".encode("utf-16"), None, "<t>Café</t>"),
        ('<?xml version="1.0" encoding="invalid"?><t>é</t>'.encode(), None, "<t>é</t>"),
        (b"\xef\xbb\xbf<t>x</t>", "latin-1", "<t>x</t>"),
        (
            "<t>é</t>".encode() + b"<u>" + "ü".encode() * 40 + b"\xff</u>",
            "utf-8",
            "<t>é</t><u>" + "ü" * 40 + "\ufffd</u>",
        ),
        (b"<t>a\x00b\x0bc</t>", None, "<t>abc</t>"),
    ],
)
def test_bytes_are_read_as_what_they_are(data: bytes, charset: str | None, text: str) -> None:
    assert xml_text(data, charset) == text


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE rss [<!ENTITY a "x">]><rss/>',
        b'<?xml version="1.0"?>\n<!-- hello --><?x y?>\n<!DOCTYPE rss SYSTEM "http://x/">',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x><x/>'.encode("utf-16"),
        '<!DOCTYPE x [<!ENTITY a "b">]><x/>'.encode("utf-16-le").replace(b"<\0!", b"<\0?\0x\0?\0>\0<\0!", 1),
        b"\xef\xbb\xbf <!doctype html><html>",
    ],
)
def test_document_types_are_refused_before_any_parser_sees_them(data: bytes) -> None:
    with pytest.raises(Unreadable, match="document type"):
        xml_text(data, None)


def test_a_document_type_in_a_post_about_html_is_somebody_s_text() -> None:
    text = "<rss><item><description><![CDATA[<!DOCTYPE html> is how it begins]]></description></item></rss>"
    assert xml_text(text.encode(), None) == text


def test_tricky_encodings_do_not_hide_a_document_type() -> None:
    hidden = "+ADwAIQ-DOCTYPE x+AD4-<x/>"
    assert xml_text(f'<?xml version="1.0" encoding="utf-7"?>{hidden}'.encode(), "utf-7") == hidden


@given(st.binary(max_size=200), st.sampled_from([None, "utf-8", "nonsense", "hex", "utf-7", "idna", "punycode"]))
def test_no_bytes_make_the_decoder_fail(data: bytes, charset: str | None) -> None:
    assert isinstance(html_text(data, charset), str)


def test_a_page_s_own_declaration_is_found_after_a_long_head() -> None:
    page = f"<html><head>{' ' * 2000}<meta charset=windows-1251></head>Да".encode("cp1251")
    assert html_text(page, None).endswith("Да")


@pytest.mark.parametrize(
    ("link", "name"),
    [("https://evil.example/a/x/33423647.html", "article:evil:33423647"),
     ("https://rferl.org.evil.example/a/33423647.html", "article:evil:33423647"),
     ("https://www.paper.co.uk/a/33423647.html", "article:paper:33423647"),
     ("https://paper.com/a/33423647.html", "article:paper:33423647"),
     ("http://127.0.0.1:8080/a/33423647.html", "article:127.0.0.1:33423647"),
     ("http://[::1]/a/33423647.html", "article:::1:33423647"),
     ("http://localhost/a/33423647.html", "article:localhost:33423647")],
)  # fmt: skip
def test_an_article_s_number_is_its_organisation_s(link: str, name: str) -> None:
    assert identity(link, "") == name


def test_a_ref_that_is_all_there_is_tells_posts_apart() -> None:
    assert identity("https://x.org/?ref=0", "") != identity("https://x.org/?ref=1", "")
    assert tidy("https://x.org/?ref=1") == "https://x.org/?ref=1"
    assert tidy("https://x.org/?id=1&ref=home") == "https://x.org/?id=1"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-17 10:00:00 UTC", "2026-11-17T10:00:00+00:00"),
        ("Tuesday, November 17, 2026 - 10:00", "2026-11-17T10:00:00+00:00"),
        ("Tue, 17 Nov 2026 10:00:00 CET", "2026-11-17T09:00:00+00:00"),
        ("Tue, 17 Jun 2026 10:00:00 CEST", "2026-06-17T08:00:00+00:00"),
        ("2026-11-17T10:00:00 MSK", "2026-11-17T07:00:00+00:00"),
        ("November 17, 2026 3:00 PM EET", "2026-11-17T13:00:00+00:00"),
        ("2026-11-17 10:00 EST", "2026-11-17T15:00:00+00:00"),
        ("2026-11-17T24:00:00", "2026-11-18T00:00:00+00:00"),
        ("Tue, 17 Nov 2026 24:00:00 GMT", "2026-11-18T00:00:00+00:00"),
    ],
)
def test_zones_are_known_by_their_names_and_a_day_ends_at_24(text: str, instant: str) -> None:
    found = parse_date(text)
    assert found is not None
    assert found.isoformat() == instant


@pytest.mark.parametrize("text", ["9999-12-31T24:00:00", "November 17, 2026 10:00 +9999"])
def test_dates_beyond_the_calendar_are_none(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("text", "has_link", "is_debris"),
    [
        ("Related: The minister's own brother was also detained, he said.", False, False),
        ("Listen: this is not a democracy, he told the judge.", False, False),
        ("Read more: The minister's own brother was also detained.", True, True),
        ("WATCH: A Walk Through Brenn", False, True),
        ("WATCH: Attack On The U.S.", False, True),
    ],
)
def test_a_pointer_has_a_link_or_no_full_stop(text: str, has_link: bool, is_debris: bool) -> None:
    assert junk.is_line(text, has_link=has_link) is is_debris

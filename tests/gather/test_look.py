"""Whether a page is there: asked by HEAD, or by GET, over real HTTP on loopback; nothing is read and rules hold."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from digest.gather.answers import Failed, There
from digest.gather.fetch import Fetcher
from digest.settings import Fetch


def anywhere(_: str) -> bool:
    return True


def test_a_page_that_is_there_is_asked_for_once_and_not_read(faults, fetcher) -> None:
    url = faults.says("/a", b"x" * 1000)
    assert fetcher.look(url, anywhere) == There(url)
    assert faults.methods == [("GET", "/robots.txt"), ("HEAD", "/a")]


def test_a_page_of_any_type_and_size_is_there(faults, fetcher) -> None:
    url = faults.says("/film", b"", "video/mp4", Content_Length="9000000000")
    assert isinstance(fetcher.look(url, anywhere), There | Failed)
    url = faults.says("/empty", b"")
    assert fetcher.look(url, anywhere) == There(url)


@pytest.mark.parametrize("status", [403, 404, 405, 501, 500])
def test_where_head_is_refused_the_page_is_asked_for_by_get(faults, fetcher, status: int) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status if handler.command == "HEAD" else 200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    faults.answers["/a"] = answer
    assert fetcher.look(faults.url + "/a", anywhere) == There(faults.url + "/a")


def test_where_head_is_hung_up_on_the_page_is_asked_for_by_get(faults, fetcher) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "HEAD":
            handler.close_connection = True
            handler.connection.close()
            return
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    faults.answers["/a"] = answer
    assert fetcher.look(faults.url + "/a", anywhere) == There(faults.url + "/a")


def test_an_endless_page_is_not_read(faults, fetcher) -> None:
    sent: list[int] = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(405 if handler.command == "HEAD" else 200)
        if handler.command == "HEAD":
            handler.send_header("Content-Length", "0")
        handler.end_headers()
        if handler.command == "GET":
            handler.close_connection = True
            while len(sent) < 5000:
                handler.wfile.write(b"x" * 10_000)
                sent.append(1)

    faults.answers["/a"] = endless
    assert fetcher.look(faults.url + "/a", anywhere) == There(faults.url + "/a")
    assert len(sent) < 5000


@pytest.mark.parametrize(("status", "gone"), [(404, True), (410, True), (403, False), (429, False), (503, False)])
def test_only_404_and_410_to_both_questions_mean_that_it_is_gone(faults, fetcher, status: int, gone: bool) -> None:
    answer = fetcher.look(faults.says("/a", b"no", status=status), anywhere)
    assert isinstance(answer, Failed)
    assert (answer.gone, answer.status, answer.refused) == (gone, status, False)
    assert faults.methods[1:] == [("HEAD", "/a"), ("GET", "/a")]


def test_a_redirect_is_followed_to_its_end(faults, fetcher) -> None:
    faults.says("/a", status=301, Location="/b")
    faults.says("/b", status=302, Location="/c?d=1")
    faults.says("/c", b"here")
    assert fetcher.look(faults.url + "/a", anywhere) == There(faults.url + "/c?d=1")


def test_a_redirect_loop_ends(faults, fetcher) -> None:
    faults.says("/a", status=302, Location="/b")
    faults.says("/b", status=302, Location="/a")
    answer = fetcher.look(faults.url + "/a", anywhere)
    assert isinstance(answer, Failed)
    assert "redirects more than 3 times" in answer.reason
    assert not answer.gone


def test_a_redirect_to_a_site_that_may_not_be_asked_is_told_and_not_followed(faults, fetcher) -> None:
    url = faults.says("/a", status=301, Location="https://elsewhere.example/b")
    assert fetcher.look(url, lambda one: "elsewhere" not in one) == There("https://elsewhere.example/b", is_seen=False)


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/", "http://10.0.0.1/", "ftp://news.example/", "http://u:p@news.example/", "x:"],
)
def test_what_may_not_be_asked_is_refused_by_our_own_rules(fetcher, url: str) -> None:
    answer = fetcher.look(url, anywhere)
    assert isinstance(answer, Failed)
    assert answer.refused


def test_a_redirect_into_the_private_network_is_refused(faults, inside) -> None:
    url = faults.says("/a", status=302, Location="http://10.0.0.1/admin")
    with Fetcher(inside) as fetcher:
        answer = fetcher.look(url, anywhere)
    assert isinstance(answer, Failed)
    assert answer.refused


def test_what_robots_are_asked_to_leave_alone_is_left_alone(faults, fetcher) -> None:
    faults.says("/robots.txt", b"User-agent: *\nDisallow: /a", "text/plain")
    answer = fetcher.look(faults.says("/a", b"here"), anywhere)
    assert isinstance(answer, Failed)
    assert answer.refused
    assert [path for _, path in faults.methods] == ["/robots.txt"]


def test_a_slow_answer_is_waited_for_as_long_as_the_settings_say(faults) -> None:
    def hang(handler: BaseHTTPRequestHandler) -> None:
        faults.released.wait(20)
        handler.close_connection = True

    faults.answers["/a"] = hang
    with Fetcher(Fetch(allow_private=("127.0.0.1",), delay=0, timeout=0.3)) as fetcher:
        answer = fetcher.look(faults.url + "/a", anywhere)
    assert isinstance(answer, Failed)
    assert not answer.refused
    assert answer.status is None


def test_pages_of_one_host_are_asked_with_the_pause_between_them(faults) -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    settings = Fetch(allow_private=("127.0.0.1",), delay=1.5, timeout=100)
    with Fetcher(settings, sleep=sleep, clock=lambda: now[0]) as fetcher:
        for path in ("/a", "/b"):
            fetcher.look(faults.says(path, b"here"), anywhere)
    # After robots.txt, and between the two pages.
    assert slept == [1.5, 1.5]

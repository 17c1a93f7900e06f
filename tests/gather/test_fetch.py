"""Fetching over real HTTP on loopback, with every fault that a server can have (W-50 to W-52)."""

from __future__ import annotations

import datetime as dt
import gzip
import ipaddress
import socket
import ssl
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from digest.gather import robots
from digest.gather.answers import Failed, Fetched, NotModified
from digest.gather.fetch import Fetcher
from digest.settings import Fetch

PAGE = b"<html><body><p>Something to read.</p></body></html>"


def reason(answer: object) -> str:
    assert isinstance(answer, Failed), answer
    return answer.reason


def test_a_page_comes_with_its_type_and_validators(faults, fetcher) -> None:
    url = faults.says("/", PAGE, "text/html; charset=koi8-r", ETag='"1"', Last_Modified="Mon, 16 Nov 2026 10:00:00 GMT")
    answer = fetcher.get(url)
    assert answer == Fetched(url, PAGE, "text/html", "koi8-r", '"1"', "Mon, 16 Nov 2026 10:00:00 GMT")


def test_the_client_names_itself_and_takes_no_cookies_back(faults, fetcher) -> None:
    url = faults.says("/", PAGE, Set_Cookie="who=you; Path=/")
    fetcher.get(url)
    fetcher.get(url)
    headers = faults.requests[1][1]
    assert headers["user-agent"].startswith("WatchdogDigest/")
    assert "cookie" not in headers


def test_the_environment_cannot_put_a_proxy_in_between(faults, inside, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Fetcher(inside) as fetcher:
        assert isinstance(fetcher.get(faults.says("/", PAGE)), Fetched)


def test_what_did_not_change_is_not_sent_again(faults, fetcher) -> None:
    url = faults.says("/", status=304)
    assert fetcher.get(url, etag='"1"', last_modified="Mon, 16 Nov 2026 10:00:00 GMT") == NotModified()
    assert faults.requests[0][1]["if-none-match"] == '"1"'
    assert faults.requests[0][1]["if-modified-since"] == "Mon, 16 Nov 2026 10:00:00 GMT"


def test_not_modified_to_a_plain_question_is_a_failure(faults, fetcher) -> None:
    assert "304" in reason(fetcher.get(faults.says("/", status=304)))


@pytest.mark.parametrize(("status", "gone"), [(404, True), (410, True), (403, False), (500, False), (429, False)])
def test_a_status_is_told_and_only_404_and_410_mean_gone(faults, fetcher, status, gone) -> None:
    answer = fetcher.get(faults.says("/", b"no", status=status))
    assert str(status) in reason(answer)
    assert answer.gone is gone


@pytest.mark.parametrize("body", [b"", b" \r\n\t ", b"\xef\xbb\xbf\n", b"\0\0\0"])
def test_an_empty_answer_is_a_failure_and_not_no_news(faults, fetcher, body) -> None:
    assert reason(fetcher.get(faults.says("/", body))) == "The answer is empty."


@pytest.mark.parametrize("kind", ["image/png", "application/pdf", "video/mp4", "application/zip"])
def test_what_is_neither_feed_nor_page_is_refused_by_its_type(faults, fetcher, kind) -> None:
    assert kind in reason(fetcher.get(faults.says("/", PAGE, kind)))


def test_a_large_answer_is_refused_by_its_announced_length(faults, fetcher) -> None:
    assert "larger than 0.2 MB" in reason(fetcher.get(faults.says("/", b"x" * 200_001)))


def test_a_large_answer_without_a_length_is_cut_off(faults, fetcher) -> None:
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        handler.close_connection = True
        for _ in range(2000):
            handler.wfile.write(b"x" * 10_000)
            sent.append(1)

    faults.answers["/"] = endless
    assert "larger than" in reason(fetcher.get(faults.url + "/"))
    assert len(sent) < 2000


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(PAGE)),
        ("x-gzip", gzip.compress(PAGE)),
        ("gzip", gzip.compress(PAGE[:20]) + gzip.compress(PAGE[20:]) + b"\0\0"),
        ("deflate", zlib.compress(PAGE)),
        ("deflate", zlib.compress(PAGE)[2:-4]),
        ("identity", PAGE),
    ],
)
def test_compressed_answers_are_unpacked(faults, fetcher, encoding, packed) -> None:
    answer = fetcher.get(faults.says("/", packed, Content_Encoding=encoding))
    assert isinstance(answer, Fetched)
    assert answer.body == PAGE


def test_a_gzip_file_is_unpacked_too(faults, fetcher) -> None:
    answer = fetcher.get(faults.says("/sitemap.xml.gz", gzip.compress(PAGE), "application/x-gzip"))
    assert isinstance(answer, Fetched)
    assert answer.body == PAGE


@pytest.mark.parametrize("size", [10_000_000, 199_999_999])
def test_a_gzip_bomb_is_refused(faults, size) -> None:
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(engine.compress(b"\0" * 1_000_000) for _ in range(size // 1_000_000)) + engine.flush()
    url = faults.says("/", packed, Content_Encoding="gzip")
    with Fetcher(Fetch(allow_private=("127.0.0.1",), delay=0, max_bytes=5_000_000)) as fetcher:
        assert "bomb" in reason(fetcher.get(url))


def test_a_bomb_in_a_gzip_file_is_refused(faults) -> None:
    url = faults.says("/feed.xml.gz", gzip.compress(b" " * 4_000_000), "application/gzip")
    with Fetcher(Fetch(allow_private=("127.0.0.1",), delay=0)) as fetcher:
        assert "bomb" in reason(fetcher.get(url))


def test_a_truncated_gzip_is_no_answer(faults, fetcher) -> None:
    packed = gzip.compress(PAGE * 50)
    assert "broke off" in reason(fetcher.get(faults.says("/", packed[:-12], Content_Encoding="gzip")))


def test_broken_gzip_is_no_answer(faults, fetcher) -> None:
    assert "broken" in reason(fetcher.get(faults.says("/", b"\x1f\x8b nonsense" * 9, Content_Encoding="gzip")))


def test_a_compression_that_was_not_asked_for_is_refused(faults, fetcher) -> None:
    assert "br" in reason(fetcher.get(faults.says("/", b"...", Content_Encoding="br")))


def test_an_answer_that_breaks_off_is_no_answer(faults, fetcher) -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 500\r\n\r\n<p>beginning")
        handler.close_connection = True

    faults.answers["/"] = short
    assert "broke off" in reason(fetcher.get(faults.url + "/"))


def test_a_broken_chunk_is_no_answer(faults, fetcher) -> None:
    def chunks(handler: BaseHTTPRequestHandler) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
        handler.wfile.write(head + b"5\r\nhello\r\nzz\r\nnonsense")
        handler.close_connection = True

    faults.answers["/"] = chunks
    assert "HTTP" in reason(fetcher.get(faults.url + "/"))


def test_what_does_not_speak_http_is_told_so(faults, fetcher) -> None:
    def greets(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 mail.example.org ESMTP\r\n")
        handler.close_connection = True

    faults.answers["/"] = greets
    assert "HTTP" in reason(fetcher.get(faults.url + "/"))


def test_a_server_that_says_nothing_is_left_after_its_time(faults) -> None:
    faults.answers["/"] = lambda _handler: faults.released.wait(10)
    settings = Fetch(allow_private=("127.0.0.1",), delay=0, timeout=0.2)
    with Fetcher(settings) as fetcher:
        assert "in time" in reason(fetcher.get(faults.url + "/"))


def test_a_server_that_drips_is_left_after_the_whole_time_and_not_after_each_drop(faults) -> None:
    def drips(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while not faults.released.wait(0.05):
            handler.wfile.write(b"x")

    faults.answers["/"] = drips
    with Fetcher(Fetch(allow_private=("127.0.0.1",), delay=0, timeout=0.5)) as fetcher:
        # One look: on a busy machine it is left for the one reason once and for the other the next time.
        why = reason(fetcher.get(faults.url + "/"))
    assert "0.5 seconds" in why or "in time" in why


def test_a_header_that_drips_is_left_too(faults) -> None:
    def drips(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not faults.released.wait(0.05):
            handler.wfile.write(b"x")

    faults.answers["/"] = drips
    with Fetcher(Fetch(allow_private=("127.0.0.1",), delay=0, timeout=0.4)) as fetcher:
        assert isinstance(fetcher.get(faults.url + "/"), Failed)


def test_a_closed_port_is_told(fetcher) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert f"refused the connection on port {port}" in reason(fetcher.get(f"http://127.0.0.1:{port}/"))


def test_a_name_that_does_not_exist_is_told() -> None:
    with Fetcher(Fetch(delay=0)) as fetcher:
        assert "DNS" in reason(fetcher.get("http://no-such-host.invalid/"))


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/", "javascript:alert(1)", "http://", "https://user:word@example.org/",
     "http://example.org:99999/", "gopher://127.0.0.1/", "http://[::1", ""],
)  # fmt: skip
def test_only_web_addresses_without_passwords_are_read(fetcher, url) -> None:
    assert reason(fetcher.get(url)).endswith(".")


@pytest.mark.parametrize("port", [22, 25, 6379, 8080])
def test_only_the_web_s_own_ports_are_read(port) -> None:
    with Fetcher(Fetch(delay=0)) as fetcher:
        assert f"Port {port}" in reason(fetcher.get(f"http://example.org:{port}/"))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "169.254.169.254", "10.0.0.1",
     "[::ffff:127.0.0.1]", "192.168.1.1", "0.0.0.0", "100.64.0.1", "[fd00:ec2::254]", "[64:ff9b::7f00:1]",
     "[2002:7f00:1::]"],
)  # fmt: skip
def test_nothing_inside_is_read_however_its_address_is_written(host) -> None:
    with Fetcher(Fetch(delay=0, timeout=1)) as fetcher:
        answer = reason(fetcher.get(f"http://{host}/"))
    assert "inside a private network" in answer or "DNS" in answer


def test_a_name_is_looked_up_once_and_that_address_is_connected_to(faults) -> None:
    asked: list[str] = []

    def changing(host: str, _port: int) -> list[str]:
        asked.append(host)
        # A rebinding name: public when first asked, inside afterwards.
        return ["203.0.113.5"] if len(asked) == 1 else ["127.0.0.1"]

    with Fetcher(Fetch(delay=0), resolve=changing) as fetcher:
        assert "inside" in reason(fetcher.get("http://blog.example/"))
    assert asked == ["blog.example"]


def test_only_the_public_ones_of_a_name_s_addresses_are_tried() -> None:
    with Fetcher(Fetch(delay=0, timeout=0.3), resolve=lambda _host, _port: ["127.0.0.1", "10.1.2.3"]) as fetcher:
        assert "allow_private" in reason(fetcher.get("http://blog.example/"))


def test_redirects_are_followed_up_to_three(faults, fetcher) -> None:
    faults.says("/3", PAGE)
    for at in range(3):
        faults.says(f"/{at}", status=302, Location=f"/{at + 1}")
    answer = fetcher.get(faults.url + "/0")
    assert isinstance(answer, Fetched)
    assert answer.url == faults.url + "/3"
    faults.says("/begin", status=301, Location="/0")
    assert "more than 3" in reason(fetcher.get(faults.url + "/begin"))


def test_a_redirect_in_a_circle_ends(faults, fetcher) -> None:
    assert "redirects more than 3 times" in reason(fetcher.get(faults.says("/", status=302, Location="/")))
    assert len(faults.requests) == 4


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "file:///etc/passwd", "http://127.0.0.1:22/x",
     "http://[::ffff:169.254.169.254]/", "//169.254.169.254/", "https://localhost/"],
)  # fmt: skip
def test_a_redirect_to_the_inside_is_not_followed(faults, target) -> None:
    url = faults.says("/", status=302, Location=target)
    settings = Fetch(allow_private=(f"127.0.0.1:{faults.port}",), delay=0, timeout=1)
    with Fetcher(settings) as fetcher:
        assert isinstance(fetcher.get(url), Failed)


def test_a_source_outside_may_not_send_us_to_a_host_inside_that_the_operator_allows(faults) -> None:
    faults.says("/secret", PAGE)
    url = faults.says("/", status=302, Location=f"http://wiki.inside:{faults.port}/secret")
    settings = Fetch(allow_private=("wiki.inside", f"127.0.0.1:{faults.port}"), delay=0)
    with Fetcher(settings, resolve=lambda _host, _port: ["127.0.0.1"]) as fetcher:
        assert isinstance(fetcher.get(f"http://wiki.inside:{faults.port}/secret"), Fetched)
        answer = fetcher.get_article(f"http://wiki.inside:{faults.port}/secret", "https://blog.example/feed")
        assert "may not point to it" in reason(answer)
        assert isinstance(fetcher.get(url), Fetched)


def test_there_is_a_pause_between_two_requests_to_one_host(faults) -> None:
    pauses: list[float] = []
    ticks = iter([float(n) / 4 for n in range(1000)])
    url = faults.says("/", PAGE)
    settings = Fetch(allow_private=("127.0.0.1",), delay=300, timeout=500)
    with Fetcher(settings, sleep=pauses.append, clock=lambda: next(ticks)) as fetcher:
        fetcher.get(url)
        assert pauses == []
        fetcher.get(url)
    assert len(pauses) == 1
    assert 298 < pauses[0] <= 300


def test_robots_are_asked_where_an_article_redirects_to(faults, fetcher) -> None:
    faults.says("/robots.txt", b"User-agent: *\nDisallow: /a/secret\n", "text/plain")
    faults.says("/a/secret", PAGE)
    url = faults.says("/a/page", status=302, Location="/a/secret")
    assert "robots.txt" in reason(fetcher.get_article(url, faults.url))
    assert "/a/secret" not in [path for path, _ in faults.requests]
    assert isinstance(fetcher.get(url), Fetched)


def test_another_host_s_robots_are_asked_before_a_redirect_to_it_is_followed(faults) -> None:
    faults.says("/robots.txt", b"no", status=500)
    faults.says("/there", PAGE)
    other = f"http://other.example:{faults.port}"
    url = faults.says("/here", status=302, Location=f"{other}/there")
    hosts: list[str] = []

    def known(host: str, _port: int) -> list[str]:
        hosts.append(host)
        return ["127.0.0.1"]

    settings = Fetch(allow_private=("one.example", "other.example"), delay=0)
    with Fetcher(settings, resolve=known) as fetcher:
        fetcher._robots[f"http://one.example:{faults.port}"] = robots.Rules()
        answer = fetcher.get_article(url.replace("127.0.0.1", "one.example"), f"http://one.example:{faults.port}/")
    assert "Its robots.txt could not be read" in reason(answer)
    assert hosts == ["one.example", "other.example"]
    assert "/there" not in [path for path, _ in faults.requests]


def test_robots_are_asked_once_and_obeyed_for_articles(faults, fetcher) -> None:
    faults.says("/robots.txt", b"User-agent: *\nDisallow: /a/secret\n", "text/plain")
    page, secret = faults.says("/a/page", PAGE), faults.says("/a/secret/1", PAGE)
    assert isinstance(fetcher.get_article(page, faults.url), Fetched)
    assert "robots.txt" in reason(fetcher.get_article(secret, faults.url))
    assert isinstance(fetcher.get(secret), Fetched)
    assert [path for path, _ in faults.requests].count("/robots.txt") == 1


def test_without_robots_all_may_be_read_and_with_broken_ones_nothing(faults, inside) -> None:
    page = faults.says("/a", PAGE)
    with Fetcher(inside) as fetcher:
        assert isinstance(fetcher.get_article(page, faults.url), Fetched)
    faults.says("/robots.txt", b"oops", status=503)
    with Fetcher(inside) as fetcher:
        assert "robots.txt could not be read" in reason(fetcher.get_article(page, faults.url))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for blog.example on loopback, and a context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "blog.example")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("blog.example")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(start).not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())


def test_tls_keeps_the_name_though_the_address_was_looked_up_before(certificate) -> None:
    path, trusting = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    hosts: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hosts.append(self.headers.get("Host"))
            self.send_response(302 if self.path == "/down" else 200)
            if self.path == "/down":
                self.send_header("Location", "http://blog.example/")
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        settings = Fetch(allow_private=("blog.example", "other.example"), delay=0)
        known = lambda _host, _port: [str(ipaddress.ip_address("127.0.0.1"))]  # noqa: E731
        base = f"https://blog.example:{server.server_port}"
        with Fetcher(settings, resolve=known, tls=trusting) as fetcher:
            assert isinstance(fetcher.get(f"{base}/"), Fetched)
            assert "down to http" in reason(fetcher.get(f"{base}/down"))
            assert "not valid" in reason(fetcher.get(f"https://other.example:{server.server_port}/"))
        with Fetcher(settings, resolve=known) as fetcher:
            assert "certificate of blog.example is not valid" in reason(fetcher.get(f"{base}/"))
        assert asked[0] == "blog.example"
        assert hosts[0] == f"blog.example:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_plain_server_behind_https_is_told(faults, fetcher) -> None:
    answer = reason(fetcher.get(f"https://127.0.0.1:{faults.port}/"))
    assert "secure connection" in answer


def test_a_file_may_be_of_any_type_and_is_read_at_its_own_address_only(faults, fetcher) -> None:
    url = faults.says("/key.pem", b"-----BEGIN", "application/x-pem-file")
    answer = fetcher.get_file(url)
    assert isinstance(answer, Fetched)
    assert answer.body == b"-----BEGIN"
    elsewhere = faults.says("/moved.pem", status=302, Location="/key.pem")
    before = len(faults.requests)
    assert "at its own address only" in reason(fetcher.get_file(elsewhere))
    assert [path for path, _ in faults.requests[before:]] == ["/moved.pem"]


def test_a_file_is_not_fetched_from_inside(faults) -> None:
    url = faults.says("/key.pem", b"-----BEGIN", "application/x-pem-file")
    with Fetcher(Fetch(delay=0)) as fetcher:
        assert isinstance(fetcher.get_file(url), Failed)
        assert isinstance(fetcher.get_file(url.replace("127.0.0.1", "169.254.169.254")), Failed)
    assert faults.requests == []

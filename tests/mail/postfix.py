"""A Postfix of a test's own: TLS, log-in, greylisting and a real queue, in a folder that is gone afterwards.

Nothing of the machine's own mail system is touched: the instance has its own configuration, queue, data and ports, and
runs in the foreground as a child of the test. Its log comes through a pipe, and is what the test waits for.
"""

from __future__ import annotations

import base64
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

POSTFIX = shutil.which("postfix", path="/usr/sbin:/usr/local/sbin:/sbin")
PATIENCE = 60.0
"""Seconds that any one step of Postfix may take."""
LIFE = 600
"""Seconds after which an instance ends whose test has not ended it."""

MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = /dev/stdout
myhostname = relay.example.org
mydestination =
mynetworks =
alias_maps =
local_transport = error:there are no mailboxes here
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{sink}
smtp_tls_security_level = none
smtp_host_lookup = native
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {root}/etc/chain.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{policy}, permit_sasl_authenticated, reject
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 5
"""

MASTER = """\
127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def missing() -> str | None:
    """Why there can be no Postfix here, in a line; None where there can."""
    if POSTFIX is None:
        return "Postfix is not installed: apt-get install postfix (it need not be running)"
    if os.geteuid() != 0:
        return "Postfix starts as root only: run this test as root"
    return None


class Service:
    """A small server of lines on loopback, in a thread of its own: what Postfix asks questions of."""

    greeting = b""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The connections have ended with Postfix; only the door is left to close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            talk = threading.Thread(target=self._talk, args=(connection,), daemon=True)
            self._threads.append(talk)
            talk.start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            connection.sendall(self.greeting)
            asked: list[str] = []
            for line in lines:
                asked.append(line.decode().rstrip("\n"))
                if answer := self.answer(asked):
                    connection.sendall(answer)
                    asked.clear()

    def answer(self, asked: list[str]) -> bytes:
        """What to say to these lines; nothing while more are to come."""
        raise NotImplementedError


@dataclass
class Accounts(Service):
    """Who may send: an authentication server that speaks Dovecot's protocol, version 1.1."""

    users: dict[str, str]
    greeting = (
        b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n"
    )

    def answer(self, asked: list[str]) -> bytes:
        """`AUTH <id> PLAIN … resp=<base64 of NUL user NUL password>` is answered with OK or FAIL."""
        command, *words = asked.pop().split("\t")
        if command != "AUTH":
            return b""
        response = next(word.removeprefix("resp=") for word in words if word.startswith("resp="))
        _, user, password = base64.b64decode(response).decode().split("\0")
        verdict = "OK" if self.users.get(user) == password else "FAIL"
        return f"{verdict}\t{words[0]}\tuser={user}\n".encode()


@dataclass
class Greylist(Service):
    """A policy server that puts off each triplet of client, sender and recipient once (RFC 6647)."""

    put_off: list[str] = field(default_factory=list)
    """The recipients that were, in order."""
    known: set[tuple[str, str, str]] = field(default_factory=set)

    def answer(self, asked: list[str]) -> bytes:
        """A question is `name=value` lines and an empty one, and so is its answer."""
        if asked[-1]:
            return b""
        said = dict(line.split("=", 1) for line in asked[:-1])
        triplet = (said["client_address"], said["sender"], said["recipient"])
        if triplet in self.known:
            return b"action=dunno\n\n"
        self.known.add(triplet)
        self.put_off.append(said["recipient"])
        return b"action=defer_if_permit 4.2.0 Greylisted\n\n"


@dataclass
class Postfix:
    """Use as a context manager: the relay, running; `starttls` and `smtps` are its ports."""

    authority: trustme.CA
    sink: int
    """The port that everything is delivered on to."""
    accounts: Accounts
    greylist: Greylist
    log: list[str] = field(default_factory=list)
    _heard: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Self:
        self.starttls, self.smtps = _free_ports()
        # Not below pytest's own folder: Postfix's unprivileged parts could not come in.
        self._folder = Path(tempfile.mkdtemp(prefix="digest-postfix-"))
        self._folder.chmod(0o755)
        self._configure(self._folder / "etc")
        self._process = _start(self._folder / "etc")
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        try:
            self.wait("daemon started")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self, words: str, count: int = 1) -> list[str]:
        """Wait until the log has so many lines with these words; returns them. Raises `AssertionError` with the log."""
        with self._heard:
            in_time = self._heard.wait_for(lambda: len(self._lines(words)) >= count, PATIENCE)
            assert in_time, "\n".join(self.log)
            return self._lines(words)

    def rest(self) -> None:
        """Wait until whoever was connected has gone, and its lines are in the log."""
        self.wait(": disconnect from", len(self._lines(": connect from")))

    def _lines(self, words: str) -> list[str]:
        return [line for line in self.log if words in line]

    def forget(self) -> None:
        """Begin anew with an empty log and an empty greylist."""
        with self._heard:
            self.log.clear()
        self.greylist.known.clear()
        self.greylist.put_off.clear()

    def _configure(self, folder: Path) -> None:
        for place in (folder, self._folder / "queue"):
            place.mkdir()
        certificate = self.authority.issue_cert("localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "chain.pem"))
        values = {
            "root": self._folder,
            "sink": self.sink,
            "auth": self.accounts.port,
            "policy": self.greylist.port,
            "starttls": self.starttls,
            "smtps": self.smtps,
        }
        (folder / "main.cf").write_text(MAIN.format(**values))
        (folder / "master.cf").write_text(MASTER.format(**values))

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._heard:
                    self.log.append(line.rstrip("\n"))
                    self._heard.notify_all()

    def _stop(self) -> None:
        # The master takes its children with it.
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        shutil.rmtree(self._folder)


def _start(folder: Path) -> subprocess.Popen[str]:
    """Let Postfix make its queue, then start its master as a child of ours, logging to a pipe."""
    assert POSTFIX is not None
    subprocess.run([POSTFIX, "-c", folder, "check"], check=True, timeout=PATIENCE)
    asked = [f"{Path(POSTFIX).parent}/postconf", "-c", str(folder), "-h", "daemon_directory"]
    place = subprocess.run(asked, check=True, timeout=PATIENCE, capture_output=True, text=True).stdout.strip()
    # Should the test be killed, the master ends by itself after a while.
    command = [f"{place}/master", "-c", str(folder), "-s", "-e", str(LIFE)]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody has, below those that the kernel gives out by itself: nobody gets them meanwhile."""
    while True:
        ports = random.sample(range(20000, 30000), 2)
        try:
            with socket.create_server(("127.0.0.1", ports[0])), socket.create_server(("127.0.0.1", ports[1])):
                return ports[0], ports[1]
        except OSError:
            continue

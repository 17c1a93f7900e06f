"""How mails are damaged for the fuzz, the same for the same seed; and how many of them."""

from __future__ import annotations

import os
import random

COUNT = int(os.environ.get("FUZZ_BOUNCES", "1000"))
"""How many mutated mails are read: N-15 asks for 10,000, which an environment variable sets."""

TOKENS = (
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"--",
    b'Content-Type: multipart/report; boundary="x"\r\n\r\n--x\r\n',
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: message/delivery-status\r\n\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Action: failed\r\nStatus: 9.99.999\r\n",
    b"Feedback-Type: abuse\r\n",
    b"=?utf-8?b?////?=",
    b"=?x-unknown?q?=FF?=",
    b'charset="no-such"',
    b"boundary=",
    b";" * 500,
    b"(" * 500,
    b"5.1.1 " * 200,
    b"\xff\xfe\x80",
    b"a" * 5000,
    b"From: (((<@@@\r\n",
    b"filename*0*=utf-8''%ff%fe; filename*1=x",
    b"Authentication-Results: mx.example.org; dkim=pass header.d=reader.example\r\n",
    b'Authentication-Results: mx.example.org; spf=pass smtp.mailfrom="a; dmarc=pass"@x.example\r\n',
    b'"',
    b"\\",
    b'\\"' * 300,
    b'"(" ' * 300,
    b'reason="; dmarc=pass header.from=reader.example; "',
)


def mutate(rng: random.Random, octets: bytes) -> bytes:
    """A mail with some damage: octets changed, pieces doubled, swapped, cut out, or put in from elsewhere."""
    data = bytearray(octets)
    for _ in range(rng.randint(1, 12)):
        at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        match rng.randrange(6):
            case 0:
                for place in range(at, min(len(data), at + rng.randint(1, 8))):
                    data[place] = rng.randrange(256)
            case 1:
                data[at:at] = rng.choice(TOKENS)
            case 2:
                del data[at : min(to, at + 400)]
            case 3:
                data[at:at] = data[at : min(to, at + 2000)] * rng.randint(1, 8)
            case 4:
                lines = data.split(b"\r\n")
                rng.shuffle(lines)
                data = bytearray(b"\r\n".join(lines)) if rng.random() < 0.2 else data
            case _:
                data[at:to] = data[at:to].swapcase()
    return bytes(data)

"""An answer's body, decompressed within bounds: never more in memory than the limit, and no bombs (W-52)."""

from __future__ import annotations

import zlib

from digest.gather.network import FetchError

# Real pages and feeds shrink five- to thirtyfold; gzip's own limit is about a thousandfold.
RATIO = 100
SMALL = 256_000
"""Bytes below which the ratio does not matter."""
GZIP = b"\x1f\x8b"
MEMBERS = 100
"""Members of one gzip stream: real ones have one. What follows a member is copied, so that many cost much."""


class Body:
    """Takes an answer's raw chunks and keeps what they say, decompressed."""

    def __init__(self, encoding: str, limit: int) -> None:
        """`encoding` is the Content-Encoding, `limit` the most decompressed bytes. Raises `FetchError`."""
        self._limit, self._raw = limit, 0
        self._out = bytearray()
        self._inflater: _Inflater | None = None
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._inflater = _Inflater(is_gzip=encoding != "deflate")
        elif encoding not in ("", "identity"):
            raise FetchError(f"The answer is compressed in a way that was not asked for ({encoding[:20]}).")

    def feed(self, chunk: bytes) -> None:
        """Take a chunk. Raises `FetchError` when it is too much, a bomb, or broken."""
        self._raw += len(chunk)
        room = self._limit + 1 - len(self._out)
        self._out += self._inflater.inflate(chunk, room) if self._inflater else chunk
        # What was not unpacked for want of room says nothing of the ratio.
        if self._inflater and len(self._out) > max(SMALL, RATIO * (self._raw - self._inflater.left)):
            raise FetchError("The answer is a decompression bomb: it unpacks to more than a hundred times its size.")
        if len(self._out) > self._limit:
            raise FetchError(too_large(self._limit))

    def finish(self) -> bytes:
        """The whole body. Raises `FetchError` if the compressed data broke off."""
        if self._inflater and self._raw and not self._inflater.is_complete:
            raise FetchError("The answer broke off: its compressed data is incomplete.")
        return bytes(self._out)


def gunzip(data: bytes, limit: int) -> bytes:
    """Unpack a gzip *file* (`sitemap.xml.gz`), within the same bounds; anything else stays as it is."""
    if not data.startswith(GZIP):
        return data
    body = Body("gzip", limit)
    body.feed(data)
    return body.finish()


def too_large(limit: int) -> str:
    """The sentence for an answer over the limit."""
    return f"The answer is larger than {limit / 1_000_000:g} MB."


class _Inflater:
    """gzip (several members too) or deflate, in both of its readings (RFC 9110 §8.4.1.2 and what servers do)."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._began = False
        self._members = 1
        self._engine = zlib.decompressobj(31 if is_gzip else 15)
        self.left = 0
        """Bytes of the last chunk for which there was no room."""

    @property
    def is_complete(self) -> bool:
        return self._engine.eof

    def inflate(self, data: bytes, room: int) -> bytes:
        out = bytearray()
        while data and room > len(out):
            if self._engine.eof:
                if not (self._is_gzip and data.startswith(GZIP)):
                    break  # Padding after the last member is not ours to read.
                self._members += 1
                if self._members > MEMBERS:
                    raise FetchError(f"The answer is compressed in more than {MEMBERS} pieces.")
                self._engine = zlib.decompressobj(31)
            out += self._piece(data, room - len(out))
            data = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
        self.left = len(data)
        return bytes(out)

    def _piece(self, data: bytes, room: int) -> bytes:
        try:
            piece = self._engine.decompress(data, room)
        except zlib.error as error:
            if self._is_gzip or self._began:
                raise FetchError("The answer's compressed data is broken.") from error
            self._engine = zlib.decompressobj(-15)
            self._began = True
            return self._piece(data, room)
        self._began = True
        return piece

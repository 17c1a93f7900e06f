"""Small abstract pictures for the sample blog, drawn with the standard library alone."""

from __future__ import annotations

import colorsys
import math
import struct
import zlib

WIDTH, HEIGHT = 1023, 575


def draw(hue: int) -> bytes:
    """A PNG of 1023 by 575 pixels: a low sun over ranges of hills, in shades of a hue (degrees)."""
    rows = [bytearray(_sky(hue, y) * WIDTH) for y in range(HEIGHT)]
    _sun(rows, hue)
    for depth in range(4):
        _hills(rows, hue, depth)
    return _png(rows)


def _colour(hue: float, saturation: float, lightness: float) -> bytes:
    red, green, blue = colorsys.hls_to_rgb(hue % 360 / 360, lightness, saturation)
    return bytes(round(part * 255) for part in (red, green, blue))


def _sky(hue: int, y: int) -> bytes:
    return _colour(hue + 30 * y / HEIGHT, 0.45, 0.62 + 0.28 * y / HEIGHT)


def _sun(rows: list[bytearray], hue: int) -> None:
    radius, centre_x, centre_y = 78, WIDTH * (0.25 + hue % 100 / 200), HEIGHT * 0.42
    colour = _colour(hue + 45, 0.7, 0.92)
    for y in range(round(centre_y - radius) + 1, round(centre_y + radius)):
        half = math.sqrt(max(0.0, radius**2 - (y - centre_y) ** 2))
        _span(rows[y], round(centre_x - half), round(centre_x + half), colour)


def _hills(rows: list[bytearray], hue: int, depth: int) -> None:
    """One range, nearer and darker with its depth: upright strips, three pixels wide, filled from their crest down."""
    colour = _colour(hue + 12 * depth, 0.38, 0.55 - 0.12 * depth)
    base = HEIGHT * (0.52 + 0.11 * depth)
    step = 3
    for x in range(0, WIDTH, step):
        wave = math.sin(x / (170 - 25 * depth) + hue + depth * 2) + 0.5 * math.sin(x / (67 - 9 * depth) + hue * 2)
        for y in range(max(0, round(base + 34 * wave)), HEIGHT):
            rows[y][x * 3 : (x + step) * 3] = colour * step


def _span(row: bytearray, start: int, end: int, colour: bytes) -> None:
    start, end = max(0, start), min(WIDTH, end)
    row[start * 3 : end * 3] = colour * (end - start)


def _png(rows: list[bytearray]) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    parts = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )

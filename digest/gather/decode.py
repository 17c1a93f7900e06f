"""Bytes to text, whatever their header or declaration claims; and no document types (W-53). Pure."""

from __future__ import annotations

import codecs
import re

from digest.gather.entry import Unreadable

_XML = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")
_META = re.compile(rb"""<meta[^>]+?charset\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE)
_DECLARATION = re.compile(r"^\s*<\?xml\b.*?\?>", re.DOTALL)
_PROLOG = re.compile(r"(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"))
_BOMS_16 = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# What the web means by these names (WHATWG Encoding §4.2).
_SUPERSETS = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252",
              "iso-8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030", "ks_c_5601-1987": "cp949",
              "euc-kr": "cp949", "shift_jis": "cp932"}  # fmt: skip
# Written in plain ASCII bytes, so that other readings of the bytes may differ from what a browser would show.
_REFUSED = ("utf-7", "utf7", "hz", "unicode-escape", "raw-unicode-escape", "idna", "punycode", "base64", "rot13")
_HEAD = 4096


def xml_text(data: bytes, charset: str | None) -> str:
    """The text of an XML document, without its declaration. Raises `Unreadable` for a document type or entities."""
    declared = _XML.search(data[:_HEAD])
    text = _DECLARATION.sub("", _decode(data, charset, declared[1] if declared else None), count=1)
    # A document type can only stand before the first element; in CDATA it is somebody's text about HTML.
    prolog = _PROLOG.match(text)
    if text[prolog.end() if prolog else 0 :][:2] == "<!":
        raise Unreadable("It declares a document type or entities, which are not read (they can be bombs).")
    return text


def html_text(data: bytes, charset: str | None) -> str:
    """The text of a page."""
    declared = _META.search(data[:_HEAD]) or _XML.search(data[:_HEAD])
    return _DECLARATION.sub("", _decode(data, charset, declared[1] if declared else None), count=1)


def _decode(data: bytes, charset: str | None, declared: bytes | None) -> str:
    """A byte order mark wins; then UTF-8 if the bytes can be nothing else; then header, declaration, a guess."""
    for bom, name in (*_BOMS, *_BOMS_16):
        if data.startswith(bom):
            return _clean(data.decode(name, "replace"))
    if data[:4] in (b"<\0?\0", b"\0<\0?"):
        return _clean(data.decode("utf-16-le" if data[:1] == b"<" else "utf-16-be", "replace"))
    claimed = (_known(charset), _known(declared.decode("ascii") if declared else None))
    names = [name for name in (*claimed, "utf-8") if name]
    for name in names if data.isascii() else ["utf-8", *names]:
        try:
            return _clean(data.decode(name))
        except (UnicodeDecodeError, LookupError):
            continue
    return _clean(_damaged(data))


def _damaged(data: bytes) -> str:
    """UTF-8 with a few broken bytes, else one of the two commonest single-byte encodings."""
    text = data.decode("utf-8", "replace")
    if text.count("\ufffd") * 20 < sum(character > "\x7f" for character in text):
        return text
    try:
        return data.decode(_guess(data))
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _known(name: str | None) -> str | None:
    low = (name or "").strip().lower()
    # The others here are no encodings of text, or read ASCII bytes as something else than a browser would.
    return None if low.replace("_", "-") in _REFUSED or not low else _SUPERSETS.get(low, low)


def _guess(data: bytes) -> str:
    """Windows-1251 where the high bytes come in runs, as letters of Cyrillic words do; else Windows-1252."""
    high = len(re.findall(rb"[\x80-\xff]", data))
    in_runs = sum(len(run) for run in re.findall(rb"[\xc0-\xff\xa8\xb8]{3,}", data))
    return "cp1251" if high and in_runs / high > 0.6 else "cp1252"  # noqa: PLR2004 -- a share, explained above.


def _clean(text: str) -> str:
    """No parser takes NUL and the like; they are no part of any text."""
    return re.sub("[\0-\x08\x0b\x0c\x0e-\x1f\ufeff\ufffe\uffff\ud800-\udfff]", "", text)

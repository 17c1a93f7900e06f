"""Each input here beside what is to be read from it: adding a case is adding two files.

The kind is the first word of the name: `article`, `listing`, `flow`, `feed` or `sitemap`. Only the fields that the
expectation names are compared.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from digest.gather.article import read_article
from digest.gather.decode import html_text
from digest.gather.entry import Entry, Unreadable
from digest.gather.feed import read_feed
from digest.gather.page import read_page
from digest.gather.sitemap import read_sitemap

HERE = Path(__file__).parent
CASES = sorted(path.name.removesuffix(".expected.json") for path in HERE.glob("*.expected.json"))


def read(name: str, url: str) -> list[Entry]:
    (path,) = [one for one in HERE.glob(f"{name}.*") if not one.name.endswith(".expected.json")]
    data = path.read_bytes()
    match name.partition("-")[0]:
        case "article":
            return [read_article(html_text(data, None), url)]
        case "listing" | "flow":
            return read_page(html_text(data, None), url)
        case "feed":
            return read_feed(data, url)
        case "sitemap":
            return read_sitemap(data, url)
    raise AssertionError(name)


def shown(entry: Entry, wanted: dict[str, Any]) -> dict[str, Any]:
    found = {field: getattr(entry, field) for field in wanted}
    # A line's end in the middle of a paragraph is a blank, in files as in browsers.
    return {
        field: value.isoformat() if isinstance(value, dt.datetime) else " ".join(value.split()) if value else value
        for field, value in found.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_a_pair_agrees(name: str) -> None:
    expected = json.loads((HERE / f"{name}.expected.json").read_text(encoding="utf-8"))
    url = expected.pop("url")
    if "unreadable" in expected:
        with pytest.raises(Unreadable, match=expected["unreadable"]):
            read(name, url)
        return
    wanted = expected.get("entries", [expected])
    entries = read(name, url)
    assert [shown(entry, one) for entry, one in zip(entries, wanted, strict=True)] == wanted
    for entry in entries:
        etree.fromstring(f"<body>{entry.body}</body>")

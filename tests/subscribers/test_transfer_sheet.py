"""Reading files of rows: every encoding and delimiter, and nothing that a file holds can stop or swallow the rest."""

import codecs
import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscribers.transfer.cells import escaped, unescaped
from subscribers.transfer.sheet import LONGEST_LINE, LONGEST_ROW, BadSheet, Broken, Layout, open_sheet

SEVERAL = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def rows_of(path: Path, layout: Layout | None = None) -> list[list[str] | Broken]:
    with open_sheet(path) as sheet:
        sheet.layout = layout or Layout()
        return [row if isinstance(row, Broken) else row[1] for row in sheet.rows()]


def good(path: Path) -> list[list[str]]:
    return [row for row in rows_of(path) if isinstance(row, list)]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
    ],
)
def test_unicode_is_read_with_and_without_a_mark(tmp_path: Path, encoding: str, mark: bytes):
    path = tmp_path / "list.csv"
    path.write_bytes(mark + "email,name\nzoe@example.org,Zoë Ünal\n".encode(encoding))
    with open_sheet(path) as sheet:
        assert sheet.is_certain
    assert rows_of(path) == [["email", "name"], ["zoe@example.org", "Zoë Ünal"]]


def test_what_is_no_utf_8_is_read_as_windows_1252_and_said_to_be_uncertain(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"email,name\n" + b"a@example.org,plain\n" * 500 + "z@example.org,Zoë\n".encode("cp1252"))
    with open_sheet(path) as sheet:
        assert (sheet.encoding, sheet.is_certain) == ("cp1252", False)
    assert good(path)[-1] == ["z@example.org", "Zoë"]


def test_a_quote_that_never_ends_costs_its_own_line_alone(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text('email,note\n"a@example.org,never closed\n' + "".join(f"r{n}@example.org,x\n" for n in range(300)))
    rows = rows_of(path)
    assert [row.line for row in rows if isinstance(row, Broken)] == [2]
    assert len(rows) == 302


def test_a_line_without_an_end_costs_itself_alone_and_no_memory(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text("email,note\nfirst@example.org,x\nlong," + "y" * (LONGEST_LINE * 3) + "\nlast@example.org,x\n")
    rows = rows_of(path)
    assert [len(row.cells[0]) <= LONGEST_LINE for row in rows if isinstance(row, Broken)] == [True]
    assert [row[0] for row in rows if isinstance(row, list)] == ["email", "first@example.org", "last@example.org"]


def test_a_long_line_within_an_open_quote_is_found_broken_once(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text('email,note\n"open,x\n' + "y" * (LONGEST_LINE + 9) + "\nlast@example.org,x\n")
    rows = rows_of(path)
    assert [row.line for row in rows if isinstance(row, Broken)] == [2, 3]
    assert rows[-1] == ["last@example.org", "x"]


def test_breaks_within_quotes_belong_to_their_row_up_to_a_bound(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text('email,note\na@example.org,"one\ntwo\r\nthree"\nb@example.org,"' + "\n" * LONGEST_ROW + '"\n')
    rows = rows_of(path)
    assert rows[1] == ["a@example.org", "one\ntwo\r\nthree"]
    assert isinstance(rows[2], Broken)


def test_mailpoets_backslash_before_a_quote_is_understood(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text('"a@example.org","Ann \\"the pen\\" Person"\n')
    assert rows_of(path, Layout(backslash=True)) == [["a@example.org", 'Ann "the pen" Person']]


@pytest.mark.parametrize("content", [b"", None])
def test_what_is_no_file_with_rows_is_refused_with_a_sentence(tmp_path: Path, content: bytes | None):
    path = tmp_path / "list.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSheet, match=r"list\.csv"), open_sheet(path):
        pass


@SEVERAL
@given(st.lists(st.lists(st.text(max_size=30), min_size=2, max_size=4), max_size=8), st.sampled_from(",;\t|"))
def test_what_a_csv_writer_writes_is_read_as_it_was(tmp_path: Path, rows: list[list[str]], delimiter: str):
    path = tmp_path / "list.csv"
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["head", "head"], *rows])
    path.write_bytes(text.getvalue().encode("utf-8", "replace"))
    wanted = [[cell.encode("utf-8", "replace").decode() for cell in row] for row in rows]
    if sum(cell.count("\n") + cell.count("\r") for row in rows for cell in row) < LONGEST_ROW:
        assert rows_of(path, Layout(delimiter))[1:] == wanted


@SEVERAL
@given(st.binary(min_size=1, max_size=400) | st.text('"\\,;\n\r\0ax@.', min_size=1).map(str.encode))
def test_no_octets_whatever_stop_the_reader_or_hide_the_last_line(tmp_path: Path, noise: bytes):
    path = tmp_path / "list.csv"
    noise = noise.replace(codecs.BOM_UTF16_LE, b"").replace(codecs.BOM_UTF16_BE, b"")
    path.write_bytes(b"email,name\n" * 200 + noise + b"\nlast@example.org,Last\n")
    rows = rows_of(path)
    swallowed = any("last@example.org,Last" in cell for row in rows if isinstance(row, list) for cell in row)
    assert rows[-1] == ["last@example.org", "Last"] or swallowed


@given(st.text() | st.text("'=+-@\t\r\n;,|ax"))
def test_an_escaped_cell_is_no_formula_and_comes_back_as_it_was(cell: str):
    assert unescaped(escaped(cell)) == cell
    assert not escaped(cell).startswith(tuple("=+-@\t\r\n"))
    # Wherever a program splits it that takes another sign for the end of a cell.
    assert not any(part.startswith(tuple("=+-@")) for part in re.split(r"[;,|\t\r\n]", escaped(cell)))

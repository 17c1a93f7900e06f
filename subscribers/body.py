"""What a form sends, read within limits (W-17). Pure.

The web framework's own reader of URL-encoded bodies keeps the last 1024 of them in a cache, addresses and all; the one
here keeps nothing (E-08).
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, parse_options_header

MAX_BODY = 64 * 1024
"""Octets."""
MAX_FIELDS = 20


class BadForm(ValueError):
    """The body is no form, or has more fields than any form of ours."""


def read_form(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of a form; of two with one name the last counts, and files are left out. Raises `BadForm`.

    What does not say that it is `multipart/form-data` is read as URL-encoded.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return _multipart(body, options.get(b"boundary", b""))
    try:
        text = body.decode("utf-8", "replace")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace"))
    except ValueError as error:
        raise BadForm("the form has too many fields") from error


def _multipart(body: bytes, boundary: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen > MAX_FIELDS:
            raise BadForm("the form has too many fields")

    def on_field(field: Field) -> None:
        count()
        fields[(field.field_name or b"").decode("utf-8", "replace")] = (field.value or b"").decode("utf-8", "replace")

    try:
        parser = FormParser("multipart/form-data", on_field, lambda _file: count(), boundary=boundary)
        parser.write(body)
        parser.finalize()
        parser.close()
    except FormParserError as error:
        raise BadForm("the body is not what its Content-Type says") from error
    return fields

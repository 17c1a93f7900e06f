"""Whether a program wrote a mail: such a one is never answered (F-35; RFC 3834 §2, RFC 5321 §6.1). Pure."""

from __future__ import annotations

from digest.inbound.mime import Part

_PRECEDENCES = ("bulk", "list", "junk", "auto_reply")
_MARKS = ("x-autoreply", "x-autorespond", "x-loop")


def is_automatic(mail: Part, sender: str | None) -> bool:
    """Whether no person wrote it, by any of the ways in which programs say so.

    `sender` is the envelope's; empty for the null return path, none where nobody said.
    """
    submitted = mail.first("auto-submitted").split(";")[0].strip().lower()
    return_path = mail.first("return-path").strip()
    return (
        sender == ""
        or return_path == "<>"
        or submitted not in ("", "no")
        or mail.first("precedence").strip().lower() in _PRECEDENCES
        or any(name.startswith("list-") or name in _MARKS for name, _ in mail.fields)
        or mail.kind == "multipart/report"
    )

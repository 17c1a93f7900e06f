"""The desk's words for things, and the sentences that follow a change. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from digest.models import IssueState, LogEntry

STATES: Mapping[IssueState, str] = {
    IssueState.DRAFT: "Draft",
    IssueState.HELD: "On hold",
    IssueState.APPROVED: "Approved",
    IssueState.SENDING: "Going out",
    IssueState.PAUSED: "Paused",
    IssueState.SENT: "Sent",
    IssueState.CANCELLED: "Cancelled",
}

# After a change the browser is sent to `?done=<code>`: only these sentences can be shown, never text from an address.
DONE: Mapping[str, str] = {
    "saved": "Saved.",
    "same": "There was nothing new to save.",
    "withdrawn-by-change": "Saved. The approval was of the text before, so it is taken back: please approve once more.",
    "moved": "Moved.",
    "included": "The story is in.",
    "added": "The story is in, at the end of its section.",
    "added-already": "That story was in the issue already.",
    "added-outside": "The story is in. It was published outside this issue’s window.",
    "added-twice": "The story is in. Another issue has it as well.",
    "undone": "Undone.",
    "redone": "Done again.",
    "restored": "The issue says again what it said then. What stood before is kept in its history.",
    "left-out": "The story is left out. It stays here, in case.",
    "approved": "Approved. It goes out at its hour; any change before then takes the approval back.",
    "withdrawn": "The approval is taken back.",
    "held": "On hold. It does not go out until somebody approves it.",
    "sending": "It is going out now.",
    "paused": "Paused. Whatever has not left yet waits.",
    "resumed": "Going on where it stopped.",
    "cancelled": "Cancelled. No further copy leaves.",
    "tested": "A test copy is on its way to you.",
    "drafted": "Here is the draft.",
    "looked": "What came in after the draft was opened is now offered among the stories, left out until you put it in.",
}

ACTIONS: Mapping[str, str] = {
    "draft": "opened the draft",
    "edit": "edited",
    "move": "moved",
    "include": "put in",
    "leave out": "left out",
    "approve": "approved",
    "withdraw": "took the approval back",
    "hold": "put on hold",
    "freeze": "started sending",
    "publish": "started sending",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "finish": "finished sending",
    "reopen": "sent unknown copies again",
    "resolve": "settled unknown copies",
    "alarm": "told the newsroom that sending stopped",
    "slow": "slowed down",
    "test-send": "sent a test copy",
    "offer": "offered newer stories",
    "undo": "undid",
    "redo": "did again",
    "restore": "went back",
    "add": "added",
}


def action(entry: LogEntry) -> str:
    """What an entry of the log says was done."""
    return ACTIONS.get(entry.action, entry.action.replace("-", " "))

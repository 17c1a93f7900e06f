"""The desk's words for things, and the sentences that follow a change. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from digest.models import Issue, IssueState, LogEntry

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
    "approved-first": "Your approval stands. The issue goes out at its hour once somebody else approves it too.",
    "withdrawn": "The approval is taken back.",
    "held": "On hold. It does not go out until somebody approves it.",
    "sending": "It is going out now.",
    "paused": "Paused. Whatever has not left yet waits.",
    "resumed": "Going on where it stopped.",
    "cancelled": "Cancelled. No copy leaves.",
    "recalled": "Recalled. What had not left stays here; the account says how many got it.",
    "tested": "A test copy is on its way to you.",
    "asked": "The links are being looked at. Give it a minute or so, and load this page again.",
    "taken": "The story has its source’s text of now.",
    "kept": "Your text stays.",
    "followed": "The story links to the new address.",
    "drafted": "Here is the draft.",
    "week-skipped": "There is no issue that week. The next one reaches back over it.",
    "week-moved": "Moved. The cut-off has moved along with it.",
    "week-restored": "The week is as usual again.",
    "looked": "What came in after the draft was opened is now offered among the stories, left out until you put it in.",
}

ACTIONS: Mapping[str, str] = {
    "draft": "opened the draft",
    "edit": "edited",
    "move": "moved",
    "include": "put in",
    "leave out": "left out",
    "approve": "approved",
    "override": "approved in spite of a check:",
    "keep": "compared with its source, and kept:",
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
    "overdue": "told the newsroom that the issue had not left",
    "remind": "reminded the newsroom",
    "slow": "slowed down",
    "test-send": "sent a test copy",
    "offer": "offered newer stories",
    "undo": "undid",
    "redo": "did again",
    "restore": "went back",
    "add": "added",
    "skip-week": "skipped the week",
    "move-week": "moved the sending",
    "restore-week": "took a change of the calendar back",
    "bring back": "brought the draft back",
    "looked-up": "looked a reader up:",
    "logged-in": "logged in",
    "logged-out": "logged out",
    "log-in-failed": "typed a wrong name or password",
    "code-failed": "typed a wrong code",
    "recovery-code": "used a recovery code",
    "recovery-codes": "made new recovery codes",
    "passkey-failed": "tried a passkey that is not known",
    "provider-failed": "could not log in by the provider",
    "provider-unknown": "came by the provider and is not known here",
    "provider-tied": "tied an account to the provider",
    "role-kept": "kept a role that the provider no longer gives",
    "user-added": "added an account",
    "first-account": "made the first account",
    "password-changed": "changed a password",
    "app-added": "switched an authenticator app on",
    "app-removed": "switched an authenticator app off",
    "passkey-added": "added a passkey",
    "passkey-removed": "removed a passkey",
    "address-changed": "gave an address",
    "address-removed": "removed an address",
    "address-confirmed": "confirmed an address",
    "sessions-ended": "ended sessions",
    "invited": "invited somebody",
    "invitation-taken-back": "took an invitation back",
    "made-way-in": "made a link to come in by",
    "came-by-link": "came in by a link",
    "role-changed": "changed a role",
    "disabled": "kept somebody out",
    "enabled": "let somebody in again",
    "factors-reset": "reset a second factor",
}


RECALLED = "Recalled"
"""What a cancelled issue is called of which copies may have left."""


def state_word(issue: Issue) -> str:
    """Where an issue stands, in a word."""
    is_recalled = issue.state is IssueState.CANCELLED and issue.frozen_at is not None
    return RECALLED if is_recalled else STATES[issue.state]


def action(entry: LogEntry) -> str:
    """What an entry of the log says was done."""
    return ACTIONS.get(entry.action, entry.action.replace("-", " "))

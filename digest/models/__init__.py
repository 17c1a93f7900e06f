"""Tables of the weekly issue. Importing them here is what makes every one of them known to Alembic."""

from digest.models.access import DeskLink, LoginStep, Passkey, ProviderTie, RecoveryCode, StepKind, TotpSecret
from digest.models.arrivals import Arrival, ArrivalState, Bounce
from digest.models.calendar import CalendarChange, ChangeKind
from digest.models.checks import KeptOverride, Link, MailScore, PostVersion
from digest.models.deliveries import Delivery, DeliveryState, Lease, Quota, Report, SlowLane
from digest.models.desk import Beat, DeskSession, LogEntry, User
from digest.models.issues import RENDERINGS, Approval, Issue, IssueState, Item, Revision
from digest.models.search import SearchEntry
from digest.models.sources import Post, SourceState

__all__ = [
    "RENDERINGS",
    "Approval",
    "Arrival",
    "ArrivalState",
    "Beat",
    "Bounce",
    "CalendarChange",
    "ChangeKind",
    "Delivery",
    "DeliveryState",
    "DeskLink",
    "DeskSession",
    "Issue",
    "IssueState",
    "Item",
    "KeptOverride",
    "Lease",
    "Link",
    "LogEntry",
    "LoginStep",
    "MailScore",
    "Passkey",
    "Post",
    "PostVersion",
    "ProviderTie",
    "Quota",
    "RecoveryCode",
    "Report",
    "Revision",
    "SearchEntry",
    "SlowLane",
    "SourceState",
    "StepKind",
    "TotpSecret",
    "User",
]

"""Tables of the weekly issue. Importing them here is what makes every one of them known to Alembic."""

from digest.models.access import DeskLink, LoginStep, Passkey, ProviderTie, RecoveryCode, StepKind, TotpSecret
from digest.models.arrivals import Arrival, ArrivalState, Bounce
from digest.models.deliveries import Delivery, DeliveryState, Lease, Quota, Report, SlowLane
from digest.models.desk import DeskSession, LogEntry, User
from digest.models.issues import RENDERINGS, Issue, IssueState, Item
from digest.models.sources import Post, SourceState

__all__ = [
    "RENDERINGS",
    "Arrival",
    "ArrivalState",
    "Bounce",
    "Delivery",
    "DeliveryState",
    "DeskLink",
    "DeskSession",
    "Issue",
    "IssueState",
    "Item",
    "Lease",
    "LogEntry",
    "LoginStep",
    "Passkey",
    "Post",
    "ProviderTie",
    "Quota",
    "RecoveryCode",
    "Report",
    "SlowLane",
    "SourceState",
    "StepKind",
    "TotpSecret",
    "User",
]

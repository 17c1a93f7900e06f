"""Tables of the weekly issue. Importing them here is what makes every one of them known to Alembic."""

from digest.models.arrivals import Arrival, ArrivalState, Bounce
from digest.models.calendar import CalendarChange, ChangeKind
from digest.models.deliveries import Delivery, DeliveryState, Lease, Quota, Report, SlowLane
from digest.models.desk import DeskSession, LogEntry, User
from digest.models.issues import RENDERINGS, Issue, IssueState, Item
from digest.models.search import SearchEntry
from digest.models.sources import Post, SourceState

__all__ = [
    "RENDERINGS",
    "Arrival",
    "ArrivalState",
    "Bounce",
    "CalendarChange",
    "ChangeKind",
    "Delivery",
    "DeliveryState",
    "DeskSession",
    "Issue",
    "IssueState",
    "Item",
    "Lease",
    "LogEntry",
    "Post",
    "Quota",
    "Report",
    "SearchEntry",
    "SlowLane",
    "SourceState",
    "User",
]

"""Overrides: a publisher lets an issue out in spite of a finding, by name and with a reason.

An override is of one finding's key in one issue. So it holds whatever else is edited, and says nothing any more once
the text, the link or the story that it was about is another. It is kept and logged with who gave it, and never removed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues import log
from digest.issues.outcomes import Finding, Overridden, Override, Refused
from digest.issues.text import one_line
from digest.models import Issue, KeptOverride

REASON_LIMIT = 300
ACTION = "override"


def standing(session: Session, issue_id: int) -> Mapping[str, Overridden]:
    """The overrides that an issue has, by the keys of their findings."""
    found = session.scalars(sa.select(KeptOverride).where(KeptOverride.issue_id == issue_id))
    return {one.key: Overridden(one.who, one.at, one.reason) for one in found}


def applied(findings: Sequence[Finding], overrides: Mapping[str, Overridden]) -> list[Finding]:
    """The findings, those marked that block and are overridden. Pure."""
    return [_applied(finding, overrides) for finding in findings]


def _applied(finding: Finding, overrides: Mapping[str, Overridden]) -> Finding:
    given = overrides.get(finding.key)
    if given is None or finding.level != "blocks" or finding.is_final:
        return finding
    return replace(finding, level="overridden", overridden=given)


def override(
    session: Session,
    issue: Issue,
    findings: Sequence[Finding],
    asked: Sequence[Override],
    *,
    who: str,
    now: dt.datetime,
) -> Refused | None:
    """Keep and log what is asked for, where every finding that blocks has a reason; else the refusal, nothing kept.

    `issue` is locked. What is asked for where nothing blocks is not kept: it has no object any more.
    """
    reasons = {one.key: one_line(one.reason)[:REASON_LIMIT] for one in asked if one_line(one.reason)}
    blocking = {finding.key: finding for finding in findings if finding.level == "blocks"}
    left = tuple(finding for key, finding in blocking.items() if finding.is_final or key not in reasons)
    if left:
        return Refused(_why_not(issue, left), left)
    for key, finding in blocking.items():
        row = KeptOverride(issue_id=issue.id, key=key, code=finding.code, place=finding.where, why=finding.why)
        row.who, row.at, row.reason = one_line(who), now, reasons[key]
        session.add(row)
        detail = f"{finding.where}: {finding.why} Because: {row.reason}"
        log.append(session, at=now, who=who, action=ACTION, about=issue.name, detail=detail)
    return None


def _why_not(issue: Issue, left: Sequence[Finding]) -> str:
    first = f"{left[0].where}: {left[0].why}"
    if all(finding.is_final for finding in left):
        hint = "No reason can override that; it has to be put right."
    else:
        hint = "Put it right, or give a reason for each that can be overridden."
    return f"{issue.name} has {len(left)} finding(s) that block it, first {first} {hint}"

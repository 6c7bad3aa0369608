"""Hidden counts must not follow from shown ones by subtraction.

Needed only where counts are exact: once they are rounded, a difference of two of them says nothing certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from cohorts.errors import PrivacyError
from workflows.reports.content import SUPPRESSED, CohortContent, Count, FlowStep


def require_no_subtraction(content: CohortContent) -> None:
    """Refuse exact tables in which a single hidden count is the rest of a sum.

    Raises
    ------
    PrivacyError
        Names the table. Raised only where ``content.disclosure.rounded_to`` is 1.
    """
    if content.disclosure.rounded_to > 1:
        return
    _flow(content.attrition, "attrition")
    if content.qc is not None:
        _flow(content.qc.people_flow, "qc.people_flow")
    for row in content.intake:
        where = f"intake {row.source}/{row.table}"
        _sum(row.read, (row.accepted, row.rejected), where)
        _sum(row.rejected, [reason.rows for reason in row.reasons], f"{where} reasons")
    for phenotype in content.phenotypes:
        _sum(
            phenotype.cases,
            [cell.cases for cell in phenotype.cells],
            f"phenotype {phenotype.name} by age and sex",
        )
    if content.linkage is not None:
        _sum(content.linkage.records, [m.people for m in content.linkage.by_method], "linkage.by_method")


def _flow(steps: Sequence[FlowStep], where: str) -> None:
    for before, after in pairwise(steps):
        _sum(before.remaining, (after.removed, after.remaining), f"{where} at {after.label!r}")


def _sum(total: Count | None, parts: Iterable[Count | None], where: str) -> None:
    """Refuse exactly one hidden part of a shown total, or a hidden total of shown parts."""
    row = list(parts)
    if not row or any(part is None for part in row) or total is None:
        return
    hidden = [part for part in (total, *row) if part == SUPPRESSED]
    if len(hidden) == 1:
        raise PrivacyError(
            "a hidden count follows from the others by subtraction",
            where=where,
            found="one hidden count in a sum that is otherwise shown",
            expected="a second hidden count, no total, or counts rounded to 5",
            fix="round the counts (Disclosure(rounded_to=5)) or leave the neighbouring total out",
        )

"""The part of the risk report that speaks to the patient, in words a child of eleven can read."""

from __future__ import annotations

from workflows.reports.content import PatientOutcome


def risk_leaf(
    outcome: PatientOutcome, *, who: str, n: int, range_words: str, past_day: str = ""
) -> tuple[str, ...]:
    """What the risk means, what it does not, and whom to ask.

    Parameters
    ----------
    outcome
        Its plain name and years are used.
    who
        'women' or 'men'.
    n, range_words
        Number of 100 people, and its range in words, as on the first page.
    past_day
        The day that the report looks back to, where its time is over.
    """
    would = "Fewer than 1" if n == 0 else f"About {min(n, 99)}"
    years = f"{outcome.horizon_years} years"
    when = f"in the {years} from that day" if past_day else f"in the next {years}"
    return (
        *((f"This looks back to {past_day}. It does not tell your risk today.",) if past_day else ()),
        f"Think of 100 {who} of your age{' on that day' if past_day else ''}, with health and genes like yours. "
        f"{would} of them would get {outcome.plain_name} {when}. The others would not. "
        "No one can tell who will and who will not.",
        f"We are not sure of this number. It could be {range_words}. Your genes are just one part of it.",
        "This comes from research. It does not say that you are ill. It does not say what care you need. "
        "If you have questions or feel worried, talk with your doctor or nurse.",
    )


def abstention_leaf(outcome: PatientOutcome) -> tuple[str, ...]:
    """Why there is no number, in plain words."""
    return (
        f"We tried to work out your chance of {outcome.plain_name}. We could not do it well enough, "
        "so we give no number. A wrong number would be worse than none.",
        "You did nothing wrong. This does not mean that you are ill, and it does not mean that you are well. "
        "It comes from research. If you have questions or feel worried, talk with your doctor or nurse.",
    )

"""How a campaign's outcome becomes an exit code: fewer slots than planned is no success."""

from __future__ import annotations

from cdistrim.errors import CampaignFailed, CampaignIncomplete
from cdistrim.protocol import CampaignState, CampaignView
from cdistrim.report.wording import plural

__all__ = ["end_with", "why_failed"]


def end_with(view: CampaignView) -> None:
    """Return if all planned slots were accepted.

    Raises:
        CampaignFailed: None was.
        CampaignIncomplete: Some were not.
    """
    if view.state is CampaignState.FAILED or view.accepted == 0:
        raise CampaignFailed(
            f"Campaign {view.number} ended without any accepted model: {why_failed(view)}.",
            hint="The report says why each slot was skipped."
            if view.slots
            else "Open another one when those who are missing can take part.",
        )
    if view.accepted < view.slots:
        raise CampaignIncomplete(
            f"Campaign {view.number} accepted {view.accepted} of {view.slots} planned slots; "
            f"the head is model {view.head}.",
            hint="The report says why the others were skipped.",
        )


def why_failed(view: CampaignView) -> str:
    """Why a failed campaign has no model, in a few words."""
    if view.slots:
        return f"none of {plural(view.slots, 'planned slot')} stayed accepted"
    evaluators = sum(enrolment.evaluator for enrolment in view.enrolments)
    return (
        f"{len(view.enrolments)} of {plural(len(view.order), 'partner')} enrolled in time, "
        f"{evaluators} with a hold-out that suffices"
    )

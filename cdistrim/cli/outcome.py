"""How a campaign's outcome becomes an exit code: fewer slots than planned is no success."""

from __future__ import annotations

from cdistrim.errors import CampaignFailed, CampaignIncomplete
from cdistrim.protocol import CampaignState, CampaignView

__all__ = ["end_with"]


def end_with(view: CampaignView) -> None:
    """Return if all planned slots were accepted.

    Raises:
        CampaignFailed: None was.
        CampaignIncomplete: Some were not.
    """
    if view.state is CampaignState.FAILED or view.accepted == 0:
        raise CampaignFailed(
            f"Campaign {view.number} ended without any accepted model ({view.slots} planned).",
            hint="The report says why each slot was skipped.",
        )
    if view.accepted < view.slots:
        raise CampaignIncomplete(
            f"Campaign {view.number} accepted {view.accepted} of {view.slots} planned slots; "
            f"the head is model {view.head}.",
            hint="The report says why the others were skipped.",
        )

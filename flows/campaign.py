"""A campaign: the coordinator reads the ledger and gets whoever is due to work, until it ends.

The coordinator has no power: it signs nothing, and sites that it does not call act on the ledger
by themselves. Killed and started again, it continues where the ledger stands.
"""

# Served flows travel to their process by value: annotations must be objects, not names to look up
# (so no `from __future__ import annotations` here).
import time
from uuid import UUID

from prefect import flow
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from cdistrim.coordinator import bound_coordinator
from cdistrim.protocol import CampaignView, duties
from cdistrim.watch import observe, poll_seconds
from flows.artifacts import publish_campaign
from flows.dispatch import Agents, bound_dispatcher
from flows.parameters import Number

__all__ = ["campaign"]


@flow(name="campaign", persist_result=False, log_prints=False)
def campaign(number: Number = 0) -> str:
    """Drive a campaign to its end; its final state.

    Args:
        number: Its number on the ledger; 0 for the one that is open, or else the next one, which
            the coordinator's convener is asked to open. Run again, the same one as before.
    """
    coordinator, run = bound_coordinator(), UUID(flow_run.id)
    ledger = coordinator.ledger
    dispatcher = bound_dispatcher() or Agents(
        {member.account: member.name for member in ledger.members()}
    )
    logger = get_run_logger()
    number = number or coordinator.driven_by(run)
    while not number:
        found = coordinator.open_or_convening()
        if isinstance(found, int):
            number = found
        else:
            dispatcher.dispatch(found)
            time.sleep(poll_seconds())
    try:
        coordinator.note_driven(run, number)
    except OSError as error:
        # Only "Retry" after the campaign's end needs it.
        logger.warning("The coordinator's directory can't be written to: %s", error.strerror)
    last: tuple[object, ...] = ()
    while not (view := observe(ledger, number)).state.ended:
        for duty in duties(view):
            dispatcher.dispatch(duty)
        if (now := _where(view)) != last:
            logger.info("Campaign %d: %s", number, ", ".join(str(part) for part in now))
            last = now
        time.sleep(poll_seconds())
    dispatcher.finish()
    publish_campaign(view, [ledger.slot(number, n) for n in range(1, view.slots + 1)])
    return view.state.name.lower()


def _where(view: CampaignView) -> tuple[object, ...]:
    if view.slot is None:
        return (view.state.name.lower(), f"{len(view.enrolments)} enrolled")
    slot = view.slot
    return (
        f"slot {slot.number} of {view.slots}",
        view.name_of(slot.owner),
        slot.state.name.lower().replace("_", " "),
        f"{view.accepted} accepted",
    )

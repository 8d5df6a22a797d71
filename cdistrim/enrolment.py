"""Enrolment: what a site tells the ledger about itself before a campaign starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdistrim.data.commitment import commit, load_salts
from cdistrim.errors import ConfigurationError
from cdistrim.policy import may_evaluate
from cdistrim.protocol import CampaignState
from cdistrim.watch import observe

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["enrol"]

SALT_FILE = "data/salts.json"


def enrol(site: Site, campaign: int) -> None:
    """Enrol with number of cases, data commitment and, where the hold-out suffices, as evaluator.

    Raises:
        ConfigurationError: The spec is not approved here, or does not name this site.
        DataError: The site has no usable cases.
    """
    view = observe(site.ledger, campaign)
    if view.state is not CampaignState.ENROLLING or view.enrolment(site.account) is not None:
        return
    spec = site.spec(view)
    if not site.has_approved(view.spec_hash):
        raise ConfigurationError(
            f"{site.name} has not approved spec {view.spec_hash.hex()}.",
            hint=f"Look at it with `cdistrim campaign review {site.directory} {campaign}`, "
            "then `cdistrim campaign approve`.",
        )
    data = site.data
    site.ledger.enrol(
        campaign=campaign,
        cases=len(data.train.labels),
        data_commitment=commit(data.train, load_salts(site.directory / SALT_FILE, data.train.ids)),
        evaluator=may_evaluate(data.holdout.labels, spec.voting),
    )

"""Enrolment: what a site tells the ledger about itself before a campaign starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from cdistrim.custody import open_genesis
from cdistrim.data.commitment import commit_cases
from cdistrim.data.prepared import about_holdout, require_preprocessing
from cdistrim.errors import ConfigurationError, DataError
from cdistrim.names import names_of
from cdistrim.policy import may_evaluate
from cdistrim.protocol import CampaignState, CampaignView, Mode
from cdistrim.spec import VotingMode
from cdistrim.terms import require_order
from cdistrim.watch import observe

if TYPE_CHECKING:
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec

__all__ = ["about_role", "enrol", "join", "require_shape"]


def enrol(site: Site, campaign: int) -> None:
    """Enrol with number of cases, data commitment and, where the hold-out suffices, as evaluator.

    Raises:
        ConfigurationError: The spec is not approved here, does not name this site, or is for
            volumes of another shape or another preprocessing.
        DataError: The site has no usable cases, or in mode ``reported`` no validation set.
        IntegrityError: This machine makes another first head than the spec or the ledger says.
        SpecMismatchError: The campaign was opened on other terms than its spec's.
    """
    view = observe(site.ledger, campaign)
    if view.state is not CampaignState.ENROLLING or view.enrolment(site.account) is not None:
        return
    figures = _figures(site, view)
    site.ledger.enrol(campaign=campaign, **figures)


def about_role(site: Site, spec: CampaignSpec) -> Sequence[str]:
    """Warnings where this site would enrol without the evaluator's role; none without cases.

    The ledger does not say how many cases others have, so the odds of a campaign's votes take it
    for granted that each has enough: of itself a site knows.
    """
    if spec.voting.mode is VotingMode.REPORTED:
        return []
    try:
        holdout = site.data.holdout
    except DataError:
        return []
    return about_holdout(holdout.counts(spec.model.classes), spec)


def join(site: Site, campaign: int) -> bool:
    """Ask the voters of a running campaign to let this site join.

    Returns whether it asked; False if it is a partner already.

    Raises:
        ConfigurationError: The spec is not approved here, or is for volumes of another shape or
            another preprocessing.
        DataError: The site has no usable cases, or in mode ``reported`` no validation set.
        IntegrityError: This machine makes another first head than the spec or the ledger says.
        SpecMismatchError: The campaign was opened on other terms than its spec's.
        LedgerRefusal: The campaign does not run.
    """
    view = observe(site.ledger, campaign)
    if view.enrolment(site.account) is not None:
        return False
    site.ledger.request_join(campaign=campaign, **_figures(site, view))
    return True


class _Figures(TypedDict):
    cases: int
    data_commitment: bytes
    evaluator: bool


def _figures(site: Site, view: CampaignView) -> _Figures:
    """What the ledger is told: number of cases, data commitment, whether the hold-out suffices."""
    spec = site.spec(view)
    if not site.has_approved(view.spec_hash):
        raise ConfigurationError(
            f"{site.name} has not approved spec {view.spec_hash.hex()}.",
            hint=f"Look at it with `cdistrim campaign review {site.directory} {view.number}`, "
            "then `cdistrim campaign approve`.",
        )
    require_order(spec, view, names_of(site.ledger))
    data = site.data
    require_shape(site, spec)
    require_preprocessing(site.directory / "data", data, spec)
    # A site's first turn would be too late to find out: it trains on these, and its own figures
    # rest on those, whose variance takes two of a class.
    classes = spec.model.classes
    data.train.require_classes(2, classes=classes)
    data.evaluation(reported=view.mode is Mode.REPORTED).require_classes(2, classes=classes)
    # Made only to see that it can be: who can't make it would find out in its first turn.
    open_genesis(site, view)
    return _Figures(
        cases=len(data.train.labels),
        data_commitment=commit_cases(data.train, site.directory / "data"),
        evaluator=may_evaluate(data.holdout.labels, spec.voting, classes=classes),
    )


def require_shape(site: Site, spec: CampaignSpec) -> None:
    """See that the campaign's model takes this site's volumes.

    Raises:
        ConfigurationError: They have another shape.
        DataError: The site has no usable cases.
    """
    asked, found = spec.model.shape, site.data.train.shape
    if asked != found:
        raise ConfigurationError(
            f"Campaign {spec.name} is for volumes of shape {asked}, those of {site.name} have the "
            f"shape {found}.",
            hint=f"Build the sets in {site.directory / 'data'} with the spec's model.shape, or "
            "agree on a spec with the shape that all partners have.",
        )

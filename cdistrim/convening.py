"""Opening a campaign: the spec goes to the store, its hash to the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdistrim.data.cases import has_cases
from cdistrim.data.prepared import require_preprocessing
from cdistrim.enrolment import require_shape
from cdistrim.errors import ConfigurationError
from cdistrim.places import SPECS
from cdistrim.spec import CampaignSpec
from cdistrim.terms import mode_of

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["SPEC_FILE", "convene", "open_campaign"]

SPEC_FILE = "campaign.json"
"""The spec at a site that opens campaigns on a coordinator's schedule."""


def convene(site: Site, number: int) -> int:
    """Open campaign ``number`` from the site's own ``campaign.json``, unless it exists.

    Raises:
        ConfigurationError: There is no spec, it is invalid, or ``number`` is not the next one.
        IntegrityError: This machine makes another first head than the spec says.
    """
    existing = site.ledger.campaigns()
    if number <= existing:
        return number
    if number != existing + 1:
        raise ConfigurationError(
            f"Campaign {number} can't be opened: the ledger has {existing}.",
            hint=f"The next one is {existing + 1}.",
        )
    path = site.directory / SPEC_FILE
    try:
        spec = CampaignSpec.read(path)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{site.name} has no {SPEC_FILE} to open a campaign from.",
            hint=f"Write one to {path}, or open the campaign with `cdistrim campaign open`.",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be read: {error.strerror}.",
            hint="See what lies there and whether this account may read it.",
        ) from None
    return open_campaign(site, spec)


def open_campaign(site: Site, spec: CampaignSpec) -> int:
    """Deposit the spec and open a campaign with its hash; the campaign's number.

    Raises:
        ConfigurationError: The spec's order names somebody who is no member, or the site is in it
            and has volumes of another shape or another preprocessing.
        DataError: The site is in the order, has cases already, and they can't be used.
        IntegrityError: This machine makes another first head than the spec says.
    """
    accounts = {member.name: member.account for member in site.ledger.members()}
    strangers = [name for name in spec.order if name not in accounts]
    if strangers:
        raise ConfigurationError(
            f"The spec's order names {', '.join(strangers)}, no member of the consortium.",
            hint=f"Members are {', '.join(sorted(accounts))}.",
        )
    if site.name in spec.order and has_cases(site.directory / "data"):
        require_shape(site, spec)
        require_preprocessing(site.directory / "data", site.data, spec)
    # Imported by who opens only: PyTorch takes seconds, and a misspelt name is told at once.
    from cdistrim.genesis import make_genesis

    make_genesis(spec)
    site.store.put(SPECS, spec.canonical())
    site.approve_spec(spec.digest())
    number, _receipt = site.ledger.open_campaign(
        spec_hash=spec.digest(),
        genesis_hash=bytes.fromhex(spec.genesis.weights_hash),
        order=[accounts[name] for name in spec.order],
        cycles=spec.cycles,
        quorum=spec.voting.quorum,
        mode=mode_of(spec),
        deadlines=spec.deadlines,
    )
    _warn_of_poor_odds(site, number, spec)
    return number


def _warn_of_poor_odds(site: Site, number: int, spec: CampaignSpec) -> None:
    """Nobody looks on where a schedule opens campaigns; the command shows the same."""
    from cdistrim.odds import outlook

    foreseen = outlook(spec)
    if not foreseen.odds.good:
        site.logger.warning("Campaign %s is open. %s", number, "\n".join(foreseen.lines()))

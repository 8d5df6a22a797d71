"""Whether a site belongs to its consortium, and what to do where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdistrim.errors import ConfigurationError
from cdistrim.report.wording import moment

if TYPE_CHECKING:
    from cdistrim.ledger import Member
    from cdistrim.site import Site

__all__ = ["membership_of", "refuse_removed"]


def membership_of(site: Site) -> Member:
    """What the ledger has of this site.

    Raises:
        ConfigurationError: It is no member, not any more, or one with another name.
    """
    member = next((one for one in site.ledger.members() if one.account == site.account), None)
    if member is None:
        refuse_removed(site)
        raise ConfigurationError(
            f"{site.account} is no member of the consortium at {site.contract}.",
            hint="Give the partners this account, so that they admit it, or correct the "
            "contract's address.",
        )
    if member.name != site.name:
        raise ConfigurationError(
            f"The ledger knows {site.account} as {member.name!r}, site.json as {site.name!r}.",
            hint="Correct the name in site.json.",
        )
    return member


def refuse_removed(site: Site) -> None:
    """Tell a site that was removed so: asking to be admitted again would be in vain.

    Raises:
        ConfigurationError: It was removed.
    """
    former = next(
        (one for one in site.ledger.former_members() if one.account == site.account), None
    )
    if former is not None:
        raise ConfigurationError(
            f"{former.name} ({former.account}) was removed from the consortium at "
            f"{site.contract}, at {moment(former.removed_at)}.",
            hint="Nothing is asked of it any more: stop its agent. Account and name can't come "
            "back; to take part again, make another site (`cdistrim site init`) under another "
            "name, and have the partners admit that.",
        )

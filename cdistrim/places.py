"""Where a consortium's objects lie in the store: by chain and contract, then by their author.

A member writes below its own account only (and specs, which are named by the hash on the ledger, to
``specs``). So a store that gives rights by prefix lets nobody put junk into another's place, and
whoever looks for what somebody wrote needs to look in one place.
"""

from __future__ import annotations

__all__ = ["SPECS", "author_place", "campaign_place", "checkpoint_place", "consortium_place"]

SPECS = "specs"
"""Where the specs of all campaigns lie, whoever opened them: nobody lists what is there."""


def consortium_place(chain_id: int, contract: str) -> str:
    """Below which each member of a consortium has its place, named by its account."""
    return f"{chain_id}-{contract.lower()}"


def author_place(chain_id: int, contract: str, author: str, *parts: object) -> str:
    """Below which all objects of one account lie: a prefix of the store."""
    below = (str(part).lower() for part in (author, *parts))
    return "/".join((consortium_place(chain_id, contract), *below))


def campaign_place(chain_id: int, contract: str, author: str, campaign: int, *parts: object) -> str:
    """Where an account's objects of one kind lie that belong to a campaign."""
    return author_place(chain_id, contract, author, f"campaign-{campaign}", *parts)


def checkpoint_place(chain_id: int, contract: str, author: str) -> str:
    """Where the checkpoints of the ledger lie that an account has signed."""
    return author_place(chain_id, contract, author, "checkpoints")

"""Where a consortium's objects lie in the store. What belongs to chain and contract says so."""

from __future__ import annotations

__all__ = ["campaign_place", "checkpoint_place"]


def campaign_place(chain_id: int, contract: str, campaign: int, *parts: object) -> str:
    """Where a campaign's objects of one kind lie: a prefix of the store."""
    return _place(chain_id, contract, f"campaign-{campaign}", *parts)


def checkpoint_place(chain_id: int, contract: str, *account: str) -> str:
    """Where all signed checkpoints lie, or those of one account."""
    return _place(chain_id, contract, "checkpoints", *account)


def _place(chain_id: int, contract: str, *parts: object) -> str:
    consortium = f"{chain_id}-{contract.lower()}"
    return "/".join((consortium, *(str(part).lower() for part in parts)))

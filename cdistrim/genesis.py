"""Head 0: nobody uploads it, every partner makes it from the seed in the spec."""

from __future__ import annotations

import torch

from cdistrim.errors import IntegrityError
from cdistrim.model import initial_weights
from cdistrim.spec import CampaignSpec
from cdistrim.weights import Weights, weights_hash

__all__ = ["make_genesis"]


def make_genesis(spec: CampaignSpec, *, on_ledger: bytes | None = None) -> Weights:
    """The weights that the spec's seed gives on this machine.

    Args:
        spec: The campaign's.
        on_ledger: The hash on the ledger; None as long as the campaign is not opened.

    Raises:
        IntegrityError: They are not those of the spec, or not those of the ledger.
    """
    weights = initial_weights(spec.model, spec.genesis.seed)
    found = weights_hash(weights)
    said = {"The spec's genesis.weights_hash": bytes.fromhex(spec.genesis.weights_hash)}
    if on_ledger is not None:
        said["The genesis hash on the ledger"] = on_ledger
    for what, expected in said.items():
        if expected != found:
            raise IntegrityError(
                f"{what} is {expected.hex()}, but seed {spec.genesis.seed} gives {found.hex()} "
                f"on this machine, with PyTorch {torch.__version__}.",
                hint="If the other partners get this hash, too, the spec is wrong: it needs this "
                "hash. If they don't, install the PyTorch release that they all have locked.",
            )
    return weights

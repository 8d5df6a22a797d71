"""What a site remembers of models that it measured: scores on its own hold-out, and a norm.

So a voter opens the candidate alone, and neither the head nor the best model again. The memory is
the site's own, lies beside its data, and says nothing that the site could not compute anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cdistrim.site import write_atomically
from cdistrim.weights import norm, weights_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec
    from cdistrim.weights import Weights

__all__ = ["Measurement", "measure_weights", "recall_or_measure"]


@dataclass(frozen=True, eq=False)
class Measurement:
    """Scores of a model on the site's hold-out, shape (cases,), and the norm of its weights."""

    scores: npt.NDArray[np.float64]
    norm: float


def recall_or_measure(
    site: Site, spec: CampaignSpec, digest: bytes, open_weights: Callable[[], Weights]
) -> Measurement:
    """The measurement of the model whose weights hash is ``digest``.

    Args:
        open_weights: Opens the model; called only if the site does not remember it.
    """
    path = _path(site, spec, digest)
    if path.exists():
        try:
            document = json.loads(path.read_bytes())
            return Measurement(np.array(document["scores"]), float(document["norm"]))
        except (ValueError, KeyError):
            path.unlink()  # A memory is only a memory: measure again.
    return measure_weights(site, spec, open_weights())


def measure_weights(site: Site, spec: CampaignSpec, weights: Weights) -> Measurement:
    """Measure a model and remember it."""
    # Imported by who measures only: most processes of a site don't.
    from cdistrim.training import predict

    scores = predict(weights, site.data.holdout, spec.model, threads=spec.training.threads)
    measured = Measurement(scores, norm(weights))
    document = {"scores": scores.tolist(), "norm": measured.norm}
    if np.isfinite(scores).all():
        write_atomically(
            _path(site, spec, weights_hash(weights)), json.dumps(document).encode(), durable=False
        )
    return measured


def _path(site: Site, spec: CampaignSpec, digest: bytes) -> Path:
    """Unique to the model, the architecture and the hold-out that it was measured on."""
    key = hashlib.sha256(digest + spec.model.model_dump_json().encode())
    key.update(site.data.holdout.digest())
    return site.directory / "data" / "measured" / f"{key.hexdigest()}.json"

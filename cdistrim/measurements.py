"""What a site remembers of models that it measured: scores on its own cases, and a norm.

So a voter opens the candidate alone, and neither the head nor the best model again; and a trainer
has measured its head when it voted on it. The memory is the site's own and says nothing that the
site could not compute anew.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable

    from cdistrim.data.cases import CaseSet
    from cdistrim.protocol import SlotView
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec
    from cdistrim.weights import Weights

__all__ = ["INFERENCE", "Measurement", "Measurer"]

INFERENCE = "inference"
"""Name under which the seconds of inference are logged; they are part of other steps' seconds."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """Scores of a model on a case set, and the norm of its weights.

    Shape (cases,), or (cases, classes) where there are more than two.
    """

    scores: npt.NDArray[np.float64]
    norm: float


class Measurer:
    """Measures for one slot of a campaign, and remembers for all that follow.

    Args:
        site: Whose cases and whose memory.
        spec: The campaign's.
        slot: For which the measuring is done; its time goes to the site's log.
    """

    def __init__(self, site: Site, spec: CampaignSpec, slot: SlotView) -> None:
        self._site = site
        self._spec = spec
        self._slot = slot

    def measure(
        self, cases: CaseSet, digest: bytes, open_weights: Callable[[], Weights]
    ) -> Measurement:
        """The measurement of the model whose weights hash is ``digest``, made now if it is new.

        Args:
            cases: Some of the site's own.
            digest: Of weights that were checked against it; not computed again here.
            open_weights: Opens the model; called only if the site does not remember it.
        """
        remembered = self.remembered(cases, digest)
        if remembered is not None:
            return remembered
        from cdistrim.weights import norm

        weights = open_weights()
        measured = Measurement(self._predict(weights, cases), norm(weights))
        if np.isfinite(measured.scores).all():
            document = {"scores": measured.scores.tolist(), "norm": measured.norm}
            path = self._path(cases, digest)
            write_atomically(path, json.dumps(document).encode(), durable=False)
        return measured

    def remembered(self, cases: CaseSet, digest: bytes) -> Measurement | None:
        """What :meth:`measure` would give without the weights; None if it is not remembered."""
        path = self._path(cases, digest)
        try:
            document = json.loads(path.read_bytes())
            return Measurement(np.array(document["scores"]), float(document["norm"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            path.unlink()  # A memory is only a memory: measure again.
            return None

    def _predict(self, weights: Weights, cases: CaseSet) -> npt.NDArray[np.float64]:
        # Imported by who measures only: most processes of a site don't.
        from cdistrim.prediction import predict

        began = time.monotonic()
        scores = predict(
            weights,
            cases,
            self._spec.model,
            threads=self._spec.training.threads,
            accelerator=self._site.settings.accelerator,
        )
        seconds = time.monotonic() - began
        slot = self._slot
        self._site.record_step(INFERENCE, slot.campaign, slot.number, slot.attempt, seconds)
        return scores

    def _path(self, cases: CaseSet, digest: bytes) -> Path:
        """Unique to the model, the architecture and the cases that it was measured on."""
        key = hashlib.sha256(digest + self._spec.model.model_dump_json().encode())
        key.update(cases.digest())
        return self._site.memory / "measured" / f"{key.hexdigest()}.json"

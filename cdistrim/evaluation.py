"""After a campaign: every candidate on the untouched test set, and central training beside it.

Central training exists only where data may be pooled, as in the demo and in reproductions of the
paper; a real consortium has nothing to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cdistrim import custody
from cdistrim.data.cases import CaseSet, pool
from cdistrim.errors import UntrustedDataError
from cdistrim.model import initial_weights
from cdistrim.opening import open_together
from cdistrim.prediction import predict
from cdistrim.protocol import GENESIS, SlotState
from cdistrim.training import TrainingProgress, Turn, train
from cdistrim.weights import check_weights

if TYPE_CHECKING:
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec

__all__ = ["CandidateScores", "Scores", "central_scores", "score_candidates", "score_head"]

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CandidateScores:
    """Scores on the test set, shape (cases,), of each candidate by slot; 0 is the genesis head.

    A refused candidate that does not open, or gives no finite scores, is not in it.

    ``parents`` gives the head that each candidate started from.
    """

    scores: Mapping[int, Scores]
    parents: Mapping[int, int]
    head: int

    @property
    def final(self) -> Scores:
        """Scores of the campaign's head."""
        return self.scores[self.head]


def score_candidates(sites: Sequence[Site], campaign: int, test: CaseSet) -> CandidateScores:
    """Measure all candidates, refused ones too, where one machine has the keys of many sites.

    Args:
        sites: Of as many partners as open a model together; the first one's ledger is read.

    Raises:
        UntrustedDataError: An accepted model does not open.
    """
    site = sites[0]
    view = site.ledger.campaign(campaign)
    spec = site.spec(view)
    threads = spec.training.threads
    scores = {GENESIS: predict(custody.open_genesis(site, view), test, spec.model, threads=threads)}
    parents: dict[int, int] = {}
    for number in range(1, view.slots + 1):
        slot = site.ledger.slot(campaign, number)
        if slot.candidate is None:
            continue
        try:
            weights = open_together(sites, campaign, slot.candidate)
            check_weights(weights, spec.model)
        except UntrustedDataError as error:
            if slot.state is SlotState.ACCEPTED and not slot.candidate.undone:
                raise
            site.logger.warning("Refused candidate %s is not measured: %s", number, error)
            continue
        measured = predict(weights, test, spec.model, threads=threads)
        if np.isfinite(measured).all():
            scores[number] = measured
            parents[number] = slot.candidate.parent
    return CandidateScores(scores, parents, view.head)


def score_head(sites: Sequence[Site], campaign: int, cases: CaseSet) -> Scores:
    """Measure a campaign's head alone, where one machine has the keys of many sites.

    Raises:
        UntrustedDataError: It does not open.
    """
    site = sites[0]
    view = site.ledger.campaign(campaign)
    spec = site.spec(view)
    if view.head == GENESIS:
        weights = custody.open_genesis(site, view)
    else:
        weights = open_together(sites, campaign, site.ledger.model(campaign, view.head))
    return predict(weights, cases, spec.model, threads=spec.training.threads)


def central_scores(
    training_sets: Sequence[CaseSet],
    spec: CampaignSpec,
    test: CaseSet,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Scores:
    """Scores on the test set after training on the pooled data, with as many passes over it."""
    epochs = spec.training.epochs * spec.cycles
    result = train(
        initial_weights(spec.model, spec.genesis.seed),
        pool(training_sets),
        spec.model,
        spec.training.model_copy(update={"epochs": epochs}),
        turn=Turn(0),
        progress=progress,
    )
    return predict(result.weights, test, spec.model, threads=spec.training.threads)

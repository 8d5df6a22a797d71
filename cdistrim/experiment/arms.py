"""What is done in an arm: central training, or all of a campaign but its turns.

A campaign's turns are flows (:mod:`flows.experiment`): with a chain, a contract, keys, votes and a
store of its own, as in production.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cdistrim.accelerator import Accelerator
from cdistrim.consortium import Consortium, found_consortium
from cdistrim.convening import open_campaign
from cdistrim.data.cases import CaseSet, pool
from cdistrim.data.split import Split
from cdistrim.evaluation import Scores, score_candidates, score_head
from cdistrim.experiment.plan import Arm, ArmResult, CalibrationResult, CandidateResult, Experiment
from cdistrim.model import initial_weights
from cdistrim.prediction import predict
from cdistrim.progress import listener
from cdistrim.protocol import SlotState
from cdistrim.site import Site
from cdistrim.spec import CampaignSpec, GenesisSpec
from cdistrim.step_times import TRAINING, owners_steps
from cdistrim.training import TrainingProgress, Turn, train
from cdistrim.weights import weights_hash

__all__ = ["found_campaign", "measure_campaign", "spec_of", "train_centrally"]

CAMPAIGN = 1
"""Number of the campaign: each arm has a contract of its own."""

_DIGITS = 7


def spec_of(experiment: Experiment, arm: Arm) -> CampaignSpec:
    """The spec of an arm's campaign."""
    study, seed = experiment.study, arm.seed
    partners = len(experiment.scenarios[arm.scenario].partners)
    return CampaignSpec(
        name=f"{study.name}-{arm.scenario}-{seed}",
        task=study.task,
        order=tuple(f"hospital-{number + 1}" for number in range(partners)),
        cycles=experiment.cycles,
        model=study.model,
        training=study.training.model_copy(update={"seed": seed}),
        voting=study.voting,
        genesis=GenesisSpec(
            seed=seed, weights_hash=weights_hash(initial_weights(study.model, seed)).hex()
        ),
    )


def found_campaign(experiment: Experiment, arm: Arm, ledger_url: str, chain_id: int) -> Consortium:
    """Make the arm's sites, contract and campaign, or find them again after a crash."""
    spec = spec_of(experiment, arm)
    consortium = found_consortium(
        experiment.place(arm),
        dict(zip(spec.order, experiment.split(arm).sites, strict=True)),
        ledger_url=ledger_url,
        chain_id=chain_id,
    )
    for path in consortium.sites.values():
        site = Site(path)
        # The operators of all hospitals are one person here, who wrote the spec.
        site.approve_spec(spec.digest())
    first = Site(next(iter(consortium.sites.values())))
    if not first.ledger.campaigns():
        open_campaign(first, spec)
    return consortium


def measure_campaign(experiment: Experiment, arm: Arm, seconds: float) -> ArmResult:
    """Measure every candidate of a campaign that is over on the test set, and keep the result.

    Args:
        experiment: The run.
        arm: A scenario's.
        seconds: Wall time of the campaign, in this process.
    """
    consortium = Consortium.open(experiment.place(arm))
    sites = [Site(path) for path in consortium.sites.values()]
    ledger = sites[0].ledger
    split = experiment.split(arm)
    test = split.test
    scored = score_candidates(sites, CAMPAIGN, test)
    names = {member.account: member.name for member in ledger.members()}
    view = ledger.campaign(CAMPAIGN)
    candidates = []
    for number in scored.parents:
        slot = ledger.slot(CAMPAIGN, number)
        candidates.append(
            CandidateResult(
                slot=number,
                partner=names[slot.owner],
                accepted=slot.state is SlotState.ACCEPTED,
                scores=_plain(scored.scores[number]),
            )
        )
    steps = owners_steps(consortium.sites, ledger, CAMPAIGN)
    result = ArmResult(
        seed=arm.seed,
        scenario=arm.scenario,
        labels=tuple(test.labels.tolist()),
        scores=_plain(scored.final),
        candidates=tuple(candidates),
        calibration=_calibration(split, lambda cases: score_head(sites, CAMPAIGN, cases)),
        slots=view.slots,
        training_seconds=sum(one.get(TRAINING, 0.0) for one in steps.values()),
        turn_seconds=sum(sum(one.values()) for one in steps.values()),
        seconds=seconds,
    )
    experiment.keep(arm, result)
    return result


def train_centrally(experiment: Experiment, arm: Arm) -> ArmResult:
    """Train on the pooled data, with as many passes over it as a campaign has; keep the result."""
    study, split = experiment.study, experiment.split(arm)
    began = time.monotonic()
    epochs = study.training.epochs * experiment.cycles

    def tell(at: TrainingProgress) -> None:
        listener().training(0, at.epoch, at.epochs, at.batch, at.batches, at.loss)

    trained = train(
        initial_weights(study.model, arm.seed),
        pool([site.train for site in split.sites]),
        study.model,
        study.training.model_copy(update={"epochs": epochs, "seed": arm.seed}),
        turn=Turn(0),
        progress=tell,
        accelerator=Accelerator.AUTO,
    )

    def scores_of(cases: CaseSet) -> Scores:
        return predict(trained.weights, cases, study.model, accelerator=Accelerator.AUTO)

    result = ArmResult(
        seed=arm.seed,
        scenario=arm.scenario,
        labels=tuple(split.test.labels.tolist()),
        scores=_plain(scores_of(split.test)),
        calibration=_calibration(split, scores_of),
        training_seconds=trained.seconds,
        turn_seconds=trained.seconds,
        seconds=time.monotonic() - began,
    )
    experiment.keep(arm, result)
    return result


def _calibration(split: Split, scores_of: Callable[[CaseSet], Scores]) -> CalibrationResult | None:
    cases = split.calibration
    if cases is None:
        return None
    return CalibrationResult(labels=tuple(cases.labels.tolist()), scores=_plain(scores_of(cases)))


def _plain(scores: Scores) -> tuple[float, ...] | tuple[tuple[float, ...], ...]:
    rounded = scores.round(_DIGITS).tolist()
    return tuple(tuple(one) if isinstance(one, list) else one for one in rounded)

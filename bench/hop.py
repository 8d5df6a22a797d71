"""Seconds of a hop: from the end of one hospital's training to the start of the next one's.

Everything in between counts, encryption, store, chain, votes and Prefect, except inference: the
time in which the trainer or a voter measures. Its length depends on the number of cases alone.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cdistrim.measurements import INFERENCE

__all__ = ["HOP_LABEL", "LargeHop", "hops_of", "measure_large_hop"]

HOP_LABEL = (
    "a hop of {}: end of a training to start of the next, all votes, without inference "
    "(median, maximum)"
)


def hops_of(sites: Sequence[Path]) -> list[float]:
    """Hops between consecutive slots, in seconds, from the sites' logs of steps."""
    steps = [
        json.loads(line)
        for site in sites
        for line in (site / "log" / "steps.jsonl").read_text().splitlines()
    ]
    trainings = {step["slot"]: _Span.of(step) for step in steps if step["step"] == "train"}
    inference = [_Span.of(step) for step in steps if step["step"] == INFERENCE]
    hops = []
    for slot, training in sorted(trainings.items()):
        following = trainings.get(slot + 1)
        if following is not None:
            hop = _Span(training.end, following.begin)
            hops.append(hop.seconds - hop.covered_by(inference))
    return hops


@dataclass(frozen=True, order=True)
class _Span:
    """From when to when, in seconds."""

    begin: float
    end: float

    @classmethod
    def of(cls, step: dict[str, Any]) -> _Span:
        return cls(step["ended"] - step["seconds"], step["ended"])

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.begin)

    def covered_by(self, others: Sequence[_Span]) -> float:
        """Seconds of this span in which at least one of the others goes on.

        Voters measure at the same time; what they wait for each other counts once.
        """
        covered, reached = 0.0, self.begin
        for other in sorted(others):
            part = _Span(max(other.begin, reached), min(other.end, self.end))
            covered += part.seconds
            reached = max(reached, part.end)
        return covered


@dataclass(frozen=True)
class LargeHop:
    """Hops of a model of ``parameters`` weights, in seconds."""

    parameters: int
    seconds: list[float]

    def figures(self) -> dict[str, Any]:
        """For ``results.json``."""
        return asdict(self)

    @staticmethod
    def rows(figures: Any) -> list[str]:  # noqa: ANN401  as read from JSON
        """Rows of the README's table."""
        label = HOP_LABEL.format(f"a model of {figures['parameters'] / 1e6:.1f} M parameters")
        median, longest = statistics.median(figures["seconds"]), max(figures["seconds"])
        return [f"| {label} | {median:.1f} s, {longest:.1f} s |"]


def measure_large_hop() -> LargeHop:
    """A campaign of four sites and one cycle with the 33 M-parameter ResNet-18, on noise."""
    with tempfile.TemporaryDirectory(prefix="cdistrim-bench-") as name:
        directory = Path(name)
        os.environ["CDISTRIM_POLL_SECONDS"] = "0.05"
        from cdistrim.cli.prefect_environment import embed_prefect

        embed_prefect(directory / ".prefect")
        return _measure(directory)


def _measure(directory: Path) -> LargeHop:
    import numpy as np

    from cdistrim.consortium import found_consortium
    from cdistrim.convening import open_campaign
    from cdistrim.coordinator import coordinator_bound_to
    from cdistrim.data.cases import CaseSet, SiteData
    from cdistrim.devnet import CHAIN_ID, Devnet
    from cdistrim.model import initial_weights, parameter_count
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec, GenesisSpec, ModelSpec, TrainingSpec, VotingSpec
    from cdistrim.weights import weights_hash
    from flows.campaign import campaign
    from flows.dispatch import Embedded, dispatching_with

    model = ModelSpec(architecture="resnet18-3d", shape=(120, 160, 16), width=64)
    names = tuple(f"hospital-{number}" for number in range(1, 5))
    random = np.random.default_rng(1)

    def cases(kind: str) -> CaseSet:
        labels = np.array([0, 1] * 2, dtype=np.int8)
        volumes = random.random((4, 1, *model.shape)).astype(np.float16)
        return CaseSet(volumes, labels, tuple(f"{kind}-{n}" for n in range(4)))

    data = {name: SiteData(cases(f"{name}-t"), cases(f"{name}-h")) for name in names}
    genesis = weights_hash(initial_weights(model, 1)).hex()
    spec = CampaignSpec(
        name="hop",
        task="noise: only the time between trainings is measured",
        order=names,
        model=model,
        training=TrainingSpec(epochs=1, batch_size=2, learning_rate=1e-6),
        # Noise can't be learnt, so nothing may be judged: every candidate has to pass.
        voting=VotingSpec(min_cases_per_class=2, auc_floor=0.0, alpha=1e-6),
        genesis=GenesisSpec(seed=1, weights_hash=genesis),
    )
    with Devnet(directory / "devnet") as chain:
        consortium = found_consortium(directory, data, ledger_url=chain.url, chain_id=CHAIN_ID)
        for path in consortium.sites.values():
            Site(path).approve_spec(spec.digest())
        number = open_campaign(Site(consortium.sites[names[0]]), spec)
        coordinator = consortium.coordinator
        with coordinator_bound_to(coordinator), dispatching_with(Embedded(consortium.accounts())):
            campaign(number)
    return LargeHop(parameter_count(model), hops_of(list(consortium.sites.values())))

"""The paper's experiment: every arm of a run, some at a time, each in a process of its own.

An arm of a scenario is a whole campaign with its own chain, contract, sites and votes; it goes
through the same flows as any other campaign. What is over is not repeated. The task is here and not
in ``tasks``: it calls a flow, and layers are not climbed.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from cdistrim.coordinator import bound_coordinator, coordinator_bound_to
from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.errors import CDistriMError
from cdistrim.experiment.arm_progress import ArmWriter
from cdistrim.experiment.arms import CAMPAIGN, found_campaign, measure_campaign, train_centrally
from cdistrim.experiment.plan import Arm, Experiment
from cdistrim.progress import listen_with
from cdistrim.worker_process import begin_worker, end_workers
from flows.campaign import campaign
from flows.dispatch import Embedded, dispatching_with
from tasks.boundary import SiteFailure, origin_of

__all__ = ["ArmFailure", "experiment", "run_experiment"]

CHAIN = "devnet"


class ArmFailure(NamedTuple):
    """Why an arm did not end; errors themselves don't travel between processes whole."""

    arm: str
    what: str
    hint: str
    exit_code: int


def run_experiment(directory: Path, jobs: int) -> list[ArmFailure]:
    """Run :func:`experiment` with so many arms at a time."""
    # Prefect types a runner's futures narrower than the parameter that takes it.
    runner = cast(
        "TaskRunner[PrefectFuture[Any]]",
        ProcessPoolTaskRunner(max_workers=jobs, initializer=begin_worker),
    )
    return experiment.with_options(task_runner=runner)(str(directory))


@flow(name="experiment", persist_result=False, log_prints=False)
def experiment(directory: str) -> list[ArmFailure]:
    """Run all arms of an experiment that have no result yet; those that failed.

    Args:
        directory: The run's, on this machine.
    """
    run = Experiment.open(Path(directory))
    try:
        begun = [
            run_arm.submit(directory, arm.seed, arm.scenario)
            for arm in run.arms
            if run.result(arm) is None
        ]
        wait(begun)
    except BaseException:
        # The runner would wait for what is at work, which may be hours.
        end_workers()
        raise
    return [failure for one in begun if (failure := one.result()) is not None]


@task(name="arm", task_run_name="seed {seed}, scenario {scenario}", cache_policy=NO_CACHE)
def run_arm(directory: str, seed: int, scenario: int) -> ArmFailure | None:
    """Run one arm in this process; why it did not end, if it did not."""
    run, arm = Experiment.open(Path(directory)), Arm(seed, scenario)
    try:
        if arm.central:
            listen_with(ArmWriter(run, arm, run.study.training.epochs * run.cycles))
            train_centrally(run, arm)
        else:
            _run_campaign(run, arm)
    except SiteFailure as failure:
        return _failure_of(arm, origin_of(failure))
    except CDistriMError as error:
        return _failure_of(arm, error)
    return None


def _run_campaign(run: Experiment, arm: Arm) -> None:
    began = time.monotonic()
    with Devnet(run.place(arm) / CHAIN) as chain:
        consortium = found_campaign(run, arm, chain.url, CHAIN_ID)
        embedded = Embedded(consortium.accounts())
        with coordinator_bound_to(consortium.coordinator), dispatching_with(embedded):
            view = bound_coordinator().ledger.campaign(CAMPAIGN)
            ended = view.slot.number - 1 if view.slot else 0
            listen_with(ArmWriter(run, arm, view.slots, done=ended, accepted=view.accepted))
            campaign(CAMPAIGN)
        measure_campaign(run, arm, time.monotonic() - began)


def _failure_of(arm: Arm, error: Exception) -> ArmFailure:
    if isinstance(error, CDistriMError):
        return ArmFailure(arm.name, error.what, error.hint, error.exit_code)
    return ArmFailure(arm.name, f"{type(error).__name__}: {error}", "", 1)

from __future__ import annotations

import logging
import signal
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from cdistrim.data.cases import CaseSet
from cdistrim.errors import DataError, TrainingError
from cdistrim.model import initial_weights
from cdistrim.prediction import predict
from cdistrim.spec import BalanceSpec, ModelSpec, Norm, Schedule, TrainingSpec
from cdistrim.statistics import auc
from cdistrim.training import TrainingProgress, TrainingResult, Turn, train
from cdistrim.weights import check_weights, update_ratio, weights_hash
from tests.factories import SHAPE, make_cases, make_rows

MODEL = ModelSpec(architecture="resnet18-3d", shape=SHAPE, width=4)
TRAINING = TrainingSpec(epochs=2, batch_size=8, threads=1)


def run(
    cases: CaseSet | None = None, training: TrainingSpec = TRAINING, slot: int = 1
) -> TrainingResult:
    weights = initial_weights(MODEL, 1)
    return train(weights, cases or make_cases(14, 9), MODEL, training, turn=Turn(slot))


def test_the_same_slot_gives_the_same_bits_and_another_slot_others() -> None:
    first = run()
    torch.manual_seed(12345)
    np.random.seed(12345)
    assert weights_hash(run().weights) == weights_hash(first.weights)
    assert weights_hash(run(slot=2).weights) != weights_hash(first.weights)
    seeded = TRAINING.model_copy(update={"seed": 1})
    assert weights_hash(run(training=seeded).weights) != weights_hash(first.weights)


def test_training_learns_and_keeps_the_head_as_it_was() -> None:
    cases, unseen = make_cases(24, 18, seed=1), make_cases(30, 30, seed=2)
    # Of four channels, groups of one: normalised, they lose what tells these classes apart.
    model = MODEL.model_copy(update={"norm": Norm.BATCH})
    head = initial_weights(model, 1)
    before = weights_hash(head)
    training = TrainingSpec(epochs=8, batch_size=8, learning_rate=5e-3, threads=1)
    result = train(head, cases, model, training, turn=Turn(1))
    assert weights_hash(head) == before
    check_weights(result.weights, model)
    assert result.loss_per_epoch[-1] < result.loss_per_epoch[0]
    assert auc(unseen.labels, predict(result.weights, unseen, model, threads=1)) > 0.9


def test_nothing_is_written_logged_or_warned_about(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("error")
        run()
    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_progress_names_every_batch() -> None:
    told: list[TrainingProgress] = []
    cases = make_cases(16, 16)
    train(initial_weights(MODEL, 1), cases, MODEL, TRAINING, turn=Turn(1), progress=told.append)
    assert [(one.epoch, one.batch) for one in told] == [(e, b) for e in (1, 2) for b in range(1, 5)]
    assert {(one.epochs, one.batches) for one in told} == {(2, 4)}


@pytest.mark.parametrize("cases", [4, 5, 9, 33])
def test_no_number_of_cases_leaves_a_batch_of_one(cases: int) -> None:
    balance = BalanceSpec(zoom_copies=False)
    training = TRAINING.model_copy(update={"balance": balance, "epochs": 1})
    assert run(make_cases(2, cases - 2), training).loss_per_epoch[0] > 0


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="0 of class 1"):
        run(make_cases(0, 12))


def test_volumes_of_another_shape_are_refused() -> None:
    cases = make_cases(shape=(8, 8, 16))
    with pytest.raises(DataError, match="the model's input is"):
        run(cases)
    with pytest.raises(DataError, match="the model's input is"):
        predict(initial_weights(MODEL, 1), cases, MODEL)


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    weights = initial_weights(MODEL, 1)
    weights["output.bias"].fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss is nan in epoch 1, batch 1"):
        train(weights, make_cases(), MODEL, TRAINING, turn=Turn(1))


def test_threads_and_determinism_of_the_process_are_put_back() -> None:
    threads = torch.get_num_threads()
    run(training=TRAINING.model_copy(update={"threads": threads + 1}))
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_ctrl_c_stays_a_keyboard_interrupt() -> None:
    def interrupt(_progress: TrainingProgress) -> None:
        raise KeyboardInterrupt

    assert threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(
            initial_weights(MODEL, 1),
            make_cases(),
            MODEL,
            TRAINING,
            turn=Turn(1),
            progress=interrupt,
        )
    assert signal.getsignal(signal.SIGINT) is before


def test_scores_do_not_depend_on_the_batch_and_are_probabilities() -> None:
    weights, cases = initial_weights(MODEL, 1), make_cases()
    scores = predict(weights, cases, MODEL, threads=1)
    assert scores.shape == (24,)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    again = predict(weights, cases, MODEL, threads=1)
    np.testing.assert_array_equal(scores, again)
    np.testing.assert_allclose(predict(weights, cases, MODEL, batch_size=5), scores, atol=1e-6)
    shuffled = cases.subset(range(23, -1, -1))
    np.testing.assert_allclose(predict(weights, shuffled, MODEL), scores[::-1], atol=1e-6)


def test_augmentation_changes_the_training() -> None:
    off = BalanceSpec(zoom_copies=False, augment_majority=False)
    results = [
        weights_hash(run(training=TRAINING.model_copy(update={"balance": balance})).weights)
        for balance in (
            off,
            off.model_copy(update={"augment_majority": True}),
            off.model_copy(update={"augment_majority": True, "augment_minority": True}),
        )
    ]
    assert len(set(results)) == 3


def test_rows_of_several_classes_are_learnt_and_get_a_probability_a_class() -> None:
    model = ModelSpec(architecture="mlp", shape=(4, 1, 1), classes=3, width=16)
    training = TrainingSpec(epochs=20, batch_size=8, learning_rate=1e-2)
    head, unseen = initial_weights(model, 1), make_rows((10, 10, 10), seed=2)
    result = train(head, make_rows((20, 12, 16)), model, training, turn=Turn(1))
    check_weights(result.weights, model)
    scores = predict(result.weights, unseen, model)
    assert scores.shape == (30, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert (scores.argmax(axis=1) == unseen.labels).mean() > 0.9


def test_a_class_that_the_model_does_not_know_or_that_is_missing_is_refused() -> None:
    rows = make_rows((9, 9, 9))
    two = ModelSpec(architecture="mlp", shape=(4, 1, 1))
    with pytest.raises(DataError, match="labels up to 2; there are 2 classes"):
        train(initial_weights(two, 1), rows, two, TRAINING, turn=Turn(1))
    four = two.model_copy(update={"classes": 4})
    with pytest.raises(DataError, match="0 of class 3; at least 2 of each"):
        train(initial_weights(four, 1), rows, four, TRAINING, turn=Turn(1))


def test_group_normalisation_learns_without_running_statistics() -> None:
    model = MODEL.model_copy(update={"norm": Norm.GROUP, "width": 8})
    head = initial_weights(model, 1)
    assert not any("running" in name for name in head)
    training = TrainingSpec(epochs=8, batch_size=8, learning_rate=3e-3)
    result = train(head, make_cases(24, 18, seed=1), model, training, turn=Turn(1))
    check_weights(result.weights, model)
    unseen = make_cases(30, 30, seed=2)
    assert auc(unseen.labels, predict(result.weights, unseen, model)) > 0.9


def test_the_schedule_of_a_campaign_makes_later_cycles_change_less() -> None:
    head = initial_weights(MODEL, 1)
    training = TRAINING.model_copy(update={"schedule": Schedule.CAMPAIGN})

    def change(cycle: int) -> float:
        turn = Turn(1, cycle=cycle, cycles=8)
        return update_ratio(head, train(head, make_cases(), MODEL, training, turn=turn).weights)

    assert change(0) > 2 * change(6) > 4 * change(7) > 0

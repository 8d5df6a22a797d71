from __future__ import annotations

from itertools import chain

import pytest

from cdistrim.model import initial_weights
from cdistrim.sampling import EpochBatches, Loader, Samples, batch_size_for
from cdistrim.spec import BalanceSpec, ModelSpec, TrainingSpec
from cdistrim.training import Turn, train
from tests.factories import SHAPE, make_cases


def epoch_of(batches: EpochBatches, epoch: int) -> list[list[int]]:
    batches.set_epoch(epoch)
    return list(batches)


def test_small_hospitals_get_smaller_batches() -> None:
    training = TrainingSpec(batch_size=16)
    assert [batch_size_for(n, training) for n in (4, 20, 64, 500)] == [2, 5, 16, 16]


@pytest.mark.parametrize("cases", [4, 5, 9, 33])
def test_every_case_is_in_one_batch_of_each_epoch_and_no_batch_has_one_case(cases: int) -> None:
    batches = EpochBatches(cases, 4, seed=1, slot=1)
    for epoch in range(3):
        drawn = epoch_of(batches, epoch)
        assert sorted(chain.from_iterable(drawn)) == list(range(cases))
        assert min(len(batch) for batch in drawn) > 1
        assert len(drawn) == len(batches)


def test_each_epoch_and_each_slot_has_an_order_of_its_own_and_always_the_same() -> None:
    orders = [
        epoch_of(EpochBatches(40, 8, seed=seed, slot=slot), epoch)
        for seed in (1, 2)
        for slot in (1, 2)
        for epoch in (0, 1)
    ]
    assert len({str(order) for order in orders}) == len(orders)
    assert epoch_of(EpochBatches(40, 8, seed=1, slot=1), 0) == orders[0]


def test_a_training_goes_through_the_cases_in_another_order_each_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []

    class Watched(Samples):
        def __getitem__(self, index: int):  # type: ignore[no-untyped-def]  # noqa: ANN204
            drawn.append(index)
            return super().__getitem__(index)

    monkeypatch.setattr("cdistrim.sampling.Samples", Watched)
    model = ModelSpec(shape=SHAPE, width=4)
    training = TrainingSpec(epochs=3, batch_size=8, balance=BalanceSpec(zoom_copies=False))
    train(initial_weights(model, 1), make_cases(12, 12), model, training, turn=Turn(3))
    expected = EpochBatches(24, 6, seed=training.seed, slot=3)
    assert drawn == [
        one for epoch in range(3) for one in chain.from_iterable(epoch_of(expected, epoch))
    ]
    assert drawn[:24] != drawn[24:48]


def test_a_position_is_kept_and_gone_on_from() -> None:
    cases = make_cases(12, 12)

    def make() -> Loader:
        return Loader(Samples(cases, frozenset()), EpochBatches(24, 6, seed=1, slot=1))

    loader = make()
    loader.batches.set_epoch(2)
    whole = list(loader.batches)
    pass_through = iter(loader.batches)
    assert [next(pass_through) for _ in range(2)] == whole[:2]
    other = make()
    other.load_state_dict(loader.state_dict())
    assert list(other.batches) == whole[2:]
    assert list(other.batches) == whole  # The next epoch begins at its beginning.

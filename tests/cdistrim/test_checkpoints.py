"""A training goes on where it was killed, to the same bits, and its disk tells nobody anything."""

from __future__ import annotations

import logging
import resource
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cdistrim.checkpoints import Checkpoints
from cdistrim.data.cases import CaseSet
from cdistrim.envelope import Context
from cdistrim.model import initial_weights
from cdistrim.opening import erase_request_key
from cdistrim.sealing import SealingKey
from cdistrim.site import Site, SiteSettings, write_atomically
from cdistrim.site_keys import create_site_keys
from cdistrim.spec import TrainingSpec
from cdistrim.training import TrainingProgress, TrainingResult, Turn, _digest, train
from cdistrim.weights import Weights, weights_hash
from tests.killed_training import BATCHES, CASES, HEAD, MODEL, TRAINING, kill_after, train_at

LOGGER = logging.getLogger("tests.checkpoints")
CONTEXT = Context(1, "0x" + "0" * 40, campaign=1, slot=2, attempt=1, partner="0x" + "1" * 40)
EVERY_BATCH = [(epoch, batch) for epoch in (1, 2, 3) for batch in (1, 2, 3, 4)]


class Interruption(Exception):
    """Ends a training as a kill does: nothing that comes after it happens."""


class Told:
    """Which batches were trained; interrupts within the one after ``batches``."""

    def __init__(self, batches: int = BATCHES) -> None:
        self.left = batches
        self.batches: list[tuple[int, int]] = []

    def __call__(self, progress: TrainingProgress) -> None:
        if self.left == 0:
            raise Interruption
        self.left -= 1
        self.batches.append((progress.epoch, progress.batch))


def make_site(directory: Path) -> Site:
    """A hospital without a chain that makes a checkpoint after every batch."""
    settings = SiteSettings(
        name=directory.name,
        ledger_url="http://127.0.0.1:1",
        chain_id=1,
        contract="0x" + "0" * 40,
        store_url=f"file://{directory.parent / 'store'}",
        checkpoint_seconds=0,
    )
    create_site_keys(directory / "keys", "not a secret", quick=True)
    write_atomically(directory / "passphrase", b"not a secret")
    site = Site.create(directory, settings)
    site.store.make()
    return site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path / "hospital")


@pytest.fixture(scope="module")
def undisturbed() -> TrainingResult:
    """What comes out without checkpoints."""
    return train(HEAD, CASES, MODEL, TRAINING, turn=Turn(2))


@pytest.fixture
def same(undisturbed: TrainingResult) -> Callable[[TrainingResult], bool]:
    """Whether a result has the same bits, and the same losses."""

    def compare(result: TrainingResult) -> bool:
        return (
            weights_hash(result.weights) == weights_hash(undisturbed.weights)
            and result.loss_per_epoch == undisturbed.loss_per_epoch
        )

    return compare


Same = Callable[[TrainingResult], bool]


def interrupt(site: Site, batches: int, *, slot: int = 2, attempt: int = 1) -> Path:
    """Train until a batch later than ``batches``; where the checkpoint lies then."""
    with pytest.raises(Interruption):
        train_at(site, slot=slot, attempt=attempt, progress=Told(batches))
    path = site.checkpoint(1, slot, attempt)
    assert path.exists()
    return path


def log_of(site: Site) -> str:
    """What the site's log says."""
    return (site.directory / "log" / "site.log").read_text()


def test_a_training_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_weights(
    site: Site, same: Same
) -> None:
    assert kill_after(6, site.directory) == -signal.SIGKILL

    told = Told()
    assert same(train_at(site, progress=told))
    assert told.batches == EVERY_BATCH[6:]
    assert "goes on from checkpoint-1-2-1.bin, after 6 batches" in log_of(site)


@pytest.mark.parametrize("batches", range(1, BATCHES))
def test_wherever_it_is_interrupted_at_most_two_batches_are_trained_again(
    site: Site, same: Same, batches: int
) -> None:
    interrupt(site, batches)

    told = Told()
    assert same(train_at(site, progress=told))
    # After an epoch's last batch there is no checkpoint.
    assert told.batches == EVERY_BATCH[batches - (batches % 4 == 0) :]


def test_one_that_is_interrupted_again_and_again_arrives_at_the_same_weights(
    site: Site, same: Same
) -> None:
    trained = 0
    for _ in range(BATCHES):
        told = Told(2)
        try:
            result = train_at(site, progress=told)
        except Interruption:
            trained += 2
            continue
        assert same(result)
        assert BATCHES < trained + len(told.batches) < 2 * BATCHES
        return
    pytest.fail("It never arrived.")


def test_a_process_that_is_lost_after_the_training_trains_its_end_again(
    site: Site, same: Same
) -> None:
    train_at(site, progress=Told())

    told = Told()
    assert same(train_at(site, progress=told))
    assert told.batches == EVERY_BATCH[-1:]


def test_threads_are_pinned_in_what_goes_on_too(tmp_path: Path) -> None:
    training = TRAINING.model_copy(update={"threads": 2, "epochs": 2})
    whole = train(HEAD, CASES, MODEL, training, turn=Turn(1))
    place = Checkpoints(tmp_path / "file", SealingKey.generate(), CONTEXT, seconds=0, logger=LOGGER)
    with pytest.raises(Interruption):
        train(HEAD, CASES, MODEL, training, turn=Turn(1), progress=Told(5), checkpoints=place)

    resumed = train(HEAD, CASES, MODEL, training, turn=Turn(1), checkpoints=place)
    assert weights_hash(resumed.weights) == weights_hash(whole.weights)


# --- what is not used ---


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "emptied": lambda path: cut(path, 0),
    "cut in its header": lambda path: cut(path, 40),
    "cut after a chunk": lambda path: cut(path, 73 + (1 << 20) + 16),
    "cut at its end": lambda path: cut(path, -1),
    "flipped in its header": lambda path: flip(path, 20),
    "flipped in its commitment": lambda path: flip(path, 50),
    "flipped in the middle": lambda path: flip(path, path.stat().st_size // 2),
    "flipped at its end": lambda path: flip(path, -1),
    "made longer": lengthen,
    "of another kind": lambda path: torch.save({"global_step": 3}, path),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_not_used(site: Site, same: Same, damage: str) -> None:
    path = interrupt(site, 6)
    assert path.stat().st_size > 73 + (1 << 20) + 16
    DAMAGE[damage](path)

    told = Told()
    assert same(train_at(site, progress=told))
    assert told.batches == EVERY_BATCH
    assert "checkpoint-1-2-1.bin is not used, and the training begins anew: " in log_of(site)


def test_a_checkpoint_of_a_former_attempt_is_not_used(site: Site, same: Same) -> None:
    former = interrupt(site, 6)
    told = Told(3)
    with pytest.raises(Interruption):
        train_at(site, attempt=2, progress=told)
    assert told.batches == EVERY_BATCH[:3]

    former.replace(site.checkpoint(1, 2, 2))
    told = Told()
    assert same(train_at(site, attempt=2, progress=told))
    assert told.batches == EVERY_BATCH
    assert "checkpoint-1-2-2.bin is not used" in log_of(site)


def test_a_checkpoint_of_another_slot_or_site_is_not_used(
    site: Site, tmp_path: Path, same: Same
) -> None:
    foreign = interrupt(make_site(tmp_path / "other"), 6)
    for swapped in (interrupt(site, 6, slot=1), foreign):
        shutil.copy(swapped, site.checkpoint(1, 2, 1))
        told = Told()
        assert same(train_at(site, progress=told))
        assert told.batches == EVERY_BATCH
    assert log_of(site).count("checkpoint-1-2-1.bin is not used") == 2


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 2},
        {"contract": "0x" + "2" * 40},
        {"campaign": 2},
        {"slot": 3},
        {"attempt": 2},
        {"partner": "0x" + "2" * 40},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_checkpoint_is_bound_to_its_context_whatever_its_key(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    key = SealingKey.generate()
    path = tmp_path / "file"
    own = Checkpoints(path, key, CONTEXT, seconds=0, logger=LOGGER).bound_to(b"training")
    own.save_checkpoint({"global_step": 1})
    context = replace(CONTEXT, **change)

    other = Checkpoints(path, key, context, seconds=0, logger=LOGGER).bound_to(b"training")
    assert not other.read()
    assert own.read()


def other_cases() -> CaseSet:
    """One voxel differs."""
    volumes = CASES.volumes.copy()
    volumes[0, 0, 0, 0, 0] += 0.5
    return CaseSet(volumes, CASES.labels, CASES.ids)


OTHERS: dict[str, tuple[Weights, CaseSet, TrainingSpec, int]] = {
    "head": (initial_weights(MODEL, 2), CASES, TRAINING, 2),
    "data": (HEAD, other_cases(), TRAINING, 2),
    "labels": (HEAD, CaseSet(CASES.volumes, 1 - CASES.labels, CASES.ids), TRAINING, 2),
    "spec": (HEAD, CASES, TRAINING.model_copy(update={"learning_rate": 2e-3}), 2),
    "number of slot": (HEAD, CASES, TRAINING, 3),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_another_training_is_not_used(site: Site, other: str) -> None:
    interrupt(site, 6)
    head, cases, training, slot = OTHERS[other]
    expected = train(head, cases, MODEL, training, turn=Turn(slot))

    told = Told()
    place = Checkpoints.of(site, 1, 2, 1)
    result = train(head, cases, MODEL, training, turn=Turn(slot), progress=told, checkpoints=place)
    assert weights_hash(result.weights) == weights_hash(expected.weights)
    assert told.batches == EVERY_BATCH
    assert "checkpoint-1-2-1.bin is not used" in log_of(site)


def test_without_its_one_time_key_no_checkpoint_opens(site: Site, same: Same) -> None:
    interrupt(site, 6)
    erase_request_key(site, 1, 2, 1)

    told = Told()
    assert same(train_at(site, progress=told))
    assert told.batches == EVERY_BATCH
    assert "checkpoint-1-2-1.bin is not used" in log_of(site)


# --- what lies on the disk ---


def tensors_of(state: object) -> Iterator[Tensor]:
    """All tensors in a checkpoint, however deep."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors_of(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from tensors_of(value)


def telling(tensor: Tensor) -> bytes:
    """Some bytes out of a tensor's middle; none where they say nothing, as zeros."""
    values = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
    piece = values[len(values) // 2 :][:16]
    return piece if len(piece) == 16 and len(set(piece)) > 6 else b""


def found_in(directory: Path, pieces: set[bytes]) -> set[bytes]:
    """Which of the pieces lie anywhere below a directory."""
    files = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    return {piece for piece in pieces if any(piece in content for content in files)}


def test_no_weight_and_no_moment_of_the_optimiser_lies_on_the_disk_while_it_trains(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "store"))
    training = _digest(HEAD, CASES, MODEL, TRAINING, Turn(2))
    searched: list[int] = []

    def search(progress: TrainingProgress) -> None:
        pieces = {telling(tensor) for tensor in HEAD.values()}
        file = Checkpoints.of(site, 1, 2, 1).bound_to(training)
        assert file.read() == (progress.epoch + progress.batch > 2)
        if progress.epoch + progress.batch > 2:
            state = file.load_checkpoint()
            moments = {telling(tensor) for tensor in tensors_of(state["optimizer_states"])}
            weights = {telling(tensor) for tensor in tensors_of(state["state_dict"])}
            assert len(moments) > 80
            assert len(weights) > 40
            pieces |= moments | weights
        pieces -= {b""}
        assert not found_in(tmp_path, pieces)
        searched.append(len(pieces))

    train_at(site, progress=search)

    assert len(searched) == BATCHES
    assert {path.name for path in tmp_path.iterdir()} == {"hospital", "store"}


def test_the_search_would_find_what_lightning_saves(tmp_path: Path) -> None:
    pieces = {telling(tensor) for tensor in HEAD.values()} - {b""}
    torch.save(HEAD, tmp_path / "plain")
    assert found_in(tmp_path, pieces) == pieces


def test_there_is_one_file_and_only_its_owner_reads_it(site: Site) -> None:
    def look(_progress: TrainingProgress) -> None:
        files = {path.name for path in site.work.iterdir()}
        assert files <= {"request-1-2-1.key", "checkpoint-1-2-1.bin"}
        for path in site.work.iterdir():
            assert path.stat().st_mode & 0o777 == 0o600

    train_at(site, progress=look)
    assert site.checkpoint(1, 2, 1).exists()


def test_a_training_shorter_than_the_interval_writes_none(site: Site, same: Same) -> None:
    site.settings = site.settings.model_copy(update={"checkpoint_seconds": 60})

    def look(_progress: TrainingProgress) -> None:
        assert not site.checkpoint(1, 2, 1).exists()

    assert same(train_at(site, progress=look))


def test_nothing_is_said_or_warned_about(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    interrupt(site, 6)
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("error")
        train_at(site, progress=Told())
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file of this process gets larger than ``size`` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_without_room_costs_the_checkpoint_but_not_the_training(
    site: Site, same: Same
) -> None:
    path = interrupt(site, 6)
    before = path.read_bytes()
    with small_disk(1 << 18):
        assert same(train_at(site, progress=Told()))

    assert path.read_bytes() == before
    assert not list(site.work.glob(".checkpoint-*"))
    assert "checkpoint-1-2-1.bin is not written, and the training goes on without: " in log_of(site)


def test_what_can_not_be_read_or_replaced_does_not_end_the_training(site: Site, same: Same) -> None:
    site.checkpoint(1, 2, 1).mkdir()
    assert same(train_at(site, progress=Told()))
    assert "is not used, and the training begins anew: Is a directory" in log_of(site)
    assert "is not written, and the training goes on without: Is a directory" in log_of(site)

from __future__ import annotations

import pytest
import torch

from cdistrim.accelerator import Accelerator
from cdistrim.errors import ConfigurationError
from cdistrim.hardware import device_of, mixed, pays_in_bfloat16, pinned

CARD = torch.cuda.is_available()


def test_the_processor_is_taken_where_it_is_asked_for_or_all_there_is() -> None:
    assert device_of(Accelerator.CPU).type == "cpu"
    assert device_of(Accelerator.AUTO).type == ("cuda" if CARD else "cpu")


@pytest.mark.skipif(CARD, reason="this machine has a card")
def test_a_card_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match="finds no NVIDIA card"):
        device_of(Accelerator.GPU)


def test_products_are_in_bfloat16_only_where_that_is_wanted_and_pays() -> None:
    cpu = torch.device("cpu")
    one = torch.ones(2, 2)
    with mixed(cpu, False):
        assert (one @ one).dtype is torch.float32
    with mixed(cpu, True):
        expected = torch.bfloat16 if pays_in_bfloat16(cpu) else torch.float32
        assert (one @ one).dtype is expected


def test_threads_and_generator_are_put_back() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with pinned(threads + 1, 5):
        assert torch.get_num_threads() == threads + 1
        first = torch.rand(1)
    with pinned(1, 5):
        assert torch.rand(1) == first
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)

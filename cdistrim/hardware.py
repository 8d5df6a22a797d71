"""On what a site computes: processor or graphics card, how many threads, which number format."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from cdistrim.accelerator import Accelerator
from cdistrim.errors import ConfigurationError

__all__ = ["device_of", "exclusive_torch", "mixed", "pays_in_bfloat16", "pinned"]


def device_of(accelerator: Accelerator) -> torch.device:
    """The device to compute on.

    Raises:
        ConfigurationError: A card is asked for, and there is none that PyTorch can use.
    """
    if accelerator is Accelerator.CPU:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator is Accelerator.GPU:
        raise ConfigurationError(
            "site.json asks for accelerator gpu, but PyTorch finds no NVIDIA card.",
            hint="Install a build of PyTorch for CUDA and the card's driver, or set accelerator to "
            "auto.",
        )
    return torch.device("cpu")


def pays_in_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; without them it is many times slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # What oneDNN computes with. PyTorch says it nowhere in public; not every release has both.
    told = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in told)


def mixed(device: torch.device, wanted: bool) -> AbstractContextManager[object]:
    """Multiply in bfloat16 where that is wanted and pays; weights and sums stay in float32."""
    if wanted and pays_in_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


_torch_state = threading.RLock()


@contextmanager
def exclusive_torch() -> Iterator[None]:
    """Hold torch's random generator and thread count, which are the whole process's.

    One process may play several sites in threads; a draw by one would change another's training.
    """
    with _torch_state:
        yield


@contextmanager
def pinned(threads: int, seed: int) -> Iterator[None]:
    """This many threads and a seeded generator; the caller's are put back."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with exclusive_torch(), torch.random.fork_rng():
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])

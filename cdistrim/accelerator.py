"""What a site computes on, as ``site.json`` says. No PyTorch here, which loads slowly."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Accelerator"]


class Accelerator(StrEnum):
    """Processor or graphics card."""

    AUTO = "auto"
    """An NVIDIA card if there is one, else the processor."""
    CPU = "cpu"
    """The processor: the same bits every time."""
    GPU = "gpu"
    """An NVIDIA card. The same training gives slightly different weights each time."""

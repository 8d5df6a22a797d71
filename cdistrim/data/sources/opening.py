"""The source that a site's settings name."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from cdistrim.data.sources.interface import CaseSource
from cdistrim.data.sources.settings import (
    DataSettings,
    IrisSettings,
    LidcSettings,
    NiftiSettings,
    NsclcRadiomicsSettings,
    TabularSettings,
)

__all__ = ["open_source"]


def open_source(settings: DataSettings, directory: Path) -> CaseSource:
    """The source; nothing is read yet, and only what this kind needs is imported.

    Args:
        settings: ``data`` in ``site.json``.
        directory: The site's.
    """
    match settings:
        case NsclcRadiomicsSettings():
            from cdistrim.data.sources.nsclc_radiomics import NsclcRadiomicsSource

            return NsclcRadiomicsSource(settings, directory)
        case NiftiSettings():
            from cdistrim.data.sources.nifti import NiftiSource

            return NiftiSource(settings, directory)
        case LidcSettings():
            from cdistrim.data.sources.lidc import LidcSource

            return LidcSource(settings, directory)
        case TabularSettings():
            from cdistrim.data.sources.tabular import TabularSource

            return TabularSource(settings, directory)
        case IrisSettings():
            from cdistrim.data.sources.iris import IrisSource

            return IrisSource(settings)
        case _:
            assert_never(settings)

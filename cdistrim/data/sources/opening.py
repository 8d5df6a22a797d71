"""The source that a site's settings name."""

from __future__ import annotations

from collections.abc import Sequence
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
from cdistrim.errors import ConfigurationError
from cdistrim.spec import FeatureSpec

__all__ = ["open_source"]


def open_source(
    settings: DataSettings, directory: Path, agreed: Sequence[FeatureSpec] | None = None
) -> CaseSource:
    """The source; nothing is read yet, and only what this kind needs is imported.

    Args:
        settings: ``data`` in ``site.json``.
        directory: The site's.
        agreed: The features that the partners agreed on; None where they did not.

    Raises:
        ConfigurationError: This source has other features, or none.
    """
    if agreed is not None and isinstance(settings, TabularSettings):
        settings = settings.with_features(agreed)
    source = _source_of(settings, directory)
    if agreed is not None and source.features != tuple(agreed):
        raise ConfigurationError(
            "The campaign is for rows of a table with "
            f"{', '.join(one.name for one in agreed)}; this site's source is {settings.source}.",
            hint="Correct data in site.json, or agree on a spec without features.",
        )
    return source


def _source_of(settings: DataSettings, directory: Path) -> CaseSource:
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

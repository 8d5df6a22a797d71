"""A site's source of cases, opened, with the plan for its volumes and the place for built ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.data.building import Kitchen
from cdistrim.data.case_cache import CaseCache
from cdistrim.data.sources.interface import CaseSource, Listing, Plan
from cdistrim.data.sources.opening import open_source
from cdistrim.data.sources.settings import DataSettings, no_source
from cdistrim.errors import CDistriMError, ConfigurationError, DataError
from cdistrim.spec import CampaignSpec, ModelSpec

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["Workplace", "wrong_network"]


@dataclass(frozen=True)
class Workplace:
    """A site's source, the plan for its cases, and where they are built.

    Args:
        settings: ``data`` in ``site.json``.
        source: Opened.
        plan: What all cases are made like.
        data: The site's data directory.
        cache: Where built cases are kept; None for rows, which take no time.
    """

    settings: DataSettings
    source: CaseSource
    plan: Plan
    data: Path
    cache: CaseCache | None

    @classmethod
    def of(cls, site: Site, spec: CampaignSpec | None) -> Workplace:
        """The one of a site.

        Args:
            site: The site.
            spec: An agreed one, which goes before the site's own settings.

        Raises:
            ConfigurationError: The site names no source, or its source makes no cases of this shape
                or for this network.
        """
        settings = site.settings.data
        if settings is None:
            raise no_source(site.name)
        shape = getattr(settings, "shape", None)
        preprocessing = getattr(settings, "preprocessing", None)
        if spec is not None:
            shape, preprocessing = spec.model.shape, spec.preprocessing or preprocessing
        source = open_source(settings, site.directory, spec.features if spec else None)
        if spec is not None and (wrong := wrong_network(spec.model, rows=bool(source.features))):
            raise ConfigurationError(
                wrong, hint="See which spec was given, and data.source in site.json."
            )
        data = site.directory / "data"
        place = site.directory / settings.cache if settings.cache else data / "cache"
        cache = None if source.features else CaseCache(place)
        return cls(settings, source, source.plan(shape, preprocessing), data, cache)

    @property
    def kitchen(self) -> Kitchen:
        """How cases are built here."""
        return Kitchen(self.source.kind, self.plan, self.cache)

    def open_cache(self) -> None:
        """See that cases can be kept.

        Raises:
            DataError: They can't.
        """
        if self.cache is None:
            return
        try:
            self.cache.make()
        except OSError as error:
            raise DataError(
                f"The cache {self.cache.directory} can't be written to: {error.strerror}.",
                hint="See whether this account may write there, or set data.cache in site.json.",
            ) from None
        self.cache.sweep()

    def list_cases(self) -> Listing:
        """The source's patients; what goes wrong names none of them.

        Raises:
            DataError: The source can't be read, or has no patients.
        """
        source = self.source
        try:
            listing = source.list_cases()
        except CDistriMError:
            raise
        except OSError as error:
            # Not its path: directories are named after patients.
            told = error.strerror or type(error).__name__
            raise DataError(
                f"The source {source.kind} can't be read: {told}.",
                hint="See whether this account may read all that lies there.",
            ) from None
        except Exception as error:  # noqa: BLE001  its words may name a patient
            raise DataError(
                f"The source {source.kind} can't be read: unexpected {type(error).__name__}.",
                hint="Look for a file there that other programs can't read either.",
            ) from None
        if not len(listing):
            raise DataError(
                f"The source {source.kind} has no patients.", hint="Correct its place in site.json."
            )
        return listing


def wrong_network(model: ModelSpec, *, rows: bool) -> str:
    """Why a network is not for a site's cases; empty if it is.

    A shape alone does not tell: one axis of voxels has that of a row.

    Args:
        model: The spec's.
        rows: Whether the cases are rows of a table, else volumes.
    """
    if (model.architecture == "mlp") == rows:
        return ""
    cases = "rows of a table" if rows else "volumes"
    return f"The spec's network {model.architecture} is not for {cases}, as this site has."

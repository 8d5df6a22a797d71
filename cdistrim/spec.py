"""The campaign spec: what the partners agree on before anything runs.

A spec is a document in the store. Its SHA-256 over canonical JSON (sorted keys, no white space,
UTF-8; the idea of RFC 8785) is on the ledger, and every site compares the two before it runs
anything. Whatever changes the result of a campaign belongs here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cdistrim.errors import ConfigurationError, SpecMismatchError
from cdistrim.handwritten import NotUnderstood, read_written, understand

__all__ = [
    "MAX_SLOTS",
    "BalanceSpec",
    "CampaignSpec",
    "DeadlineSpec",
    "FeatureSpec",
    "GenesisSpec",
    "ModelSpec",
    "Norm",
    "PolicyName",
    "PreprocessingSpec",
    "Schedule",
    "Seed",
    "TrainingSpec",
    "VotingMode",
    "VotingSpec",
]

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[int, Field(ge=1, le=30 * 24 * 3600)]
Seed = Annotated[int, Field(ge=0, le=2**31)]
_Axis = Annotated[int, Field(ge=1, le=1024)]
_Factor = Annotated[float, Field(gt=0, le=10)]
_Length = Annotated[float, Field(gt=0, le=2000)]
_Hounsfield = Annotated[float, Field(ge=-32768, le=32767)]

MAX_SLOTS = 2000
"""As many as the contract takes."""


def _is_whole(value: object) -> object:
    # Literal compares, and so takes true and 1.0 for 1.
    if type(value) is not int:
        raise ValueError("it has to be a whole number, without quotation marks or a decimal point")
    return value


_Version = Annotated[Literal[1], BeforeValidator(_is_whole)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class VotingMode(StrEnum):
    """On what evidence the partners vote about a candidate."""

    HOLDOUT = "holdout"
    """Each evaluator measures the candidate on its own hold-out (default)."""
    REPORTED = "reported"
    """The trainer reports its AUC on an agreed validation set (the paper's way)."""


class PolicyName(StrEnum):
    """How a voter forms its opinion from AUCs."""

    STRICT = "strict"
    """The paper's rule: yes if the AUC did not deteriorate."""
    DELONG = "delong"
    """Non-inferiority on paired predictions, one-sided DeLong test."""


class Norm(StrEnum):
    """How the layers of a 3D network are normalised."""

    BATCH = "batch"
    """By the batch while training, by running statistics afterwards, which travel with the model
    (the paper's)."""
    GROUP = "group"
    """By the case alone, in groups of channels (Wu and He 2018): no statistics travel."""


class Schedule(StrEnum):
    """Over what the learning rate falls to 0."""

    SLOT = "slot"
    """Each slot: every candidate is a finished model."""
    CAMPAIGN = "campaign"
    """All cycles of the campaign; the partners of one cycle have the same rate."""


class ModelSpec(_Frozen):
    """Architecture: a network whose parameters every partner can rebuild.

    Attributes:
        architecture: ``resnet18-3d`` and ``paper-3d`` take volumes, ``mlp`` rows of a table.
        shape: Of a case: (x, y, z) in voxels, or (features, 1, 1) for ``mlp``.
        width: Channels of the first stage; hidden units of a layer for ``mlp``.
        classes: That labels tell apart, counted from 0. With two, 1 is the positive one.
        norm: Of the 3D networks; ``mlp`` has none. Statistics of batches are those of the last
            partner, which costs much where partners differ: ``docs/training.md``.
    """

    architecture: Literal["resnet18-3d", "paper-3d", "mlp"] = "resnet18-3d"
    shape: tuple[_Axis, _Axis, _Axis] = (24, 32, 16)
    width: Annotated[int, Field(ge=4, le=128)] = 16
    classes: Annotated[int, Field(ge=2, le=100)] = 2
    norm: Norm = Norm.GROUP

    @model_validator(mode="after")
    def _check_shape(self) -> ModelSpec:
        if self.architecture == "mlp" and self.shape[1:] != (1, 1):
            raise ValueError(
                f"shape is {self.shape}; mlp takes rows of a table, of shape (features, 1, 1)"
            )
        return self


class PreprocessingSpec(_Frozen):
    """How every partner makes a volume of a scan and the region in it.

    Attributes:
        crop: ``box`` is the paper's: the region picks the axial slices, the crop is its bounding
            box, resized to the model's shape; each case has its own scale then. ``fixed`` takes
            ``field_of_view_mm`` about the region's centre (the mean of its voxels), the same scale
            for all cases.
        field_of_view_mm: Size of the crop along x, y, z, in mm (``fixed`` only).
        margin_mm: Added to the four sides of the bounding box in the axial planes, in mm (``box``
            only); along z a box ends with the region's outermost slices.
        window: Hounsfield units that become 0 and 1; what is beyond is clipped.
    """

    crop: Literal["box", "fixed"] = "box"
    field_of_view_mm: tuple[_Length, _Length, _Length] = (120.0, 160.0, 120.0)
    margin_mm: Annotated[float, Field(ge=0, le=100)] = 5.0
    window: tuple[_Hounsfield, _Hounsfield] = (-1000.0, 400.0)

    @model_validator(mode="after")
    def _check_window(self) -> PreprocessingSpec:
        low, high = self.window
        if low >= high:
            raise ValueError(f"window is {low} to {high}; the lower end comes first")
        return self


class FeatureSpec(_Frozen):
    """A feature of a row of a table: the model sees (value - centre) / scale.

    All partners take the same numbers: figures of one partner's own cases would differ from partner
    to partner, and tell something about them.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    centre: float = 0.0
    scale: Annotated[float, Field(gt=0)] = 1.0


class BalanceSpec(_Frozen):
    """The paper's balancing, done after the split by patient.

    The minority class gets zoom-scaled copies until both classes are equal; ``zoom`` is the range
    of their scale factors. The majority class is augmented at run time during training; with
    ``augment_minority`` the other one is too, which the paper does not do, but which keeps a
    network from telling the classes apart by their augmentation.
    """

    zoom_copies: bool = True
    zoom: tuple[_Factor, _Factor] = (0.85, 1.15)
    augment_majority: bool = True
    augment_minority: bool = False

    @model_validator(mode="after")
    def _check_zoom(self) -> BalanceSpec:
        least, greatest = self.zoom
        if least > greatest:
            raise ValueError(
                f"zoom is {least} to {greatest}; the least factor comes first, then the greatest"
            )
        return self


class TrainingSpec(_Frozen):
    """Local training of one slot. ``threads`` is pinned: other thread counts change the bits.

    ``mixed_precision`` lets a site multiply in bfloat16 where its hardware has instructions for it;
    elsewhere that would be many times slower, and is not done.
    """

    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    batch_size: Annotated[int, Field(ge=2, le=512)] = 16
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    schedule: Schedule = Schedule.SLOT
    mixed_precision: bool = False
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    seed: Seed = 2020
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    balance: BalanceSpec = BalanceSpec()


class VotingSpec(_Frozen):
    """How candidates are judged. AUCs and margins are in [0, 1]."""

    mode: VotingMode = VotingMode.HOLDOUT
    policy: PolicyName = PolicyName.DELONG
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.10
    margin: Fraction = 0.05
    auc_floor: Fraction = 0.5
    min_cases_per_class: Annotated[int, Field(ge=2)] = 20
    max_update_ratio: Annotated[float, Field(gt=0)] = 10.0
    quorum: Annotated[int, Field(ge=2)] | None = None


class DeadlineSpec(_Frozen):
    """Seconds that each step may take before any member may close it."""

    enrol: Seconds = 3600
    fetch_request: Seconds = 3600
    fetch_ballot: Seconds = 3600
    opening: Seconds = 3600
    training: Seconds = 12 * 3600
    upload_ballot: Seconds = 3600
    confirmation: Seconds = 3600


class GenesisSpec(_Frozen):
    """Head 0: weights regenerated from ``seed``; ``weights_hash`` is their SHA-256."""

    seed: Seed = 2020
    weights_hash: Hash


class CampaignSpec(_Frozen):
    """Everything that fixes a campaign. Partners are named by their ledger names, in order.

    ``preprocessing`` is how all partners make volumes of scans, ``features`` what rows of a table
    are made of, in the model's order; None where they did not agree on that here. A site whose
    cases were made in another way does not take part.

    ``docs/campaign.md`` explains each field.
    """

    version: _Version = 1
    name: Name
    task: Annotated[str, Field(min_length=1, max_length=200)]
    order: tuple[Name, ...]
    cycles: Annotated[int, Field(ge=1, le=100)] = 1
    model: ModelSpec = ModelSpec()
    preprocessing: PreprocessingSpec | None = None
    features: Annotated[tuple[FeatureSpec, ...], Field(min_length=1, max_length=1024)] | None = None
    training: TrainingSpec = TrainingSpec()
    voting: VotingSpec = VotingSpec()
    deadlines: DeadlineSpec = DeadlineSpec()
    genesis: GenesisSpec

    @model_validator(mode="after")
    def _check_order(self) -> CampaignSpec:
        if not 2 <= len(self.order) <= 50:
            raise ValueError(f"order names {len(self.order)} partners; 2 to 50 are possible")
        if len(set(self.order)) != len(self.order):
            raise ValueError("order names a partner twice; use cycles to repeat partners")
        return self

    @model_validator(mode="after")
    def _check_features(self) -> CampaignSpec:
        if self.features is None:
            return self
        if self.preprocessing is not None:
            raise ValueError("preprocessing is for scans, features are for rows of a table")
        if len({one.name for one in self.features}) != len(self.features):
            raise ValueError("features names one twice")
        if self.model.shape != (len(self.features), 1, 1):
            raise ValueError(
                f"features names {len(self.features)} of them, but model.shape is "
                f"{self.model.shape}; it has to be {(len(self.features), 1, 1)}"
            )
        return self

    @model_validator(mode="after")
    def _check_numbers(self) -> CampaignSpec:
        """What the contract would refuse, too, but only after the spec was deposited."""
        partners, quorum = len(self.order), self.voting.quorum
        if quorum is not None and quorum > partners:
            raise ValueError(
                f"voting.quorum is {quorum}, but order names {partners} partners; ask for at most "
                f"{partners}, or leave it out for a strict majority"
            )
        if self.slots > MAX_SLOTS:
            raise ValueError(
                f"{self.cycles} cycles of {partners} partners are {self.slots} slots; "
                f"{MAX_SLOTS} are possible, which is {MAX_SLOTS // partners} cycles"
            )
        return self

    @property
    def slots(self) -> int:
        """Number of planned partner iterations."""
        return len(self.order) * self.cycles

    def canonical(self) -> bytes:
        """The bytes whose hash is on the ledger."""
        return json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()

    def digest(self) -> bytes:
        """SHA-256 of :meth:`canonical`, 32 bytes."""
        return hashlib.sha256(self.canonical()).digest()

    @classmethod
    def read(cls, path: Path) -> CampaignSpec:
        """The spec that somebody wrote into a file.

        Raises:
            OSError: It can't be read, or is no regular file.
            ConfigurationError: It is no valid spec.
        """
        document = read_written(path)
        try:
            return cls.parse(document)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error.what}", hint=error.hint) from None

    @classmethod
    def parse(cls, document: bytes, *, expected: bytes | None = None) -> CampaignSpec:
        """Read a spec document.

        Args:
            document: JSON, any formatting.
            expected: The hash on the ledger; compared with the hash of the parsed spec.

        Raises:
            ConfigurationError: The document is no valid spec.
            SpecMismatchError: It is one, but not the one on the ledger.
        """
        try:
            spec = understand(document, cls)
        except NotUnderstood as error:
            value = f"; it is {error.value}" if error.value else ""
            raise ConfigurationError(
                f"The campaign spec is invalid at {error.where}: {error.what}{value}.",
                hint="Correct the spec: docs/campaign.md explains each field.",
            ) from None
        if expected is not None and spec.digest() != expected:
            raise SpecMismatchError(
                f"The spec's SHA-256 is {spec.digest().hex()}, the ledger says {expected.hex()}.",
                hint="Nothing was run. Ask the coordinator for the spec that is on the ledger.",
            )
        return spec

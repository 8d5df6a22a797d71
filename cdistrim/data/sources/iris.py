"""Fisher's IRIS as cases of a site: 150 flowers, three classes (the paper's appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

from cdistrim.data.iris import CENTRE_CM, SCALE_CM, load_iris
from cdistrim.data.sources.interface import Listing, PendingCase, Plan, Shape, row_plan
from cdistrim.data.sources.parts import in_part
from cdistrim.data.sources.settings import IrisSettings
from cdistrim.data.sources.tabular import RowRecipe
from cdistrim.spec import FeatureSpec, PreprocessingSpec

__all__ = ["IrisSource"]

_NAMES = ("sepal length", "sepal width", "petal length", "petal width")
_FEATURES = tuple(
    FeatureSpec(name=name, centre=centre, scale=scale)
    for name, centre, scale in zip(_NAMES, CENTRE_CM, SCALE_CM, strict=True)
)


@dataclass(frozen=True)
class IrisSource:
    """The flowers, or one of several disjoint parts of them; scaled by the same round numbers."""

    settings: IrisSettings
    kind: str = "iris"
    classes: int = 3
    features: tuple[FeatureSpec, ...] = _FEATURES

    def plan(self, shape: Shape | None, preprocessing: PreprocessingSpec | None) -> Plan:
        """As :class:`~cdistrim.data.sources.interface.CaseSource`."""
        return row_plan(len(CENTRE_CM), shape, preprocessing)

    def list_cases(self) -> Listing:
        """All flowers, by their number in Fisher's table."""
        flowers = load_iris()
        return Listing.of(
            PendingCase(name, int(label), RowRecipe(tuple(row.ravel().tolist())))
            for name, label, row in zip(flowers.ids, flowers.labels, flowers.volumes, strict=True)
            if in_part(name, self.settings.part)
        )

"""What the paper reports: tables 2 and 4, as printed.

Source: Zerka et al. 2020, doi 10.1109/ACCESS.2020.3029445. Facts and figures only. The task of
table 2 is two-year survival (NSCLC-Radiomics, 141 test cases), of table 4 Fisher's IRIS (30).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["IRIS_TABLE", "LUNG_TABLE", "Printed"]

CENTRAL = 0
"""Number under which the central model stands among the scenarios."""


@dataclass(frozen=True)
class Printed:
    """One cell of a table: an AUC with its 95 % interval, and DeLong's p against central."""

    auc: float
    low: float
    high: float
    p: float | None = None


LUNG_TABLE: Mapping[int, tuple[Printed, ...]] = {
    CENTRAL: (Printed(0.76, 0.68, 0.84),),
    1: (Printed(0.76, 0.73, 0.88, 0.102),),  # The interval is as printed; 0.76 is not its middle.
    2: (Printed(0.76, 0.68, 0.84, 0.907),),
    3: (Printed(0.76, 0.68, 0.84, 0.984),),
    4: (Printed(0.76, 0.68, 0.84, 0.962),),
    5: (Printed(0.76, 0.68, 0.83, 0.747),),
    6: (Printed(0.77, 0.69, 0.85, 0.779),),
}
"""Table 2 by scenario."""

IRIS_TABLE: Mapping[int, tuple[Printed, ...]] = {
    CENTRAL: (Printed(1, 1, 1), Printed(0.97, 0.93, 1), Printed(0.97, 0.93, 1)),
    1: (Printed(1, 1, 1, 1), Printed(0.94, 0.85, 1, 0.508), Printed(0.98, 0.95, 1, 0.479)),
    2: (Printed(1, 1, 1, 1), Printed(0.99, 0.96, 1, 0.544), Printed(1, 1, 1, 0.318)),
    3: (Printed(1, 1, 1, 1), Printed(0.99, 0.96, 1, 0.575), Printed(1, 1, 1, 0.318)),
    4: (Printed(1, 1, 1, 1), Printed(0.95, 0.89, 1, 0.310), Printed(0.95, 0.89, 1, 0.309)),
    5: (Printed(1, 1, 1, 1), Printed(0.96, 0.91, 1, 0.778), Printed(1, 1, 1, 0.318)),
    6: (Printed(1, 1, 1, 1), Printed(0.99, 0.96, 1, 0.544), Printed(1, 1, 1, 0.318)),
}
"""Table 4 by scenario, one class against the rest."""

"""Fisher's IRIS, out of scikit-learn: the paper's second use case (appendix A).

Fisher 1936, doi 10.1111/j.1469-1809.1936.tb02137.x; public domain. 150 flowers, three classes, four
lengths in cm.
"""

from __future__ import annotations

import numpy as np

from cdistrim.data.cases import CaseSet

__all__ = ["CENTRE_CM", "SCALE_CM", "load_iris"]

CENTRE_CM = (5.8, 3.1, 3.8, 1.2)
SCALE_CM = (0.8, 0.4, 1.8, 0.8)
"""What every partner takes off and divides by. Round numbers, agreed on beforehand: nobody has the
pooled data to compute better ones from."""


def load_iris() -> CaseSet:
    """150 rows of shape (4, 1, 1), scaled by :data:`CENTRE_CM` and :data:`SCALE_CM`."""
    from sklearn import datasets

    values, labels = datasets.load_iris(return_X_y=True)
    scaled = (values - np.array(CENTRE_CM)) / np.array(SCALE_CM)
    ids = tuple(f"flower-{number}" for number in range(1, len(labels) + 1))
    return CaseSet(scaled[:, None, :, None, None].astype(np.float16), labels, ids)

"""What can be reproduced, by name. Imports nothing: a typo is answered at once."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["StudyName"]


class StudyName(StrEnum):
    """Names for the command line."""

    NODULES = "nodules"
    """Lung nodules of LIDC-IDRI in the paper's six scenarios."""
    NSCLC_RADIOMICS = "nsclc-radiomics"
    """The paper's own: two-year survival. The data have to be fetched by hand."""
    IRIS = "iris"
    """The paper's appendix A."""

"""Figures about scores: AUC with interval, DeLong's test, ROC and calibration curves.

Everything is computed from labels (0 or 1) and scores (higher means "more likely 1"), both of shape
(cases,). Cases are assumed independent: one nodule, one tumour per patient. Input may be float32 or
anything that numpy turns into numbers; computation is float64. Messages carry counts only.

Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988 (variance and test); Sun and Xu,
IEEE Signal Processing Letters 21, 2014 (midranks, O(n log n)); Hanley and McNeil, Radiology 143,
1982 (variance from the AUC alone).
"""

from __future__ import annotations

from cdistrim.statistics.bootstrap import (
    BootstrapInterval,
    SeedScores,
    hierarchical_bootstrap,
)
from cdistrim.statistics.calibration import (
    Bins,
    CalibrationCurve,
    CalibrationLine,
    brier,
    brier_of_classes,
    calibration_curve,
    calibration_line,
    expected_calibration_error,
    top_label_calibration_error,
)
from cdistrim.statistics.combination import (
    Combination,
    RandomEffects,
    SiteFigure,
    combine_aucs,
    combine_differences,
)
from cdistrim.statistics.delong import (
    DeLongTest,
    DifferenceInterval,
    delong_test,
    non_inferiority,
    z_score,
)
from cdistrim.statistics.inputs import (
    class_counts,
)
from cdistrim.statistics.multiclass import (
    macro_auc,
    macro_delong_test,
    one_vs_rest,
    one_vs_rest_delong,
)
from cdistrim.statistics.noninferiority import (
    NonInferiorityVerdict,
    judge_difference,
)
from cdistrim.statistics.roc import (
    Interval,
    RocCurve,
    auc,
    auc_interval,
    hanley_mcneil_variance,
    roc_curve,
)
from cdistrim.statistics.scaling import (
    PlattScaling,
    TemperatureScaling,
    fit_platt,
    fit_temperature,
    logits_of,
)
from cdistrim.statistics.sites import (
    CombinedEvidence,
    combine_evidence,
)

__all__ = [
    "Bins",
    "BootstrapInterval",
    "CalibrationCurve",
    "CalibrationLine",
    "Combination",
    "CombinedEvidence",
    "DeLongTest",
    "DifferenceInterval",
    "Interval",
    "NonInferiorityVerdict",
    "PlattScaling",
    "RandomEffects",
    "RocCurve",
    "SeedScores",
    "SiteFigure",
    "TemperatureScaling",
    "auc",
    "auc_interval",
    "brier",
    "brier_of_classes",
    "calibration_curve",
    "calibration_line",
    "class_counts",
    "combine_aucs",
    "combine_differences",
    "combine_evidence",
    "delong_test",
    "expected_calibration_error",
    "fit_platt",
    "fit_temperature",
    "hanley_mcneil_variance",
    "hierarchical_bootstrap",
    "judge_difference",
    "logits_of",
    "macro_auc",
    "macro_delong_test",
    "non_inferiority",
    "one_vs_rest",
    "one_vs_rest_delong",
    "roc_curve",
    "top_label_calibration_error",
    "z_score",
]

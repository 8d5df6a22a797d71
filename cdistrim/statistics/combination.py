"""Figures of several sites combined, where no pooled data exist: AUCs, and paired differences.

**Weights.** Site i counts with ``w = m n / (m + n + 1)``, m and n its positives and negatives: the
inverse of the variance that the AUC of a model without skill has, as in van Elteren's test. Weights
by the sites' own variances are biased, since a site that happens to see a high AUC happens to see
a small variance: intervals from many small sites then miss the truth more often than not. Weights
by size have no bias and need no exception for an AUC of 0 or 1 (docs/statistics.md has the table).

**These sites.** The combined figure is ``sum w y / sum w`` with variance ``sum w^2 v / (sum w)^2``,
v the sites' own variances. It is about the sites that took part, and holds however much they
differ ("fixed effects", Rice, Higgins and Lumley). AUCs get an interval on the logit scale,
differences a plain one.

**Any such site.** What sites of this kind see on average is answered by random effects: variance
between sites by Paule and Mandel, interval by Hartung and Knapp with t quantiles of sites - 1
degrees of freedom, never narrower than without their factor. Site i's variance is taken as
``c / w``, with c such that the variance of the combined figure stays what it is; hence both answers
agree on the value where sites don't differ more than chance. The interval is wide with 3 sites and
says next to nothing with 2; DerSimonian and Laird's is narrower, and misses the truth too often.

**Small sites.** A site with fewer than ``min_cases_per_class`` cases of either class is suppressed:
its figures are in no result, only its name is. No result has totals over all sites, so nothing of a
suppressed site can be had by subtraction *from these results*. If totals over all sites are known
from elsewhere, a single suppressed site is total minus the others: then say so (``totals_known``),
and the smallest other site is suppressed, too. Not protected: against who compares results with and
without a site, and against who reads the ledger, where each vote's evidence stands.

Sources: van Elteren, Bulletin of the International Statistical Institute 37, 1960; Rice, Higgins
and Lumley, Journal of the Royal Statistical Society A 181, 2018; Paule and Mandel, Journal of
Research of the National Bureau of Standards 87, 1982; Hartung and Knapp, Statistics in Medicine 20,
2001; Knapp and Hartung, Statistics in Medicine 22, 2003 (the factor at least 1); Higgins and
Thompson, Statistics in Medicine 21, 2002 (I squared).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, stdtrit

from cdistrim.errors import DataError, UsageError
from cdistrim.statistics.inputs import FloatArray, two_sided_quantile
from cdistrim.statistics.roc import area_interval, logistic

__all__ = [
    "Combination",
    "RandomEffects",
    "SiteFigure",
    "combine_aucs",
    "combine_differences",
]


@dataclass(frozen=True)
class SiteFigure:
    """What one site measured: an AUC in [0, 1], or a difference of two in [-1, 1].

    ``variance`` is that of ``value``; where scores are not known,
    :func:`cdistrim.statistics.hanley_mcneil_variance` gives an AUC's.
    """

    site: str
    value: float
    variance: float
    positives: int
    negatives: int


@dataclass(frozen=True)
class RandomEffects:
    """The mean over sites of this kind, with its interval; ``tau_squared`` varies between sites."""

    value: float
    low: float
    high: float
    tau_squared: float


@dataclass(frozen=True)
class Combination:
    """One figure out of several sites'.

    Attributes:
        value: The figure over these sites.
        low: Lower bound of its interval.
        high: Upper bound.
        level: Confidence level of all intervals.
        variance: Variance of ``value``.
        random: The answer for any such site; None with a single site.
        q: Cochran's Q: how much the sites differ, against ``degrees``, which chance would give.
        degrees: Number of combined sites - 1.
        p_heterogeneity: P(such a Q or a greater one | sites do not differ). With few sites a large
            p shows nothing.
        i_squared: Share of the variation that is not chance, in [0, 1].
        sites: Names of the combined sites.
        suppressed: Names of sites with too few cases; nothing else of theirs is in here.
        positives: Positives of the combined sites.
        negatives: Negatives of the combined sites.
    """

    value: float
    low: float
    high: float
    level: float
    variance: float
    random: RandomEffects | None
    q: float
    degrees: int
    p_heterogeneity: float
    i_squared: float
    sites: tuple[str, ...]
    suppressed: tuple[str, ...]
    positives: int
    negatives: int


def combine_aucs(
    figures: Sequence[SiteFigure],
    *,
    min_cases_per_class: int,
    level: float = 0.95,
    totals_known: bool = False,
) -> Combination:
    """Combine AUCs of one model at several sites.

    Where every site has AUC 1 (or 0) and hence no variance, the interval is exact, as in
    :func:`cdistrim.statistics.auc_interval`, with as many pairs as the smaller classes have.

    Args:
        figures: One a site; AUCs in [0, 1].
        min_cases_per_class: A site with fewer of either class is suppressed; at least 1.
        level: Confidence level, in (0, 1).
        totals_known: Totals over all sites, suppressed ones included, are known elsewhere.

    Raises:
        DataError: No site is left, a site is there twice, or figures are impossible.
        UsageError: ``level`` or ``min_cases_per_class`` is impossible.
    """
    kept, suppressed = _kept(figures, 0.0, min_cases_per_class, totals_known)
    sites = _Sites.of(kept)
    pairs = int(np.minimum(sites.positives, sites.negatives).sum())
    found = area_interval(sites.mean, sites.variance, pairs, level)
    random = sites.random(level)
    if random is not None:
        value, reach, tau_squared = random
        slope = value * (1 - value)
        if slope > 0:
            centre = math.log(value / (1 - value))
            low, high = logistic(centre - reach / slope), logistic(centre + reach / slope)
            random_effects = RandomEffects(value, low, high, tau_squared)
        else:
            random_effects = RandomEffects(value, found.low, found.high, tau_squared)
    else:
        random_effects = None
    return _combination(sites, found.low, found.high, level, random_effects, suppressed)


def combine_differences(
    figures: Sequence[SiteFigure],
    *,
    min_cases_per_class: int,
    level: float = 0.95,
    totals_known: bool = False,
) -> Combination:
    """Combine paired differences of two models' AUCs at several sites.

    A site where both models order the cases alike has difference 0 and variance 0, and counts as
    any other of its size. If no site has a variance, neither has the result: its interval is the
    point, as in :class:`cdistrim.statistics.DeLongTest`.

    Args:
        figures: One a site; differences in [-1, 1] with the variances of DeLong's test.
        min_cases_per_class: A site with fewer of either class is suppressed; at least 1.
        level: Confidence level, in (0, 1).
        totals_known: Totals over all sites, suppressed ones included, are known elsewhere.

    Raises:
        DataError: No site is left, a site is there twice, or figures are impossible.
        UsageError: ``level`` or ``min_cases_per_class`` is impossible.
    """
    kept, suppressed = _kept(figures, -1.0, min_cases_per_class, totals_known)
    sites = _Sites.of(kept)
    reach = two_sided_quantile(level) * math.sqrt(sites.variance)
    random = sites.random(level)
    random_effects = None
    if random is not None:
        value, width, tau_squared = random
        low, high = max(-1.0, value - width), min(1.0, value + width)
        random_effects = RandomEffects(value, low, high, tau_squared)
    low, high = max(-1.0, sites.mean - reach), min(1.0, sites.mean + reach)
    return _combination(sites, low, high, level, random_effects, suppressed)


_TINY = 1e-100


@dataclass(frozen=True, eq=False)
class _Sites:
    """Combined sites, all arrays of shape (sites,)."""

    names: tuple[str, ...]
    values: FloatArray
    own_variances: FloatArray
    positives: FloatArray
    negatives: FloatArray

    @classmethod
    def of(cls, figures: Sequence[SiteFigure]) -> _Sites:
        columns = np.array([(f.value, f.variance, f.positives, f.negatives) for f in figures]).T
        # No cases give an AUC, a difference or a variance so near to zero; inverse squares of it
        # would overflow.
        columns[np.abs(columns) < _TINY] = 0
        return cls(tuple(f.site for f in figures), *columns.astype(np.float64))

    @property
    def weights(self) -> FloatArray:
        return np.asarray(self.positives * self.negatives / (self.positives + self.negatives + 1))

    @property
    def mean(self) -> float:
        """Exact where all sites agree: rounding must not make an AUC of 1 less than certain."""
        low, high = float(self.values.min()), float(self.values.max())
        return min(high, max(low, float(self.weights @ self.values / self.weights.sum())))

    @property
    def variance(self) -> float:
        shares = self.weights / self.weights.sum()
        return float(shares**2 @ self.own_variances)

    @property
    def variances(self) -> FloatArray:
        """Own variances evened out: inverse to the weights, and the mean's variance the same."""
        return np.asarray(self.variance * self.weights.sum() / self.weights)

    @property
    def spread(self) -> float:
        """Cochran's Q."""
        squares = (self.values - self.mean) ** 2
        if self.variance == 0:
            return math.inf if squares.any() else 0.0
        return float(np.sum(squares / self.variances))

    def random(self, level: float) -> tuple[float, float, float] | None:
        """Mean, reach of its interval and variance between sites; None with a single site."""
        degrees = self.values.size - 1
        if degrees == 0:
            return None
        tau_squared = self._between()
        total = self.variances + tau_squared
        if not total.any():
            return self.mean, 0.0, 0.0
        weights = 1 / total
        mean = float(weights @ self.values / weights.sum())
        factor = max(1.0, float(weights @ (self.values - mean) ** 2) / degrees)
        quantile = float(stdtrit(degrees, 0.5 + level / 2))
        return mean, quantile * math.sqrt(factor / float(weights.sum())), tau_squared

    def _between(self) -> float:
        """Paule and Mandel: the variance between sites with which Q is what chance gives."""
        # Late: it takes longer to import than the rest of the package, and voting needs none of it.
        from scipy.optimize import brentq

        degrees = self.values.size - 1
        if self.variance == 0:
            return float(np.var(self.values, ddof=1))
        if self.spread <= degrees:
            return 0.0

        def excess(tau_squared: float) -> float:
            weights = 1 / (self.variances + tau_squared)
            mean = weights @ self.values / weights.sum()
            return float(weights @ (self.values - mean) ** 2) - degrees

        # Around the plain mean, Q is at most the sum of squares over tau_squared: 1/2 at this end.
        most = 2 * float(np.sum((self.values - self.values.mean()) ** 2))
        return float(brentq(excess, 0.0, most, xtol=1e-15, rtol=1e-12))


def _combination(
    sites: _Sites,
    low: float,
    high: float,
    level: float,
    random: RandomEffects | None,
    suppressed: tuple[str, ...],
) -> Combination:
    degrees = len(sites.names) - 1
    q = sites.spread
    return Combination(
        value=sites.mean,
        low=low,
        high=high,
        level=level,
        variance=sites.variance,
        random=random,
        q=q,
        degrees=degrees,
        p_heterogeneity=float(chdtrc(degrees, q)) if degrees else 1.0,
        i_squared=max(0.0, 1 - degrees / q) if q > 0 else 0.0,
        sites=sites.names,
        suppressed=suppressed,
        positives=int(sites.positives.sum()),
        negatives=int(sites.negatives.sum()),
    )


def _kept(
    figures: Sequence[SiteFigure], lowest: float, least: int, totals_known: bool
) -> tuple[tuple[SiteFigure, ...], tuple[str, ...]]:
    """Sites to combine, and names of those to suppress; both in the order given."""
    if least < 1:
        raise UsageError(
            f"A minimum of {least} cases per class is not possible.", hint="Take at least 1."
        )
    names = [figure.site for figure in figures]
    if len(set(names)) < len(names):
        raise DataError(
            f"{len(names) - len(set(names))} of {len(names)} figures are of a site that is there"
            " already.",
            hint="Give one figure per site.",
        )
    small = {f.site for f in figures if min(f.positives, f.negatives) < least}
    if totals_known and len(small) == 1 and len(figures) > 1:
        others = (f for f in figures if f.site not in small)
        small.add(min(others, key=_size).site)
    kept = tuple(figure for figure in figures if figure.site not in small)
    for figure in kept:
        fits = lowest <= figure.value <= 1 and 0 <= figure.variance < math.inf
        if not fits:
            raise DataError(
                f"{figure.site} gives the figure {figure.value:g} with variance"
                f" {figure.variance:g}, which can't be.",
                hint="Leave the site out, and ask it how this was measured.",
            )
    if not kept:
        raise DataError(
            f"None of {len(names)} sites has {least} cases of each class to combine.",
            hint="Wait for larger hold-outs, or agree on a smaller minimum before anybody looks.",
        )
    return kept, tuple(name for name in names if name in small)


def _size(figure: SiteFigure) -> tuple[int, int, str]:
    smaller, larger = sorted((figure.positives, figure.negatives))
    return smaller, larger, figure.site

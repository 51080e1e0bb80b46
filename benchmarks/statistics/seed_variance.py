"""Seed variances of a table's rows, each moderated by those of the other rows.

What: `moderate` shrinks the rows' variances towards their mean; `SeedVariances` holds those of one table and gives the
variance of any two rows' difference to `statistics.paired_difference`.

Three seeds say little about the variance of one row (two degrees of freedom), but eleven rows of a table say a lot
about what is usual there. Smyth (2004, "Linear Models and Empirical Bayes Methods for Assessing Differential
Expression", Statistical Applications in Genetics and Molecular Biology 3; the method of limma) gives each row the mean
of both, its own variance weighted by its degrees of freedom and the usual one by `PRIOR_FREEDOM`.

Simplified: `PRIOR_FREEDOM` is fixed. limma's estimate of it from a table of a few rows is mostly noise, and too large
where it matters; from the 150 rows of four seeds of each recorded table it is 5.0 (`micro`) and 3.5 (`micro-b`). A row
that varies more than is usual keeps its own variance, so that no quiet rows vouch for an unstable one. Runs of one seed
count as independent between rows; where rows share a seed's luck, differences vary less than is assumed.
`tests.experiments.simulations.false_tables` chose this by false and found differences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PRIOR_FREEDOM = 4.0  # of the usual variance: our choice, by the two recorded tables and by simulation
MODERATED, OWN = "moderated", "own"
"""How a difference came to its seed variance; `OWN` is of earlier versions, and of a comparison that stands alone."""


@dataclass(frozen=True)
class SeedVariance:
    """Variance of the difference of two single runs' means, one of each row, and its degrees of freedom."""

    variance: FloatArray | float
    freedom: FloatArray | float


def moderate(variances_N: FloatArray, freedoms_N: FloatArray) -> FloatArray:
    """The moderated variances of N rows; leading axes are many tables. `freedoms_N` are those of the rows' own.

    v~_i = max(v_i, (d0 v + d_i v_i) / (d0 + d_i)),   v = sum(d_i v_i) / sum(d_i),   d0 = PRIOR_FREEDOM
    """
    usual = (freedoms_N * variances_N).sum(axis=-1, keepdims=True) / freedoms_N.sum()
    shrunk = (PRIOR_FREEDOM * usual + freedoms_N * variances_N) / (PRIOR_FREEDOM + freedoms_N)
    return np.asarray(np.maximum(variances_N, shrunk))


def of_difference(
    one: tuple[FloatArray | float, float], other: tuple[FloatArray | float, float] | None, table_freedom: float
) -> SeedVariance:
    """The variance of the difference of two rows, each (moderated variance, own degrees of freedom); None: it has none.

    Degrees of freedom by Satterthwaite (1946, "An Approximate Distribution of Estimates of Variance Components",
    Biometrics Bulletin 2) with d0 + d_i for each row, f; the usual variance is itself estimated from the table's
    degrees of freedom, n, so 1 / (1 / f + 1 / n) in all.
    """
    rows = [one] if other is None else [one, other]
    total = sum((np.asarray(variance) for variance, _ in rows), np.float64(0))
    squares = sum((np.square(variance) / (PRIOR_FREEDOM + own) for variance, own in rows), np.float64(0))
    # All runs equal: any degrees of freedom will do.
    inverse = np.divide(squares, total**2, out=np.zeros_like(total), where=total > 0)
    return SeedVariance(total, 1 / (inverse + 1 / table_freedom))


@dataclass(frozen=True)
class SeedVariances:
    """Moderated variances of a table's rows, by name: of one run's mean; `freedoms` are their own, S - 1."""

    variances: Mapping[str, float]
    freedoms: Mapping[str, int]

    @classmethod
    def of(cls, run_means: Mapping[str, Sequence[float]]) -> "SeedVariances":
        """From the mean of every run of every row. Rows of one run take no part: they do not tell how runs vary."""
        several = {name: np.asarray(means, float) for name, means in run_means.items() if len(means) > 1}
        if len(several) < 2:
            return cls({}, {})
        freedoms = {name: len(means) - 1 for name, means in several.items()}
        variances = moderate(
            np.array([means.var(ddof=1) for means in several.values()]), np.array([*freedoms.values()], float)
        )
        return cls(dict(zip(several, map(float, variances), strict=True)), freedoms)

    def between(self, a: str, b: str) -> SeedVariance | None:
        """Of the difference a - b; None where neither row, or no other row of the table, has two runs."""
        rows = [(self.variances[name], float(self.freedoms[name])) for name in (a, b) if name in self.variances]
        if not rows:
            return None
        return of_difference(rows[0], rows[1] if len(rows) > 1 else None, float(sum(self.freedoms.values())))

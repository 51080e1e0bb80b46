"""Whether two sets of samples of the same problems can come from one model: an exact test, conditional on each problem.

Given how many of a problem's samples are right in both sets together, how many of them fall into the first is
hypergeometric where both were drawn alike, whatever the problem's difficulty (Cochran 1954, Mantel and Haenszel 1959).
The distribution of their sum is computed exactly, by convolution.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from tuition.benchmarks.statistics.intervals import Array


def redrawn_p_value(stated_PK: Array, drawn_PK: Array) -> float:
    """The two-sided p-value of "drawn alike" for 0/1 outcomes of the same problems, (problems, samples) each.

    Two sums of right answers as unlikely as, or less likely than, the one that was found count against it. ValueError
    for other problems.

    >>> import numpy as np
    >>> redrawn_p_value(np.ones((5, 4)), np.zeros((5, 4))) < 1e-6
    True
    >>> redrawn_p_value(np.ones((5, 4)), np.ones((5, 4)))
    1.0
    """
    if len(stated_PK) != len(drawn_PK):
        raise ValueError(f"{len(stated_PK)} problems were stated and {len(drawn_PK)} drawn: give the same problems")
    first, second = stated_PK.shape[1], drawn_PK.shape[1]
    right_P: Sequence[Any] = (stated_PK.sum(axis=1) + drawn_PK.sum(axis=1)).astype(int)
    chances = np.ones(1)
    for right in right_P:
        chances = np.convolve(chances, hypergeom.pmf(np.arange(first + 1), first + second, right, first))
    found = chances[int(stated_PK.sum())]
    # Sums of equal chance differ by rounding.
    return float(min(1.0, chances[chances <= found * (1 + 1e-7)].sum()))

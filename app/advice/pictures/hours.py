"""GPU-hours on an axis: in the unit in which people would say them."""

from __future__ import annotations

import pandas as pd

UNITS = (("GPU-hours", 1.0), ("GPU-minutes", 60.0), ("GPU-seconds", 3600.0))
LEAST = 2.0
"""A unit is taken from so many of it on."""


def hours_axis(gpu_hours: pd.Series[float]) -> tuple[pd.Series[float], str]:
    """The same times in a unit, and its name."""
    longest = float(gpu_hours.max())
    unit, factor = next((one for one in UNITS if longest * one[1] >= LEAST), UNITS[-1])
    return gpu_hours * factor, unit

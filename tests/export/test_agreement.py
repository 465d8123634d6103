"""The figures in which two arrays agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.agreement import cosine, max_abs, rank_correlation, relative_error

FLOATS = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=30)


def test_the_relative_error_is_against_the_largest_of_the_truth() -> None:
    assert relative_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    assert relative_error(np.zeros(3), np.zeros(3)) == 0.0
    assert math.isinf(relative_error(np.ones(3), np.zeros(3)))


def test_numbers_that_are_none_agree_only_with_their_like() -> None:
    broken = np.array([np.nan, np.inf, 1.0])
    assert max_abs(broken, broken) == 0.0
    assert math.isnan(max_abs(broken, np.array([0.0, np.inf, 1.0])))


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_the_cosine_is_of_directions_and_not_of_sizes(scale: float) -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])
    assert cosine(a * scale, b) == pytest.approx(1.0)
    assert cosine(a * scale, -b) == pytest.approx(-1.0)
    assert cosine(np.zeros(3), a) == 0.0


def test_ties_share_the_mean_of_their_ranks() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: Pearson of the ranks, by hand 4.5 / sqrt(4.5 * 5).
    assert rank_correlation(np.array([0, 7, 7, 9]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / math.sqrt(22.5))


@given(FLOATS, st.randoms())
def test_only_the_order_counts(values: list[float], random: object) -> None:
    a = np.array(values)
    rho = rank_correlation(a, np.exp(a / 10.0))
    assert math.isnan(rho) if len(set(values)) == 1 else rho == pytest.approx(1.0)
    assert math.isnan(rho) or rank_correlation(a, -(a**3)) == pytest.approx(-1.0)


def test_where_there_is_no_order_there_is_no_correlation() -> None:
    assert math.isnan(rank_correlation(np.ones(4), np.arange(4)))
    assert math.isnan(rank_correlation(np.array([1.0, np.nan]), np.array([1.0, 2.0])))

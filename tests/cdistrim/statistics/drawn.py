"""Cases that hypothesis draws, and what counts as the same figure."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import strategies as st

Cases = tuple[list[int], list[int], list[int]]


def exactly(value: float) -> float:
    """Equal within 1e-10; typed as a number, so that comparisons with it are checked."""
    return cast(float, pytest.approx(value, rel=1e-10, abs=1e-10))


@st.composite
def cases(draw: st.DrawFn) -> Cases:
    """Labels and the scores of two models; few distinct values, so that ties are the rule."""
    positives, negatives = draw(st.integers(2, 9)), draw(st.integers(2, 9))
    labels = draw(st.permutations([1] * positives + [0] * negatives))
    score = st.lists(st.integers(-3, 3), min_size=len(labels), max_size=len(labels))
    return list(labels), draw(score), draw(score)

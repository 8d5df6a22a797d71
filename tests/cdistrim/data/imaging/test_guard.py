from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import pytest

from cdistrim.data.imaging.guard import UnreadableError, excluding
from cdistrim.data.scan import CaseExcluded, Exclusion


def failing(error: BaseException) -> Callable[[], None]:
    @excluding(Exclusion.BROKEN_SCAN)
    def read() -> None:
        warnings.warn("NEEDLEname", stacklevel=1)
        logging.getLogger("pydicom.pixels").error("NEEDLEname")
        raise error

    return read


def excluded(error: BaseException) -> CaseExcluded:
    with pytest.raises(CaseExcluded) as caught:
        failing(error)()
    return caught.value


def test_of_a_foreign_error_only_its_kind_is_told_and_it_does_not_travel_along() -> None:
    error = excluded(KeyError("NEEDLEname"))
    assert (error.reason, error.detail) == (Exclusion.BROKEN_SCAN, "KeyError")
    assert error.__context__ is None
    assert error.__cause__ is None


def test_a_readers_own_words_and_reasons_are_kept() -> None:
    assert excluded(UnreadableError("3 of 4")).detail == "3 of 4"
    kept = excluded(CaseExcluded(Exclusion.OTHER_FRAME, "2 of them"))
    assert (kept.reason, kept.detail) == (Exclusion.OTHER_FRAME, "2 of them")


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_what_says_nothing_about_the_case_passes(error: type[BaseException]) -> None:
    with pytest.raises(error):
        failing(error())()


def test_warnings_and_logs_are_swallowed(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        excluded(ValueError())
    assert not caught
    assert caplog.text == ""

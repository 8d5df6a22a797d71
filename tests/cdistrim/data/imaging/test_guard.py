from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable

import pytest

from cdistrim.data.imaging.guard import UnreadableError, excluding, silence
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


def test_the_last_of_several_threads_puts_logging_and_warnings_back(
    recwarn: pytest.WarningsRecorder,
) -> None:
    logger = logging.getLogger("pydicom")
    level, filters = logger.level, list(warnings.filters)
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    heard: list[int] = []

    def first() -> None:
        with silence():
            first_is_in.set()
            assert second_is_in.wait(20)
        first_is_out.set()

    def second() -> None:
        assert first_is_in.wait(20)
        with silence():
            second_is_in.set()
            assert first_is_out.wait(20)
            heard.append(logger.getEffectiveLevel())
            warnings.warn("a name", UserWarning, stacklevel=1)

    threads = [threading.Thread(target=one) for one in (first, second)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert heard == [logging.CRITICAL + 1]
    assert not recwarn.list
    assert (logger.level, list(warnings.filters)) == (level, filters)


def test_a_file_that_ends_too_early_is_told_in_words() -> None:
    @excluding(Exclusion.BROKEN_SCAN)
    def reader() -> None:
        raise EOFError("Needle^Nora")

    with pytest.raises(CaseExcluded) as caught:
        reader()
    assert (caught.value.reason, caught.value.detail) == (
        Exclusion.BROKEN_SCAN,
        "a file ends too early",
    )

"""The boundary to the Prefect server: codes go out, texts stay."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow

from cdistrim.errors import (
    CDistriMError,
    IntegrityError,
    LedgerRefusal,
    LedgerUnavailableError,
    NotReleasedError,
    SealError,
    StoreUnavailableError,
)
from cdistrim.iteration import IterationRef
from cdistrim.progress import Silent, listen_with
from cdistrim.site import Site, SiteSettings, site_bound_to
from tasks.boundary import SiteFailure, guarded, step

SECRET = "patient-0815 lies in /srv/hospital/data"  # noqa: S105


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    settings = SiteSettings(
        name="hospital-1",
        ledger_url="http://127.0.0.1:1",
        chain_id=1,
        contract="0x" + "0" * 40,
        store_url="file:///srv/store",
    )
    return Site.create(tmp_path / "hospital-1", settings).directory


class _Notes(Silent):
    """Keeps what a display would show."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def raising(error: Exception) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code", "exit_code", "retryable"),
    [
        (IntegrityError(SECRET), "IntegrityError", 7, False),
        (LedgerRefusal(SECRET, name="NotYourTurn"), "LedgerRefusal", 13, False),
        (LedgerUnavailableError(SECRET), "LedgerUnavailableError", 11, True),
        (SealError(SECRET), "SealError", 7, False),
        (NotReleasedError(SECRET), "NotReleasedError", 16, True),
        (ValueError(SECRET), "ValueError", 1, False),
    ],
)
def test_a_failure_goes_out_as_a_code_and_stays_as_a_text(
    directory: Path, error: Exception, code: str, exit_code: int, retryable: bool
) -> None:
    with site_bound_to(directory), pytest.raises(SiteFailure) as caught:
        guarded("train of slot 2", raising(error))

    failure = caught.value
    assert code in str(failure)
    assert "train of slot 2" in str(failure)
    assert (failure.exit_code, failure.retryable) == (exit_code, retryable)
    assert SECRET in (directory / "log" / "site.log").read_text()
    # Prefect sends the formatted traceback: causes are part of it, unless they are cut off.
    assert SECRET not in "".join(traceback.format_exception(failure))


def test_a_failure_passes_the_boundary_once(directory: Path) -> None:
    with site_bound_to(directory), pytest.raises(SiteFailure, match="in inner"):
        guarded("outer", lambda: guarded("inner", raising(ValueError(SECRET))))


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("error", "calls"),
    [(StoreUnavailableError("away"), 2), (IntegrityError("altered"), 1), (ValueError("bug"), 1)],
    ids=["service", "data", "bug"],
)
def test_only_trouble_with_a_service_is_tried_again(
    directory: Path, error: CDistriMError | ValueError, calls: int
) -> None:
    seen: list[IterationRef] = []

    @step(retries=1)
    def flaky(ref: IterationRef) -> str:
        seen.append(ref)
        if len(seen) < 2:
            raise error
        return "done"

    @flow(name="flaky")
    def once() -> str:
        return flaky(IterationRef(1, 2, 3))

    notes = _Notes()
    listen_with(notes)
    try:
        with site_bound_to(directory):
            if calls == 2:
                assert once() == "done"
            else:
                with pytest.raises(SiteFailure):
                    once()
    finally:
        listen_with(Silent())
    assert len(seen) == calls
    # Whoever waits is told why: the code, as the server is, and not the text.
    told = ["hospital-1: StoreUnavailableError in flaky of slot 2"] if calls == 2 else []
    assert [note.partition(";")[0] for note in notes.texts] == told

"""Built cases out of recipes: in processes of their own, each case once.

Scans are read by libraries that were not written for hostile files, and that print what they find
odd, names included. So they are read in processes that print nothing, whose death tells nothing
about a case, and which end with this one. What they built lies in the cache when they say so:
whatever is killed, the next run goes on from there.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.case_cache import CaseCache, cache_key
from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.interface import Crop, Plan, Recipe
from cdistrim.errors import CDistriMError, DataError
from cdistrim.report.wording import plural
from cdistrim.worker_process import begin_worker, end_workers

__all__ = ["Kitchen", "Made", "make_cases"]

_FLAT = 0.005
"""Of the window, from which on a crop is more than one value: 7 HU of the default's. The noise of
any scan is more; a mask in the scan's place, or a scan read at the wrong size, is less."""


@dataclass(frozen=True, eq=False)
class Kitchen:
    """How all cases of a site are made.

    Args:
        kind: Of the source.
        plan: Shape and preprocessing.
        cache: Where built cases are kept; None to keep none.
    """

    kind: str
    plan: Plan
    cache: CaseCache | None


@dataclass(frozen=True, eq=False)
class Made:
    """What became of one recipe: a case, or why there is none. Exactly one of the two is given.

    Args:
        crop: The case.
        excluded: Why it is left out.
        from_cache: Whether it was built before.
        scan: Digest of the scan that it was built from; empty for rows of a table.
    """

    crop: Crop | None
    excluded: CaseExcluded | None = None
    from_cache: bool = False
    scan: str = field(default="", repr=False)


@dataclass(frozen=True)
class _Answer:
    """What a process tells. Exceptions would lose their parts on the way, so none travels."""

    key: str = field(default="", repr=False)
    crop: Crop | None = field(default=None, repr=False)
    reason: Exclusion | None = None
    detail: str = ""
    failure: str = ""
    hint: str = ""
    from_cache: bool = False
    scan: str = field(default="", repr=False)


def make_cases(
    recipes: Mapping[str, Recipe],
    kitchen: Kitchen,
    *,
    workers: int,
    told: Callable[[str, Made], None],
) -> None:
    """Make all cases; the order and the number of processes change no bit of them.

    Args:
        recipes: By the name of the case.
        kitchen: How they are made.
        workers: Processes; 0 to make them in this one.
        told: Called for each case, in any order.

    Raises:
        DataError: The cache can't be written, memory ran out, or a process was ended from outside.
            Nothing is told of the cases that were at work.
    """
    if workers == 0:
        for case, recipe in recipes.items():
            told(case, _made(_attempt(recipe, kitchen), kitchen))
        return
    done = 0
    with _pool(min(workers, max(len(recipes), 1))) as pool:
        futures = {pool.submit(_attempt, recipe, kitchen): case for case, recipe in recipes.items()}
        try:
            for case, answer in _answers(futures):
                told(case, _made(answer, kitchen))
                done += 1
        except BrokenProcessPool:
            raise DataError(
                f"A process that read scans was ended from outside, perhaps because memory ran "
                f"out; {done} of {plural(len(recipes), 'case')} are done, and nobody was left out "
                "because of it.",
                hint="Run the same again, which goes on from there, with fewer --workers. If it "
                "happens with --workers 1 as well, one scan is too large for this machine.",
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_workers()  # Else the end waits for what is being read, which may be long.
            raise


def _answers(futures: Mapping[Future[_Answer], str]) -> Iterator[tuple[str, _Answer]]:
    for future in as_completed(futures):
        yield futures[future], future.result()


def _pool(workers: int) -> ProcessPoolExecutor:
    # A forked child would inherit locks of threads that it does not have (torch's, rich's).
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)


def _begin() -> None:
    """A process that reads scans begins: it prints nothing."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    begin_worker()


def _attempt(recipe: Recipe, kitchen: Kitchen) -> _Answer:
    """Make one case, or say why not; whatever a reader raises, it is about this case alone."""
    try:
        key = cache_key(kitchen.kind, recipe, kitchen.plan)
        scan = recipe.scan_digest.hex()
        kept = kitchen.cache.get(key) if kitchen.cache else None
        if kept is not None and kept.volume.shape == kitchen.plan.shape:
            return _Answer(key, from_cache=True, scan=scan)
        crop = _checked(recipe.build(kitchen.plan), kitchen.plan)
    except CaseExcluded as excluded:
        return _Answer(reason=excluded.reason, detail=excluded.detail)
    except CDistriMError as error:
        return _Answer(failure=error.what, hint=error.hint)
    except MemoryError:
        return _Answer(
            failure="A scan needs more memory than there is.", hint="Use fewer --workers."
        )
    except Exception as error:  # noqa: BLE001  a stranger's file; its words may name a patient
        return _Answer(reason=Exclusion.BROKEN_SCAN, detail=type(error).__name__)
    if kitchen.cache is None:
        return _Answer(crop=crop, scan=scan)
    try:
        kitchen.cache.put(key, crop)
    except OSError as error:
        return _Answer(
            failure=f"The cache {kitchen.cache.directory} can't be written to: {error.strerror}.",
            hint="See how much space is left, or set data.cache in site.json.",
        )
    return _Answer(key, scan=scan)


def _checked(crop: Crop, plan: Plan) -> Crop:
    volume = np.asarray(crop.volume, dtype=np.float16)
    if volume.shape != plan.shape or not np.isfinite(volume).all():
        raise CaseExcluded(Exclusion.BROKEN_SCAN, "values that are not finite")
    if plan.preprocessing is not None and np.ptp(volume.astype(np.float32)) < _FLAT:
        raise CaseExcluded(Exclusion.FLAT_SCAN, _end_of_window(volume))
    return Crop(volume, crop.region)


def _end_of_window(volume: NDArray[np.float16]) -> str:
    end = "lower" if volume.max() < _FLAT else "upper" if volume.min() > 1 - _FLAT else ""
    return f"all of it at the {end} end of the window, or beyond" if end else ""


def _made(answer: _Answer, kitchen: Kitchen) -> Made:
    if answer.failure:
        raise DataError(answer.failure, hint=answer.hint)
    if answer.reason is not None:
        return Made(None, CaseExcluded(answer.reason, answer.detail))
    crop = answer.crop or (kitchen.cache.get(answer.key) if kitchen.cache else None)
    if crop is None:
        raise DataError(
            "A case that was just built is not in the cache any more.",
            hint="See that nothing else clears the cache, then run it again.",
        )
    return Made(crop, from_cache=answer.from_cache, scan=answer.scan)

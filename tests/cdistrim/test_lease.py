"""Rules of the lease: one holder at a time, and a dead one blocks nobody."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cdistrim.errors import ConfigurationError, LeaseHeldError
from cdistrim.lease import Lease, holder_of, is_held

HOLD = """
import os, sys, time
from pathlib import Path
from cdistrim.lease import Lease
lease = Lease(Path(sys.argv[1]), campaign=7, slot=3, purpose="training")
lease.acquire()
if "fork" in sys.argv and os.fork() == 0:
    sys.stdout.close()
    print(os.getpid(), file=sys.stderr, flush=True)
    time.sleep(60)
    os._exit(0)
print("held", flush=True)
time.sleep(60)
"""


def _hold_elsewhere(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def _end(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    for pipe in (holder.stdout, holder.stderr):
        assert pipe is not None
        pipe.close()


def _lease(directory: Path) -> Lease:
    return Lease(directory, campaign=1, slot=2, purpose="partner iteration")


def test_another_process_is_refused_at_once_and_told_by_whom(tmp_path: Path) -> None:
    holder = _hold_elsewhere(tmp_path)
    try:
        with pytest.raises(LeaseHeldError) as caught:
            _lease(tmp_path).acquire()
    finally:
        _end(holder)
    message = str(caught.value)
    assert f"process {holder.pid} " in message
    assert "slot 3 of campaign 7 (training)" in message
    assert "since 20" in message


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    _end(_hold_elsewhere(tmp_path))
    with _lease(tmp_path):
        now = holder_of(tmp_path)
    assert now is not None
    assert now.pid == os.getpid()


def test_a_child_that_outlives_its_killed_parent_blocks_nobody(tmp_path: Path) -> None:
    holder = _hold_elsewhere(tmp_path, "fork")
    assert holder.stderr is not None
    child = int(holder.stderr.readline())
    try:
        holder.kill()
        holder.wait()
        os.kill(child, 0)
        with _lease(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        _end(holder)


def test_a_forked_child_does_not_unlock_its_parents_lease(tmp_path: Path) -> None:
    lease = _lease(tmp_path)
    with lease:
        child = os.fork()
        if child == 0:
            os._exit(int(lease.held))
        _, status = os.waitpid(child, 0)
        assert status == 0
        with pytest.raises(LeaseHeldError):
            _lease(tmp_path).acquire()


def test_a_second_object_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with _lease(tmp_path), pytest.raises(LeaseHeldError, match=f"process {os.getpid()}"):
        _lease(tmp_path).acquire()
    with _lease(tmp_path):
        pass


def test_the_same_object_is_refused_a_second_time_and_still_holds(tmp_path: Path) -> None:
    lease = _lease(tmp_path)
    with lease:
        with pytest.raises(LeaseHeldError):
            lease.acquire()
        assert lease.held
        with pytest.raises(LeaseHeldError):
            _lease(tmp_path).acquire()
    assert not lease.held


def test_of_many_threads_one_gets_it(tmp_path: Path) -> None:
    barrier, leases = threading.Barrier(8), [_lease(tmp_path) for _ in range(8)]
    refused: list[LeaseHeldError] = []

    def take(lease: Lease) -> None:
        barrier.wait()
        try:
            lease.acquire()
        except LeaseHeldError as error:
            refused.append(error)

    threads = [threading.Thread(target=take, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    (winner,) = (lease for lease in leases if lease.held)
    winner.release()


def test_it_is_given_back_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), _lease(tmp_path):
        _ = 1 / 0
    with _lease(tmp_path):
        pass


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lease = _lease(tmp_path)
    lease.acquire()
    lease.release()
    with _lease(tmp_path):
        lease.release()
        with pytest.raises(LeaseHeldError):
            lease.acquire()


def test_the_lock_file_is_never_deleted_and_the_holders_name_is(tmp_path: Path) -> None:
    directory = tmp_path / "work"
    with _lease(directory):
        inode = (directory / "lease.lock").stat().st_ino
        assert holder_of(directory) is not None
    assert (directory / "lease.lock").stat().st_ino == inode
    assert holder_of(directory) is None
    with _lease(directory):
        assert (directory / "lease.lock").stat().st_ino == inode


def test_others_can_not_read_who_holds(tmp_path: Path) -> None:
    directory = tmp_path / "work"
    with _lease(directory):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {"lease.lock": 0o600, "lease.json": 0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_damaged_note_about_the_holder_does_not_hide_that_it_is_held(
    tmp_path: Path, content: str
) -> None:
    with _lease(tmp_path):
        (tmp_path / "lease.json").write_text(content)
        with pytest.raises(LeaseHeldError, match="not said who it is"):
            _lease(tmp_path).acquire()


def test_a_directory_that_can_not_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match=r"lease\.lock"):
        _lease(tmp_path / "file").acquire()


def test_who_looks_learns_whether_it_is_held_even_by_one_who_died(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    holder = _hold_elsewhere(tmp_path)
    try:
        assert is_held(tmp_path)
    finally:
        _end(holder)
    assert holder_of(tmp_path) is not None, "a killed holder can't clean up"
    assert not is_held(tmp_path)

"""``cdistrim demo`` whatever happens meanwhile: it says so, stops cleanly, and a rerun continues.

The real command in a process of its own, on small data: see tests/cli/small_demo.py.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdistrim.cli.outcome import end_with
from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.errors import CampaignFailed, CampaignIncomplete, CDistriMError
from cdistrim.protocol import CampaignState, CampaignView, Mode
from tests.cli.command_line import Ended, assert_explained, call
from tests.cli.small_demo import WAITS

ROOT = Path(__file__).resolve().parents[2]
PROMPTLY_S = 60


def _command(fault: str, runs: Path, *arguments: str) -> list[str]:
    demo = [sys.executable, "-m", "tests.cli.small_demo", fault, "demo", "--runs", str(runs)]
    return [*demo, *arguments]


def _demo(fault: str, runs: Path, *arguments: str) -> Ended:
    ended = subprocess.run(
        _command(fault, runs, *arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=400,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def _processes_of(directory: Path) -> list[str]:
    """Command lines of living processes that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line:
            found.append(line)
    return found


def _ledger_now(run: Path) -> CampaignView:
    """The campaign, from the chain's dump: as the next start finds it."""
    from cdistrim.consortium import Consortium
    from cdistrim.coordinator import Coordinator

    consortium = Consortium.open(run)
    address = Coordinator(run / "coordinator").settings.ledger_url
    with Devnet(run / "devnet", chain_id=CHAIN_ID) as chain:
        consortium.point_to(chain.url)
        view = Coordinator(run / "coordinator").ledger.campaign(1)
    consortium.point_to(address)  # Where the report says that the chain can be started again.
    return view


@dataclass
class Run:
    """One run of four slots that every test below disturbs and that goes on all the same."""

    runs: Path
    accepted: int = 0
    said: str = ""
    """Standard output of the last process."""

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return self.runs / "disturbed"

    @property
    def options(self) -> list[str]:
        """What starts it, or continues it."""
        if self.directory.exists():
            return ["--resume", "disturbed"]
        return ["--run-id", "disturbed", "--cycles", "1", "--no-central"]

    def go_on(self, fault: str) -> Ended:
        """Start it, or continue it; what is on the ledger afterwards may only have grown."""
        ended = self.start(fault)
        self.see_that_nothing_is_lost()
        return ended

    def start(self, fault: str) -> Ended:
        """Start it, or continue it."""
        ended = _demo(fault, self.runs, *self.options)
        self.said = ended.out
        return ended

    def see_that_nothing_is_lost(self) -> None:
        """Nothing runs any more, the chain was saved, and accepted slots are still there."""
        assert _processes_of(self.directory) == []
        view = _ledger_now(self.directory)
        assert view.accepted >= self.accepted
        self.accepted = view.accepted


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that is disturbed."""
    return Run(tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
def test_a_loss_that_is_not_finite(run: Run) -> None:
    ended = run.go_on("nan-head@2:train")

    assert_explained(ended, 14, "loss is nan", "learning rate", "--resume disturbed")
    assert run.accepted >= 1


@pytest.mark.slow
@pytest.mark.faults
def test_heads_that_are_truncated_are_left_behind_and_the_run_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path)

    ended = run.go_on("alter-models@3:request_token")

    assert ended.code == CampaignIncomplete.exit_code, ended.err
    view = _ledger_now(run.directory)
    # Both heads were lost: the partners went back to genesis and on from there.
    assert (view.state, view.accepted, view.head) == (CampaignState.COMPLETED, 2, 4)


@pytest.mark.slow
def test_a_chain_that_dies(run: Run) -> None:
    assert_explained(run.go_on("kill-chain@0:train"), 11, "does not answer", "--resume disturbed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "meanwhile"),
    [
        (signal.SIGINT, "compute"),
        pytest.param(signal.SIGINT, "wait", marks=pytest.mark.faults),
        pytest.param(signal.SIGTERM, "compute", marks=pytest.mark.faults),
    ],
)
def test_a_demo_that_is_stopped(run: Run, number: signal.Signals, meanwhile: str) -> None:
    demo = subprocess.Popen(
        _command(f"{meanwhile}@0:train", run.runs, *run.options),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stderr is not None
    with demo.stderr:
        assert any(WAITS in line for line in demo.stderr)
        os.killpg(demo.pid, number)  # the whole group, as a terminal's Ctrl-C does
        said = demo.stderr.read()
    code = demo.wait(PROMPTLY_S)

    assert code == 128 + number
    assert "A rerun continues there." in said
    assert said.rstrip().endswith(f"cdistrim demo --runs {run.runs} --resume disturbed")
    assert "Traceback" not in said
    run.see_that_nothing_is_lost()


@pytest.mark.slow
def test_the_run_goes_on_to_its_end_and_a_candidate_with_nan_is_voted_down(run: Run) -> None:
    ended = run.go_on("nan-candidate@3:request_upload")

    assert_explained(ended, 20, "of 4 planned slots", "report")
    assert "votes no: Failed a hard check" in ended.err
    assert "not finite" in ended.err
    report = json.loads((run.directory / "report.json").read_text())
    assert [slot["number"] for slot in report["slots"]] == [1, 2, 3, 4]
    assert report["slots"][2]["outcome"] == "refused"
    assert run.accepted == sum(slot["outcome"] == "accepted" for slot in report["slots"])


@pytest.mark.slow
def test_the_report_tells_how_to_check_it_and_how_to_start_its_chain_again(run: Run) -> None:
    report = json.loads((run.directory / "report.json").read_text())
    page = (run.directory / "report.html").read_text()
    for command in (report["verify_command"], report["chain_command"]):
        assert f"<pre><code>{command}</code></pre>" in page
    assert f"check it: {report['verify_command']}" in run.said
    checked = call(*shlex.split(report["verify_command"])[1:])
    assert checked.code == 0, checked.err
    signers = " and ".join(f"hospital-{number}" for number in range(1, 5))
    assert f"VERIFIED: all records are as {signers} signed them." in " ".join(checked.out.split())
    assert call(*shlex.split(report["chain_command"])[1:]).code == 0
    try:
        found = call("campaign", "status", run.directory / "hospital-1", 1)
    finally:
        call("devnet", "stop", run.directory / "devnet")
    assert found.code == 0, found.err
    assert "completed" in found.out


@pytest.mark.parametrize(
    ("state", "accepted", "verdict"),
    [
        (CampaignState.COMPLETED, 4, None),
        (CampaignState.COMPLETED, 3, CampaignIncomplete),
        (CampaignState.COMPLETED, 1, CampaignIncomplete),
        (CampaignState.FAILED, 0, CampaignFailed),
        (CampaignState.COMPLETED, 0, CampaignFailed),
    ],
)
def test_fewer_accepted_slots_than_planned_are_no_success(
    state: CampaignState, accepted: int, verdict: type[CDistriMError] | None
) -> None:
    view = CampaignView(
        number=1,
        spec_hash=bytes(32),
        genesis_hash=bytes(32),
        state=state,
        mode=Mode.HOLDOUT,
        order=("a", "b"),
        cycles=2,
        enrolments=(),
        slots=4,
        head=accepted,
        accepted=accepted,
        now=0,
        enrol_deadline=0,
    )

    with pytest.raises(verdict, match="4 planned") if verdict else nullcontext():
        end_with(view)


# --- options; these are answered before anything starts ---


@pytest.mark.parametrize("run_id", ["..", ".", "a/b", "/etc", "../x", ".hidden", "a\nb", "x" * 101])
def test_a_run_id_that_is_a_path(tmp_path: Path, run_id: str) -> None:
    for option in ("--run-id", "--resume"):
        ended = call("demo", "--runs", tmp_path / "runs", option, run_id)
        assert_explained(ended, 2, "id of a run")
    assert list(tmp_path.iterdir()) == []


def test_a_hospital_that_does_not_exist(tmp_path: Path) -> None:
    ended = call("demo", "--runs", tmp_path / "runs", "--sabotage", "hospital-9")

    assert_explained(ended, 2, "hospital-9", "hospital-1")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "demo.json").write_text("{}")

    ended = call("demo", "--runs", tmp_path, "--resume", "unknown")

    assert_explained(ended, 3, "unknown", "Known runs: known")
    assert not (tmp_path / "unknown").exists()


def test_a_run_whose_options_are_damaged(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "demo.json").write_text('{"cycles": "many"}')

    assert_explained(call("demo", "--runs", tmp_path, "--resume", "known"), 3, "demo.json")


def test_a_run_that_exists_is_not_started_again(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()

    assert_explained(call("demo", "--runs", tmp_path, "--run-id", "known"), 2, "--resume known")


def test_a_resumed_run_keeps_its_options(tmp_path: Path) -> None:
    ended = call("demo", "--runs", tmp_path, "--resume", "x", "--sabotage", "hospital-1")

    assert_explained(ended, 2, "--sabotage")


def test_a_store_that_is_no_url(tmp_path: Path) -> None:
    assert_explained(call("demo", "--runs", tmp_path, "--store", "bucket"), 2, "bucket", "gs://")


def test_a_store_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    ended = call("demo", "--runs", tmp_path / "runs", "--store", f"file://{tmp_path}/store")

    assert_explained(ended, 2, f"no directory {tmp_path}/store", "Make it first")
    assert list(tmp_path.iterdir()) == []


def test_runs_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    assert_explained(call("demo", "--runs", tmp_path / "file" / "runs"), 3, "--runs")


@pytest.mark.parametrize(
    "options", [["--cycles", "21"], ["--cycles", "x"], ["--mode", "none"], ["--policy", "none"]]
)
def test_options_out_of_range(tmp_path: Path, options: list[str]) -> None:
    ended = call("demo", "--runs", tmp_path / "runs", *options)

    assert ended.code == 2
    assert options[0] in ended.err
    assert list(tmp_path.iterdir()) == []

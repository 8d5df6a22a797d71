"""``cdistrim site init`` and ``check``: a hospital's site from nothing, with full-strength keys."""

from __future__ import annotations

import json
import re
import shutil
import stat
from pathlib import Path

import pytest

from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.ledger import EthereumLedger, Member
from cdistrim.site import Site
from cdistrim.site_keys import create_site_keys
from tests.chain import found
from tests.cli.command_line import Ended, assert_explained, call
from tests.factories import make_site_data
from tests.reorganising import sent_by

PASSPHRASE = "correct horse battery staple"  # noqa: S105  this test's own


def _init(directory: Path, changes: dict[str, str], without: tuple[str, ...] = ()) -> Ended:
    options = {
        "name": "hospital-1",
        "ledger-url": "http://127.0.0.1:1",
        "chain-id": str(CHAIN_ID),
        "contract": "0x" + "22" * 20,
        "store-url": f"file://{directory.parent}/store",
    } | changes
    given = {name: value for name, value in options.items() if name not in without}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    return call("site", "init", directory, *words)


def _with_quick_keys(directory: Path) -> Site:
    """The site with other keys, for tests that ask about other things: seconds less a command."""
    shutil.rmtree(directory / "keys")
    create_site_keys(directory / "keys", PASSPHRASE, quick=True)
    return Site(directory)


@pytest.fixture
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's passphrase, in the environment."""
    monkeypatch.setenv("CDISTRIM_PASSPHRASE", PASSPHRASE)


@pytest.mark.usefixtures("passphrase")
def test_a_site_is_made_checked_and_becomes_a_member(devnet: Devnet, tmp_path: Path) -> None:
    url = devnet.url
    stranger = found(url, 2, seed="site-init").address
    directory = tmp_path / "site"

    made = _init(directory, {"ledger-url": url, "contract": stranger})

    assert made.code == 0, made.err
    assert PASSPHRASE not in made.out
    for path in (directory, *directory.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert json.loads((directory / "site.json").read_text())["passphrase_file"] is None
    assert_explained(call("site", "check", directory), 3, "no store at", "make the directory")
    (tmp_path / "store").mkdir()
    lacking = call("site", "check", directory)
    assert_explained(lacking, 3, "train.npz", "no member")
    for word in ("data: not yet", "store: writable", "ledger: not yet"):
        assert word in lacking.out

    make_site_data(seed=1).save(directory / "data")
    outsider = call("site", "check", directory)
    assert_explained(outsider, 3, "no member", Site(directory).account)

    deployed = _deploy(directory, url)
    assert deployed.code == 0, deployed.err
    found_in = re.search(r"Contract: (0x\w{40}) \(first block (\d+)", deployed.out)
    assert found_in is not None, deployed.out
    contract, block = found_in.groups()
    rerun = _deploy(directory, url)
    assert (rerun.code, f"{contract} (first block {block}, deployed before)" in rerun.out) == (
        0,
        True,
    )
    settings = directory / "site.json"
    before = settings.read_text()
    settings.write_text(before.replace('"confirmations": 0', '"confirmations": 1'))
    careful = _deploy(directory, url, timeout="1")
    assert_explained(careful, 11, "last block that counts")
    assert "confirmations in site.json is 1" in careful.out
    settings.write_text(before)
    joined = call("site", "join", directory, contract, "--first-block", block)
    assert joined.code == 0, joined.err
    assert "published" in joined.out
    assert f"another contract: {stranger}, first block 0" in joined.out
    again = call("site", "join", directory, contract.lower())
    assert (again.code, "known already" in again.out) == (0, True), again.err
    assert "another contract" not in again.out
    assert Site(directory).settings.first_block == int(block), "what was known is kept"
    late = call("site", "join", directory, contract, "--first-block", str(int(block) + 1))
    assert_explained(late, 3, "first_block")
    call("site", "join", directory, contract)
    site = Site(directory)
    assert (site.contract, site.settings.first_block) == (contract, int(block))
    assert site.ledger.members()[0].sealing_key == site.keys.sealing_key.public_bytes
    member = call("site", "check", directory)
    assert member.code == 0, member.err
    for word in ("ledger: member", "training: 48 cases", "store: writable", site.account):
        assert word in member.out


def _deploy(site: Path, url: str, *founders: str, timeout: str = "60") -> Ended:
    mine = f"hospital-1={Site(site).account}"
    words = founders or (mine, "hospital-2=0x" + "11" * 20)
    options = [word for founder in words for word in ("--founder", founder)]
    options += ["--timeout", timeout]
    return call("consortium", "deploy", "--ledger-url", url, "--site", site, *options)


@pytest.mark.usefixtures("passphrase")
def test_a_founder_needs_no_contract_to_begin_with(devnet: Devnet, tmp_path: Path) -> None:
    directory = tmp_path / "site"
    made = _init(directory, {"ledger-url": devnet.url}, without=("contract",))
    assert made.code == 0, made.err
    assert f"cdistrim site join {directory}" in made.out
    _with_quick_keys(directory)
    make_site_data(seed=1).save(directory / "data")
    (tmp_path / "store").mkdir()
    assert_explained(call("site", "check", directory), 3, "joined no consortium", "site join")
    before = (directory / "site.json").read_bytes()
    assert_explained(call("site", "join", directory, "0x12"), 2, "no contract's address")
    nothing = call("site", "join", directory, "0x" + "22" * 20)
    assert_explained(nothing, 9, "no code")
    assert (directory / "site.json").read_bytes() == before


@pytest.mark.usefixtures("passphrase")
def test_who_is_no_member_or_another_one_does_not_join(devnet: Devnet, tmp_path: Path) -> None:
    directory = tmp_path / "site"
    assert _init(directory, {"ledger-url": devnet.url}, without=("contract",)).code == 0
    before = (directory / "site.json").read_bytes()
    site = _with_quick_keys(directory)

    others = found(devnet.url, 2, seed="others").address
    assert_explained(call("site", "join", directory, others), 3, "no member", site.account)

    renamed = _contract(site, "hospital-9")
    assert_explained(call("site", "join", directory, renamed), 3, "as 'hospital-9'", "hospital-1")

    replaced = _contract(site, "hospital-1")
    EthereumLedger.connect(
        devnet.url, replaced, chain_id=CHAIN_ID, account=site.keys.private_key
    ).publish_key(sealing_key=b"of another installation")
    assert_explained(call("site", "join", directory, replaced), 3, "not the one", "backup")

    assert (directory / "site.json").read_bytes() == before
    ledger = EthereumLedger.connect(devnet.url, replaced, chain_id=CHAIN_ID)
    assert ledger.members()[0].sealing_key == b"of another installation"


def _contract(site: Site, name: str) -> str:
    """Address of a contract that this site has deployed under a name of its choice."""
    return EthereumLedger.deploy(
        site.settings.ledger_url,
        chain_id=CHAIN_ID,
        private_key=site.keys.private_key,
        founders=[Member(site.account, name), Member("0x" + "11" * 20, "hospital-2")],
    ).contract


OTHER = "hospital-2=0x" + "11" * 20


@pytest.fixture(scope="module")
def alone(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that belongs to no consortium yet and founds none."""
    directory = tmp_path_factory.mktemp("alone") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDISTRIM_PASSPHRASE", PASSPHRASE)
        made = _init(directory, {"ledger-url": devnet.url}, without=("contract",))
    assert made.code == 0, made.err
    _with_quick_keys(directory)
    return directory


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize(
    ("founders", "words"),
    [
        (["hospital-1"], "NAME=ACCOUNT"),
        (["=0x" + "11" * 20], "NAME=ACCOUNT"),
        (["hospital-1=0x12"], "40 hexadecimal"),
        (["hospital-1=" + "11" * 20], "It has 0x"),
        ([OTHER], "is no founder"),
        (["hospital-3=0x" + "12" * 20, OTHER], "is no founder"),
        (["{me}"], "named were 1"),
        (["hospital-9={account}", OTHER], "site.json calls it 'hospital-1'"),
        (["hospital-1={lower}", OTHER], "no upper and lower case"),
        (["{me}", "b=0x" + "aB" * 20], "typing error"),
        (["{me}", "b={account}"], "2 founders have the account"),
        (["{me}", "hospital-1=0x" + "11" * 20], "2 founders have the name"),
        (["{me}", "Ä=0x" + "11" * 20], "31 of a-z"),
        (["{me}", "A b=0x" + "11" * 20], "31 of a-z"),
        (["{me}", "-a=0x" + "11" * 20], "not begin with '-'"),
        (["{me}", "a" * 32 + "=0x" + "11" * 20], "31 of a-z"),
        (["{me}", "a=0x" + "00" * 20], "nobody's account"),
        (["{me}", *(f"h{number}=0x{number:040}" for number in range(1, 51))], "named were 51"),
    ],
)
def test_founders_that_are_none_found_nothing(
    devnet: Devnet, alone: Path, founders: list[str], words: str
) -> None:
    mine = Site(alone).account
    known = {"me": f"hospital-1={mine}", "account": mine, "lower": mine.lower()}
    ended = _deploy(alone, devnet.url, *(founder.format(**known) for founder in founders))
    assert_explained(ended, 2, words)
    assert "Deploying" not in ended.out
    assert sent_by(devnet.url, mine) == 0


@pytest.mark.usefixtures("passphrase")
def test_a_consortium_is_founded_on_the_sites_chain_only(devnet: Devnet, tmp_path: Path) -> None:
    directory = tmp_path / "site"
    changes = {"ledger-url": devnet.url, "chain-id": "1"}
    assert _init(directory, changes, without=("contract",)).code == 0
    _with_quick_keys(directory)
    assert_explained(_deploy(directory, devnet.url), 11, "has id 31337; expected was 1")
    assert sent_by(devnet.url, Site(directory).account) == 0


@pytest.mark.usefixtures("passphrase")
def test_keys_are_never_made_twice(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    assert _init(directory, {}).code == 0
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}

    again = _init(directory, {"ledger-url": "http://127.0.0.1:2"})

    assert_explained(again, 4, "keys", "never overwritten")
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name", "Hospital One"),
        ("name", "-one"),
        ("ledger-url", "127.0.0.1:8545"),
        ("contract", "0x12"),
        ("store-url", "/srv/store"),
        ("store-url", "ftp://host/store"),
        ("store-url", "https://host/store"),
        ("store-url", "file://store"),
        ("store-url", "memory://store"),
        ("chain-id", "0"),
    ],
)
def test_a_setting_that_is_invalid_makes_no_site(tmp_path: Path, option: str, value: str) -> None:
    directory = tmp_path / "site"

    ended = _init(directory, {option: value})

    assert ended.code == 2
    assert f"--{option}" in ended.err
    assert value in ended.err
    assert "^" not in ended.err, "a rule in words"
    assert not directory.exists()


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        ("ledger-url", "https://me:hunter2@node:8545/x", "https://…@node:8545"),
        ("ledger-url", "https://hunter2@node:8545", "https://…@node:8545"),
        ("ledger-url", "https://me:hunter2/2@node:99999", "…@node:99999"),
        ("ledger-url", "me:hunter2@node:8545", "…@node:8545"),
        ("ledger-url", "http://node:99999/hunter2", "http://node:99999/…"),
        ("ledger-url", "http://node:0", "http://node:0"),
        ("ledger-url", "http://node:http", "http://node:http"),
        ("ledger-url", "http://:8545", "http://:8545"),
        ("store-url", "gs://me:hunter2@bucket/x", "gs://…@bucket/x"),
        ("store-url", "file://me:hunter2@host/srv", "file://…@host/srv"),
        ("store-url", "gs://bucket:99999/x", "gs://bucket:99999/x"),
    ],
)
def test_an_address_that_can_not_be_is_refused_and_no_secret_in_it_is_shown(
    tmp_path: Path, option: str, value: str, shown: str
) -> None:
    directory = tmp_path / "site"

    ended = _init(directory, {option: value})

    assert_explained(ended, 2, f"--{option}", shown)
    assert "hunter2" not in ended.out + ended.err
    assert not directory.exists()


def test_no_consortium_is_founded_by_such_an_address(tmp_path: Path) -> None:
    ended = _deploy_by(tmp_path / "site", "http://me:hunter2@127.0.0.1:1")
    assert_explained(ended, 2, "--ledger-url", "http://…@127.0.0.1:1")
    assert "hunter2" not in ended.err


def _deploy_by(site: Path, url: str) -> Ended:
    return call("consortium", "deploy", "--ledger-url", url, "--site", site, "--founder", OTHER)


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize("below", ["", "below/deep"])
def test_no_site_is_made_where_a_file_is(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")

    ended = _init(tmp_path / "file" / below, {})

    assert_explained(ended, 2, f"{tmp_path / 'file'} is no directory", "another directory")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("passphrase")
def test_no_keys_are_made_where_others_can_write(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    directory.mkdir()
    directory.chmod(0o777)

    assert_explained(_init(directory, {}), 4, "0777", f"chmod 700 {directory}")
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("passphrase", [None, "", "short"])
def test_a_site_needs_a_good_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str | None
) -> None:
    monkeypatch.delenv("CDISTRIM_PASSPHRASE", raising=False)
    if passphrase is not None:
        monkeypatch.setenv("CDISTRIM_PASSPHRASE", passphrase)

    ended = _init(tmp_path / "site", {})

    assert_explained(ended, 4, "assphrase")
    assert "the file" not in ended.err
    assert not (tmp_path / "site").exists()

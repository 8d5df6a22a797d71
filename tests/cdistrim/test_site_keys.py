"""Rules of a site's keys: only the site reads them, and only with its passphrase."""

from __future__ import annotations

import json
import pickle
import shutil
import stat
from pathlib import Path

import pytest
from eth_account import Account
from eth_keys.backends.coincurve import CoinCurveECCBackend
from eth_keys.main import KeyAPI

from cdistrim.errors import KeyFileError
from cdistrim.passphrase import read_passphrase
from cdistrim.sealing import SealingKey
from cdistrim.site_keys import SiteKeys, create_site_keys, load_site_keys

SECRET = "correct horse battery"  # noqa: S105  (of throwaway keys)
FILES = ("account.json", "sealing.key")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SiteKeys]:
    directory = tmp_path_factory.mktemp("site") / "keys"
    return directory, create_site_keys(directory, SECRET, quick=True)


@pytest.fixture
def directory(made: tuple[Path, SiteKeys], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made[0], tmp_path / "keys"))


def _reads_nothing_secret(error: KeyFileError, keys: SiteKeys) -> None:
    text = str(error)
    assert SECRET not in text
    assert keys.private_key.hex() not in text
    assert error.__suppress_context__ or error.__context__ is None


def test_keys_that_were_made_load_again(made: tuple[Path, SiteKeys]) -> None:
    directory, keys = made
    loaded = load_site_keys(directory, SECRET)
    assert (loaded.account, loaded.private_key) == (keys.account, keys.private_key)
    assert loaded.sealing_key.private_bytes() == keys.sealing_key.private_bytes()
    assert Account.from_key(loaded.private_key).address == loaded.account


def test_accounts_sign_by_libsecp256k1() -> None:
    """Python's own arithmetic takes a time that depends on the key."""
    assert isinstance(KeyAPI().backend, CoinCurveECCBackend)


def test_full_strength_keys_load_again_and_cost_a_lot_to_guess(tmp_path: Path) -> None:
    keys = create_site_keys(tmp_path / "keys", SECRET)
    assert load_site_keys(tmp_path / "keys", SECRET).account == keys.account
    account, sealing = (json.loads((tmp_path / "keys" / name).read_text()) for name in FILES)
    assert account["crypto"]["kdfparams"]["n"] >= 1 << 18
    assert sealing["cost"] >= 1 << 17


def test_other_wallets_can_read_the_account(made: tuple[Path, SiteKeys]) -> None:
    directory, keys = made
    keystore = json.loads((directory / "account.json").read_text())
    assert keystore["version"] == 3
    assert bytes(Account.decrypt(keystore, SECRET)) == keys.private_key


def test_nothing_secret_lies_in_the_files(made: tuple[Path, SiteKeys]) -> None:
    directory, keys = made
    for name in FILES:
        content = (directory / name).read_bytes()
        for secret in (keys.private_key, keys.sealing_key.private_bytes()):
            assert secret not in content
            assert secret.hex().encode() not in content


def test_only_the_owner_can_read_them(made: tuple[Path, SiteKeys]) -> None:
    directory, _ = made
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE((directory / name).stat().st_mode) for name in FILES} == {0o600}
    assert sorted(path.name for path in directory.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_use_is_refused(directory: Path, name: str, mode: int) -> None:
    (directory / name).chmod(mode)
    with pytest.raises(KeyFileError) as caught:
        load_site_keys(directory, SECRET)
    assert f"{directory / name}" in str(caught.value)
    assert f"{mode:04o}" in str(caught.value)
    assert f"chmod 600 {directory / name}" in caught.value.hint


def test_a_directory_that_others_can_write_to_is_refused(directory: Path) -> None:
    directory.chmod(0o770)
    with pytest.raises(KeyFileError, match="0770"):
        load_site_keys(directory, SECRET)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(KeyFileError, match=f"{name} is missing"):
        load_site_keys(directory, SECRET)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=str(tmp_path / "keys")):
        load_site_keys(tmp_path / "keys", SECRET)


@pytest.mark.parametrize("guess", ["", "wrong", SECRET + " ", SECRET.upper()])
def test_a_wrong_passphrase_opens_nothing_and_tells_nothing(
    made: tuple[Path, SiteKeys], guess: str
) -> None:
    directory, keys = made
    with pytest.raises(KeyFileError, match="passphrase is wrong") as caught:
        load_site_keys(directory, guess)
    _reads_nothing_secret(caught.value, keys)


def test_a_passphrase_of_another_site_does_not_open_a_mixed_directory(
    directory: Path, tmp_path: Path
) -> None:
    create_site_keys(tmp_path / "other", "another passphrase", quick=True)
    shutil.copy(tmp_path / "other" / "sealing.key", directory / "sealing.key")
    with pytest.raises(KeyFileError, match=r"sealing\.key"):
        load_site_keys(directory, SECRET)


@pytest.mark.parametrize("name", FILES)
def test_a_file_damaged_anywhere_is_refused(
    made: tuple[Path, SiteKeys], directory: Path, name: str
) -> None:
    _, keys = made
    path = directory / name
    content = path.read_bytes()
    documents = [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        content[: len(content) // 2],
        content[:-2],
    ]
    parsed = json.loads(content)
    flat = parsed | parsed.get("crypto", {})
    for field in ("ciphertext", "mac", "kdfparams", "kdf", "salt", "nonce", "public", "version"):
        if field not in flat:
            continue
        value = flat[field]
        worse = "AAAA" + value[4:] if isinstance(value, str) else 99
        target = parsed if field in parsed else parsed["crypto"]
        target[field] = worse
        documents.append(json.dumps(parsed).encode())
        target[field] = value
    for document in documents:
        path.write_bytes(document)
        with pytest.raises(KeyFileError, match=name) as caught:
            load_site_keys(directory, SECRET)
        _reads_nothing_secret(caught.value, keys)


def test_an_absurd_scrypt_cost_is_refused_before_it_is_paid(directory: Path) -> None:
    path = directory / "sealing.key"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cost": 1 << 30}))
    with pytest.raises(KeyFileError, match="damaged"):
        load_site_keys(directory, SECRET)


def test_an_address_that_is_not_the_keys_is_refused(directory: Path) -> None:
    path = directory / "account.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"address": "00" * 20}))
    with pytest.raises(KeyFileError, match="damaged"):
        load_site_keys(directory, SECRET)


def test_existing_keys_are_never_overwritten(directory: Path) -> None:
    before = {name: (directory / name).read_bytes() for name in FILES}
    with pytest.raises(KeyFileError, match="could not be written"):
        create_site_keys(directory, SECRET, quick=True)
    assert {name: (directory / name).read_bytes() for name in FILES} == before
    assert [path.name for path in directory.parent.iterdir()] == ["keys"]


def test_an_empty_directory_may_exist_before(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o755)
    create_site_keys(tmp_path / "keys", SECRET, quick=True)
    load_site_keys(tmp_path / "keys", SECRET)


def test_a_short_passphrase_is_for_throwaway_keys_only(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="12 characters"):
        create_site_keys(tmp_path / "keys", "short")
    with pytest.raises(KeyFileError):
        create_site_keys(tmp_path / "keys", "", quick=True)
    assert not (tmp_path / "keys").exists()


def test_a_passphrase_is_the_same_in_either_unicode_form(tmp_path: Path) -> None:
    create_site_keys(tmp_path / "keys", "Universit\u00e4tsklinikum", quick=True)
    load_site_keys(tmp_path / "keys", "Universita\u0308tsklinikum")


def test_keys_show_nothing_and_are_not_pickled(made: tuple[Path, SiteKeys]) -> None:
    _, keys = made
    for shown in (repr(keys), str(keys), f"{keys}"):
        assert keys.account in shown
        assert keys.private_key.hex() not in shown
        assert repr(keys.private_key) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(keys)


class TestOneTimeKeys:
    def test_one_survives_on_the_disk_of_its_site_only(
        self, made: tuple[Path, SiteKeys], tmp_path: Path
    ) -> None:
        directory, keys = made
        one_time = SealingKey.generate()
        protected = keys.protect_one_time_key(one_time)
        assert one_time.private_bytes()[:16] not in protected
        again = load_site_keys(directory, SECRET).open_one_time_key(protected)
        assert again.private_bytes() == one_time.private_bytes()
        other = create_site_keys(tmp_path / "keys", SECRET, quick=True)
        with pytest.raises(KeyFileError):
            other.open_one_time_key(protected)

    def test_a_damaged_one_is_refused(self, made: tuple[Path, SiteKeys]) -> None:
        _, keys = made
        protected = keys.protect_one_time_key(SealingKey.generate())
        for damaged in (b"", protected[:8], protected[:-1], protected[:-1] + b"\0\0"):
            with pytest.raises(KeyFileError):
                keys.open_one_time_key(damaged)


class TestPassphrase:
    def test_the_file_comes_first_then_the_credential_then_the_variable(
        self, tmp_path: Path
    ) -> None:
        file, credential = tmp_path / "passphrase", tmp_path / "cdistrim-passphrase"
        for path, content in ((file, "from the file\n"), (credential, "from systemd")):
            path.write_text(content)
            path.chmod(0o600)
        variables = {"CREDENTIALS_DIRECTORY": str(tmp_path), "CDISTRIM_PASSPHRASE": "from there"}
        assert read_passphrase(file=file, environment=variables) == "from the file"
        file.unlink()
        assert read_passphrase(file=file, environment=variables) == "from systemd"
        credential.unlink()
        assert read_passphrase(file=file, environment=variables) == "from there"
        with pytest.raises(KeyFileError, match="No passphrase"):
            read_passphrase(file=file, environment={})

    def test_a_file_that_others_can_read_is_refused_and_not_passed_over(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "passphrase"
        file.write_text("seen by all")
        file.chmod(0o644)
        with pytest.raises(KeyFileError, match="0644") as caught:
            read_passphrase(file=file, environment={"CDISTRIM_PASSPHRASE": "x"})
        assert "seen by all" not in str(caught.value)

    def test_systemds_acl_mask_is_no_fault_but_others_are(self, tmp_path: Path) -> None:
        credential = tmp_path / "cdistrim-passphrase"
        credential.write_text("secret")
        variables = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
        credential.chmod(0o440)
        assert read_passphrase(environment=variables) == "secret"
        credential.chmod(0o444)
        with pytest.raises(KeyFileError, match="0444"):
            read_passphrase(environment=variables)

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
    def test_an_empty_or_binary_passphrase_is_refused(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "passphrase"
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(KeyFileError):
            read_passphrase(file=file, environment={})

    def test_only_the_final_line_break_is_cut(self, tmp_path: Path) -> None:
        file = tmp_path / "passphrase"
        file.write_bytes(b" two words \r\n")
        file.chmod(0o600)
        assert read_passphrase(file=file, environment={}) == " two words "

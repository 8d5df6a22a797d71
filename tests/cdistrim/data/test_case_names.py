"""Names of cases hang on a secret of the site, and on nothing else."""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
from pathlib import Path

import pytest

from cdistrim.data.case_names import CASE_SECRET_FILE, CaseNamer
from cdistrim.errors import KeyFileError


def test_a_name_is_the_hmac_of_the_patient() -> None:
    secret = bytes(range(32))
    expected = hmac.new(secret, b"cdistrim/patient/v1\0case\0lung1-001", hashlib.sha256).hexdigest()
    assert CaseNamer(secret).case_of("LUNG1-001") == expected[:16]


def test_one_patient_has_one_name_at_one_site(tmp_path: Path) -> None:
    namer = CaseNamer.of(tmp_path / "a")
    assert CaseNamer.of(tmp_path / "a") == namer, "the secret is made once"
    assert namer.case_of(" Zoe\u0308") == namer.case_of("ZO\u00cb")
    assert namer.case_of("patient-1") != namer.case_of("patient-2")
    assert CaseNamer.of(tmp_path / "b").case_of("patient-1") != namer.case_of("patient-1")
    assert re.fullmatch(r"[0-9a-f]{16}", namer.case_of("patient-1"))


def test_the_secret_is_the_owners_and_is_never_shown(tmp_path: Path) -> None:
    namer = CaseNamer.of(tmp_path)
    path = tmp_path / CASE_SECRET_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert namer.secret.hex() not in repr(namer)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="readable by others"):
        CaseNamer.of(tmp_path)


@pytest.mark.parametrize("content", ["", "00" * 31, "zz" * 32, "00" * 33])
def test_a_damaged_secret_is_refused_not_replaced(tmp_path: Path, content: str) -> None:
    CaseNamer.of(tmp_path)
    (tmp_path / CASE_SECRET_FILE).write_text(content)
    with pytest.raises(KeyFileError, match="damaged"):
        CaseNamer.of(tmp_path)
    assert (tmp_path / CASE_SECRET_FILE).read_text() == content

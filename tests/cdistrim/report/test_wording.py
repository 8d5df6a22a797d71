"""How figures and names are written."""

from __future__ import annotations

import pytest

from cdistrim.report.wording import plural, short_path


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 models"), (1, "1 model"), (2, "2 models"), (1234, "1,234 models")]
)
def test_one_is_no_plural(number: int, told: str) -> None:
    assert plural(number, "model") == told


def test_an_irregular_plural_is_given() -> None:
    assert plural(2, "ballot on nobody", "ballots on nobody") == "2 ballots on nobody"


def test_of_a_path_accounts_and_digests_are_shortened() -> None:
    path = f"31337-0x{'ab' * 20}/0x{'cd' * 20}/1/models/hospital-1-1/{'ef' * 32}"
    assert short_path(path) == "31337-0x…abab/0xcdcdcd…cdcd/1/models/hospital-1-1/efefefef…efef"

"""Tables as spreadsheets write them: read in one way only, or refused; nothing of them is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.table import number, read_table
from cdistrim.errors import DataError

NEEDLE = "Needle^Nora"


def _read(path: Path, content: bytes | str, *columns: str, **options: str) -> list[dict[str, str]]:
    path = path / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [row.cells for row in read_table(path, columns or ("id", "x"), **options)]


@pytest.mark.parametrize(
    "content",
    [
        b"id,x\r\na,1\r\n",
        b"\xef\xbb\xbfid,x\na,1\n",
        b"id;x\na;1\n",
        b"id\tx\na\t1\n",
        b"id|x\na|1",
        b'"id","x"\n"a","1"\n',
        b"ID,X\na,1\n",
        b"other,id,x\n9,a,1\n",
        b"id,x\n a , 1 \n\n,,\n",
        b"id,x\na,1,,\n",
    ],
)
def test_what_spreadsheets_write_is_understood(tmp_path: Path, content: bytes) -> None:
    assert _read(tmp_path, content) == [{"id": "a", "x": "1"}]


def test_columns_are_found_without_regard_to_case_and_punctuation(tmp_path: Path) -> None:
    found = _read(
        tmp_path, "patientid,Survival_Time,DeadStatus Event\na,1,0\n",
        "PatientID", "Survival.time", "deadstatus.event",
    )  # fmt: skip
    assert found == [{"PatientID": "a", "Survival.time": "1", "deadstatus.event": "0"}]


def test_the_exact_name_goes_before_one_that_is_alike(tmp_path: Path) -> None:
    assert _read(tmp_path, "X,x,id\n1,2,a\n") == [{"id": "a", "x": "2"}]


def test_quoted_line_breaks_and_delimiters_are_part_of_a_cell(tmp_path: Path) -> None:
    found = _read(tmp_path, 'id,x\n"a\nb","1,5"\nc,2\n')
    assert found == [{"id": "a\nb", "x": "1,5"}, {"id": "c", "x": "2"}]


def test_other_encodings_are_told_or_taken_if_named(tmp_path: Path) -> None:
    content = "id,x\nMüller,1\n".encode("latin-1")
    with pytest.raises(DataError, match="not written in utf-8: byte 6") as refused:
        _read(tmp_path, content)
    assert "latin-1" in refused.value.hint
    assert _read(tmp_path, content, encoding="latin-1") == [{"id": "Müller", "x": "1"}]
    with pytest.raises(DataError, match="UTF-16"):
        _read(tmp_path, "id,x\na,1\n".encode("utf-16"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"id,x,x\n{NEEDLE},1,2\n", "2 columns that may be 'x'"),
        (f"id,X.,x_\n{NEEDLE},1,2\n", "2 columns that may be 'x'"),
        (f"{NEEDLE},1\nb,2\n", "no columns 'id' and 'x'; its first line has 2 cells"),
        (f"id,y\n{NEEDLE},1\n", "no column 'x'"),
        ("", "its first line has 0 cells"),
        (f'id,x\n"{NEEDLE},1\n', "unexpected end of data"),
        (f'id,x\n"{NEEDLE}"s,1\n', "no CSV file"),
        (f"id,x\n{NEEDLE * 20000},1\n", "field larger"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as refused:
        _read(tmp_path, content)
    assert "Needle" not in str(refused.value)


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_what_is_no_file_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "table.csv"
    if kind == "directory":
        path.mkdir()
    with pytest.raises(DataError, match=r"table\.csv"):
        read_table(path, ("id",))


def test_a_row_with_more_cells_than_the_head_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x\na,1,5\nb\n,2\n")
    broken, short, nobody = read_table(tmp_path / "t.csv", ("id", "x"))
    with pytest.raises(CaseExcluded, match="1 cell too many"):
        broken.require_whole("id")
    assert short.cells == {"id": "b", "x": ""}
    with pytest.raises(CaseExcluded, match="1 cell too few"):
        short.require_whole("id")
    assert nobody.patient("id") == "(row 3)"
    with pytest.raises(CaseExcluded, match=Exclusion.NO_PATIENT.value):
        nobody.require_whole("id")


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1.0), ("-2.50", -2.5), ("+.5", 0.5), ("3.", 3.0), ("1e-3", 0.001)]
)
def test_numbers_have_a_decimal_point(text: str, value: float) -> None:
    assert number(text, Exclusion.MISSING_VALUE) == value


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "empty"),
        ("5,1", "written with a decimal comma"),
        ("1e400", "too large"),
        ("-1e999", "too large"),
        ("=1+2", ""),
        ("nan", ""),
        ("inf", ""),
        ("1_000", ""),
        ("1 000", ""),
        ("٣", ""),
        ("0x10", ""),
        ("NA", ""),
        ("1,234,567", ""),
    ],
)
def test_nothing_else_is_a_number_and_its_text_is_not_told(text: str, detail: str) -> None:
    with pytest.raises(CaseExcluded) as excluded:
        number(text, Exclusion.MISSING_VALUE)
    assert (excluded.value.reason, excluded.value.detail) == (Exclusion.MISSING_VALUE, detail)

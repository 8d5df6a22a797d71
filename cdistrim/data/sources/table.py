"""CSV files as spreadsheets write them. What can be read in two ways is refused or left out.

Nothing that stands in a file is ever said in a message, not even its first line: a file without a
head has a patient there.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.errors import DataError
from cdistrim.files import read_regular
from cdistrim.report.wording import plural, sentence_list

__all__ = ["MAX_TABLE", "Row", "number", "read_table"]

MAX_TABLE = 1 << 28
"""Upper bound of a table in bytes."""

_DELIMITERS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Row:
    """One row: the wanted cells by the names that they were asked for with, without outer blanks.

    Args:
        number: Of the row below the head, from 1 on.
        cells: By column.
        surplus: Cells more than the head has; not 0 if e.g. a comma within a text is not quoted.
        missing: Wanted cells beyond the row's end.
    """

    number: int
    cells: dict[str, str] = field(repr=False)
    surplus: int = 0
    missing: int = 0

    def patient(self, column: str) -> str:
        """Who the row is about; a name that no patient has, where none is given."""
        return self.cells[column] or f"(row {self.number})"

    def require_whole(self, patient: str) -> None:
        """See that cells stand under their columns, and that a patient is named.

        Raises:
            CaseExcluded: They may not.
        """
        if not self.cells[patient]:
            raise CaseExcluded(Exclusion.NO_PATIENT)
        if self.surplus:
            raise CaseExcluded(Exclusion.BROKEN_ROW, f"{plural(self.surplus, 'cell')} too many")
        if self.missing:
            raise CaseExcluded(Exclusion.BROKEN_ROW, f"{plural(self.missing, 'cell')} too few")


def read_table(
    path: Path, columns: Sequence[str], *, encoding: str = "utf-8", delimiter: str | None = None
) -> list[Row]:
    """All rows of a CSV file (RFC 4180; a byte order mark and other delimiters are taken).

    Columns are found by their exact names, else without regard to case, blanks and punctuation.
    Rows without any content are passed over.

    Args:
        path: The file.
        columns: Names of those that are wanted.
        encoding: Of the text.
        delimiter: None for the one by which the first line has most of the columns.

    Raises:
        DataError: The file can't be read, is no CSV file in this encoding, or a column is missing
            or there twice.
    """
    text = _text_of(path, encoding)
    tried = [delimiter] if delimiter else _DELIMITERS
    found = max(tried, key=lambda one: len(_positions(_head(text, one), columns)))
    rows = _rows(path, text, found)
    head = next(rows, [])
    positions = _positions(head, columns)
    for column, places in positions.items():
        if len(places) > 1:
            raise DataError(
                f"{path} has {len(places)} columns that may be {column!r}.",
                hint="Rename or remove all of them but one.",
            )
    if missing := [column for column in columns if column not in positions]:
        raise DataError(
            f"{path} has no {'column' if len(missing) == 1 else 'columns'} "
            f"{sentence_list([repr(one) for one in missing])}; its first line has "
            f"{plural(len(head), 'cell')}.",
            hint="The first line has to name the columns. Compare it with the names in site.json, "
            "and see whether another character stands between the cells.",
        )
    places_of = {column: places[0] for column, places in positions.items()}
    return [
        _row(number, cells, places_of, len(head))
        for number, cells in enumerate(rows, 1)
        if any(cell.strip() for cell in cells)
    ]


def number(text: str, reason: Exclusion) -> float:
    """A finite number with a decimal point, in ASCII digits.

    Args:
        text: A cell.
        reason: Why the case is left out where it is none.

    Raises:
        CaseExcluded: It is empty, no number (a formula, say), or too large for one.
    """
    if not _NUMBER.fullmatch(text):
        comma = "written with a decimal comma" if _COMMA.fullmatch(text) else ""
        raise CaseExcluded(reason, comma or ("" if text else "empty"))
    value = float(text)
    if not math.isfinite(value):
        raise CaseExcluded(reason, "too large")
    return value


def _text_of(path: Path, encoding: str) -> str:
    try:
        content = read_regular(path, MAX_TABLE + 1)
    except FileNotFoundError:
        raise DataError(
            f"There is no table {path}.", hint="Correct its place in site.json."
        ) from None
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or type(error).__name__
        raise DataError(
            f"The table {path} can't be read: {told}.",
            hint="See what lies there and whether this account may read it.",
        ) from None
    if len(content) > MAX_TABLE:
        raise DataError(
            f"The table {path} has more than {MAX_TABLE} bytes.", hint="Leave out other columns."
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"The table {path} is written in UTF-16.", hint="Save it as CSV in UTF-8.")
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"The table {path} is not written in {encoding}: byte {error.start} is none of it.",
            hint='Save it in UTF-8, or set data.encoding in site.json to "latin-1" or "cp1252".',
        ) from None


def _rows(path: Path, text: str, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(
            f"{path} is no CSV file that can be understood: {error}, near line {reader.line_num}.",
            hint="See whether quotation marks around cells are closed.",
        ) from None


def _head(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []


def _positions(head: Sequence[str], columns: Sequence[str]) -> dict[str, list[int]]:
    found = {}
    for column in columns:
        exact = [place for place, name in enumerate(head) if name.strip() == column]
        alike = [place for place, name in enumerate(head) if _plain(name) == _plain(column)]
        if places := exact or alike:
            found[column] = places
    return found


def _plain(name: str) -> str:
    plain = "".join(character for character in name.casefold() if character.isalnum())
    return plain or name.strip()


def _row(number: int, cells: list[str], places: dict[str, int], width: int) -> Row:
    surplus = sum(bool(cell.strip()) for cell in cells[width:])
    chosen = {c: cells[at].strip() if at < len(cells) else "" for c, at in places.items()}
    return Row(number, chosen, surplus, sum(at >= len(cells) for at in places.values()))

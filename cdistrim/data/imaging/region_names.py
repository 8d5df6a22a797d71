"""Which of several named regions is meant.

"GTV-1", "gtv 1" and "GTV_1" are one name to whoever typed them: letters' case, blanks, hyphens and
underscores do not tell names apart, unless one is exactly the wanted one.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdistrim.data.scan import CaseExcluded, Exclusion

__all__ = ["choose_name", "is_named"]


def choose_name(names: Sequence[str], wanted: str) -> int:
    """Index of the name that is exactly the wanted one, else of the only one that is alike.

    Raises:
        CaseExcluded: ``NO_REGION`` or ``SEVERAL_REGIONS``, with how many there are.
    """
    exact = [index for index, name in enumerate(names) if name.strip() == wanted.strip()]
    alike = [index for index, name in enumerate(names) if is_named(name, wanted)]
    found = exact or alike
    if not found:
        raise CaseExcluded(Exclusion.NO_REGION, f"{len(names)} of other names")
    if len(found) > 1:
        raise CaseExcluded(Exclusion.SEVERAL_REGIONS, f"{len(found)} of them")
    return found[0]


def is_named(name: str, wanted: str) -> bool:
    """Whether a name is the wanted one, but for case, blanks, hyphens and underscores."""
    return _plain(name) == _plain(wanted)


def _plain(name: str) -> str:
    plain = "".join(one for one in name.casefold() if not (one.isspace() or one in "-_"))
    return plain or name

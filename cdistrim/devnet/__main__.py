"""``python -m cdistrim.devnet``: the supervisor process."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cdistrim.devnet.directory import CHAIN_ID, locked
from cdistrim.devnet.supervisor import answer, reap, supervise
from cdistrim.errors import CDistriMError

_LOCK_S = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Run as the supervisor; answers on standard output with one line of JSON, then goes quiet."""
    parser = argparse.ArgumentParser(prog="python -m cdistrim.devnet", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--chain-id", type=int, default=CHAIN_ID)
    parser.add_argument("--owner", type=int, default=0, help="pid to end with; 0: none")
    parser.add_argument("--share", type=float, required=True, help="of the time, for dumps")
    options = parser.parse_args(arguments)
    try:
        with locked(options.directory, _LOCK_S):
            reap(options.directory)
            supervise(
                options.directory, options.port, options.chain_id, options.owner, options.share
            )
    except CDistriMError as error:
        answer({"error": error.what, "hint": error.hint})
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

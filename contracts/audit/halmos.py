"""Symbolic proofs: every ``check_…`` of ``contracts/proofs`` holds for all its inputs.

halmos calls a proof passed though it cut a loop short, and only warns; here that is a failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from contracts.audit.forge import (
    AUDIT_BIN,
    CONTRACTS,
    PAGE,
    AuditFailed,
    fill,
    run,
    say,
    table,
    today,
    writes,
)

RESULT = CONTRACTS / "out" / "halmos.json"
# More rounds than the longest loop of a proof has. Branches are decided without a time limit: those
# that cannot be reached would otherwise be followed to that many rounds.
LOOP, BRANCHING = "17", "0"


def incomplete(results: Mapping[str, Any]) -> list[str]:
    """Proofs that failed, or that did not look at everything."""
    found = []
    for checks in results["test_results"].values():
        for check in checks:
            if check["exitcode"] != 0:
                found.append(f"{check['name']}: not proven; halmos says why above")
            elif check["num_bounded_loops"]:
                found.append(f"{check['name']}: a loop has more than {LOOP} rounds (LOOP)")
    return found


def main() -> int:
    """Prove; print how long each took, and write it."""
    write = writes("contracts.audit.halmos", __doc__)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.unlink(missing_ok=True)
    done = run(
        str(AUDIT_BIN / "halmos"),
        *("--forge-build-out", "out/halmos", "--json-output", str(RESULT), "--no-status"),
        *("--loop", LOOP, "--solver-timeout-branching", BRANCHING),
        profile="halmos",
    )
    try:
        if not RESULT.exists():
            raise AuditFailed(f"halmos gave no result:\n{done.stdout}{done.stderr}")
        results = json.loads(RESULT.read_text(encoding="utf-8"))
        checks = [check for suite in results["test_results"].values() for check in suite]
        wrong = incomplete(results)
        if not checks:
            wrong = ["there is no proof"]
        elif done.returncode != 0 and not wrong:
            wrong = ["halmos failed, though each proof passed"]
        if wrong:
            raise AuditFailed("\n".join([done.stdout, done.stderr, *wrong]))
        proofs = [
            (f"`{name}`", str(paths), f"{seconds:.1f} s")
            for name, paths, seconds in sorted(
                (check["name"].partition("(")[0], check["num_paths"][0], check["time"][0])
                for check in checks
            )
        ]
        lines = table(("proven", "paths", "time"), proofs)
        say(*lines)
        if write:
            fill(PAGE, "halmos", [f"{today('halmos')}:", "", *lines])
    except AuditFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

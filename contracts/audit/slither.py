"""slither's findings about ``contracts/src``, each of which needs an answer.

Answers stand in ``contracts/slither-answers.toml``: the detector, the function, the code that
slither shows, and a reason. An answer is for that code: when it changes, it has to be answered
anew. A finding of low impact may be ``accepted``. One of high or medium impact can't be: the code
is changed, or the answer is ``refuted``: slither is wrong, and the reason says why.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.audit.forge import AUDIT_BIN, CONTRACTS, AuditFailed, forge, run, say, table

ANSWERS = CONTRACTS / "slither-answers.toml"
RESULT = CONTRACTS / "out" / "slither.json"
GRAVE = ("High", "Medium")


@dataclass(frozen=True)
class Key:
    """What an answer is about: the same detector, place and code, whatever the line number."""

    check: str
    where: str
    code: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """What slither says."""

    key: Key
    impact: str
    description: str


@dataclass(frozen=True)
class Answer:
    """What we say."""

    key: Key
    verdict: str
    reason: str


def read_findings(result: Mapping[str, Any]) -> list[Finding]:
    """Findings of slither's JSON."""
    if not result["success"]:
        raise AuditFailed(f"slither failed: {result['error']}")
    return [
        Finding(_key(one), one["impact"], one["description"].strip())
        for one in result["results"].get("detectors", [])
    ]


def _key(finding: Mapping[str, Any]) -> Key:
    elements = finding["elements"]
    code = dict.fromkeys(one["name"] for one in elements if one["type"] == "node")
    return Key(finding["check"], _place(elements[0]) if elements else "", tuple(code))


def _place(element: Mapping[str, Any]) -> str:
    """``Contract.function(types)``, or what else slither points at."""
    fields = element.get("type_specific_fields", {})
    parent = fields.get("parent", {})
    if element["type"] == "node":
        return _place(parent)
    name = fields.get("signature", element["name"])
    return f"{parent['name']}.{name}" if parent.get("type") == "contract" else str(name)


def read_answers(text: str) -> list[Answer]:
    """Answers from the file's text."""
    answers = []
    for one in tomllib.loads(text).get("answer", []):
        key = Key(one["check"], one["where"], tuple(one.get("code", ())))
        if one["verdict"] not in ("accepted", "refuted") or len(one["reason"].split()) < 4:
            raise AuditFailed(f"{key.check} in {key.where}: verdict or reason is missing")
        answers.append(Answer(key, one["verdict"], one["reason"]))
    return answers


def problems(findings: Iterable[Finding], answers: Iterable[Answer]) -> list[str]:
    """Findings without a fitting answer, and answers without a finding."""
    given = {answer.key: answer for answer in answers}
    found = []
    asked = set()
    for finding in findings:
        asked.add(finding.key)
        answer = given.get(finding.key)
        if answer is None:
            found.append(f"No answer ({finding.impact}): {finding.description}\n{stub(finding)}")
        elif finding.impact in GRAVE and answer.verdict != "refuted":
            found.append(f"{finding.impact} impact can't be accepted: {finding.description}")
    stale = given.keys() - asked
    return found + [
        f"slither does not say this any more, delete the answer: {key}" for key in stale
    ]


def stub(finding: Finding) -> str:
    """What an answer to a finding starts from."""
    key = finding.key
    code = "".join(f"    {json.dumps(line)},\n" for line in key.code)
    return (
        f"[[answer]]\ncheck = {json.dumps(key.check)}\nwhere = {json.dumps(key.where)}\n"
        + (f"code = [\n{code}]\n" if code else "")
        + 'verdict = ""\nreason = ""\n'
    )


def analyse() -> list[Finding]:
    """Build as slither needs it, and ask it."""
    # Only whole builds: an older one would be read beside it.
    built = forge("build", "--force", profile="slither")
    if built.returncode != 0:
        raise AuditFailed(f"forge could not build:\n{built.stdout}{built.stderr}")
    RESULT.unlink(missing_ok=True)
    done = run(
        str(AUDIT_BIN / "slither"),
        *(".", "--ignore-compile", "--config-file", "slither.config.json"),
        *("--foundry-out-directory", "out/slither", "--json", str(RESULT)),
        profile="slither",
    )
    if not RESULT.exists():
        raise AuditFailed(f"slither gave no result:\n{done.stdout}{done.stderr}")
    return read_findings(json.loads(RESULT.read_text(encoding="utf-8")))


def main() -> int:
    """List findings and answers; fail where they don't fit."""
    try:
        findings = analyse()
        answers = read_answers(Path(ANSWERS).read_text(encoding="utf-8"))
    except AuditFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    verdicts = {answer.key: answer.verdict for answer in answers}
    rows = [
        (one.impact, one.key.check, one.key.where.partition("(")[0], verdicts.get(one.key, "NONE"))
        for one in findings
    ]
    say(*table(("impact", "finding", "where", "answer"), rows))
    if wrong := problems(findings, answers):
        sys.stderr.write("\n".join(wrong) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

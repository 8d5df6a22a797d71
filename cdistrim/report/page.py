"""The report as one self-contained HTML page: no script, no font, no link to anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from string import Template

from cdistrim.report import wording
from cdistrim.report.charts import draw_aucs, draw_bars, draw_calibration, draw_roc
from cdistrim.report.figures import AucBasis, CampaignReport, ModelTest, NonInferiority
from cdistrim.report.lineage import draw_lineage
from cdistrim.report.tables import (
    contribution_table,
    event_table,
    hash_table,
    secure,
    slot_table,
    spec_table,
    vote_table,
)

__all__ = ["render_page"]

_BASIS = {
    AucBasis.EVALUATORS: (
        "AUCs are combined over the evaluators' own hold-outs, the trainer's left out, weighted by "
        "size; voters with fewer cases of a class than the spec asks for are not in. The 95 % "
        "intervals are about these hospitals and use Hanley and McNeil's variance. The set of "
        "evaluators changes from slot to slot, so a head's AUC can differ between two slots."
    ),
    AucBasis.TRAINER: (
        "AUCs are the trainers' own reports; 95 % intervals use Hanley and McNeil's variance."
    ),
    AucBasis.TEST_SET: (
        "AUCs and 95 % intervals on the common test set, measured after the campaign: no vote "
        "rests on them. What the voters measured on their own hold-outs stands in the next table."
    ),
}


_CHECKS: Sequence[str] = (
    "Read the contract's events on the chain; they are the log at the end of this page.",
    "Hash the spec as canonical JSON (sorted keys, no white space, UTF-8) with SHA-256.",
    "Hash each stored object with SHA-256; a holder of a model hashes its weights too.",
    "Compare the hashes with those on this page and on the ledger.",
)
_METHODS: Sequence[str] = (
    (
        "A refused candidate is dropped, the head stays what it was and the hospital is skipped "
        "(restore and skip)."
    ),
    (
        "AUC intervals on the test set and the comparison follow DeLong, DeLong and Clarke-Pearson "
        "(Biometrics 44, 1988). A p-value above 0.05 does not show that models are equal; hence "
        "the interval of the difference against a margin that was fixed beforehand."
    ),
    "The protocol follows Zerka et al., IEEE Access 8, 2020, doi 10.1109/ACCESS.2020.3029445.",
)


def render_page(report: CampaignReport) -> str:
    """The whole page; every figure in it is the report's."""
    sections = (
        _header(report),
        _verdict(report),
        _cards(report),
        _lineage(report),
        _aucs(report),
        _votes(report),
        _curves(report),
        _slots(report),
        _partners(report),
        _costs(report),
        _check(report),
        _methods(report),
        _log(report),
        _footer(report),
    )
    package = files("cdistrim.report")
    template = Template(package.joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=secure(f"C-DistriM report {report.run_id}"),
        css=package.joinpath("page.css").read_text(encoding="utf-8"),
        body="\n".join(section for section in sections if section),
    )


def _section(title: str, lead: str, *parts: str) -> str:
    words = f"<p>{secure(lead)}</p>" if lead else ""
    return f"<section><h2>{secure(title)}</h2>{words}{''.join(parts)}</section>"


def _list(kind: str, items: Sequence[str]) -> str:
    return f"<{kind}>{''.join(f'<li>{secure(item)}</li>' for item in items)}</{kind}>"


def _figure(drawing: str, caption: str = "") -> str:
    words = f"<figcaption>{secure(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="scroll">{drawing}</div>{words}</figure>'


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{secure(summary)}</summary>{content}</details>"


def _header(report: CampaignReport) -> str:
    partners = len(report.partners)
    return (
        f"<header><div><h1>Campaign report</h1><p>{secure(report.task)}</p>"
        f"<p>{partners} hospitals trained one model in turn; no scan left its hospital.</p></div>"
        f'<div class="meta">run <b>{secure(report.run_id)}</b><br>'
        f"{report.created:%d %B %Y, %H:%M} UTC<br>campaign {report.campaign} on chain "
        f"{report.chain_id}, {secure(report.state)}</div></header>"
    )


def _verdict(report: CampaignReport) -> str:
    kind = ""
    if report.totals.accepted == 0 or report.noninferiority is NonInferiority.INFERIOR:
        kind = " bad"
    elif report.noninferiority is NonInferiority.NOT_SHOWN or report.state != "completed":
        kind = " warn"
    first, *others = report.headline
    rest = "".join(f"<p>{secure(sentence)}</p>" for sentence in others)
    return f'<div class="verdict{kind}"><strong>{secure(first)}</strong>{rest}</div>'


def _cards(report: CampaignReport) -> str:
    totals = report.totals
    cards = [("Accepted iterations", f"{totals.accepted} of {totals.planned}", _ended(report))]
    for model, name in ((report.sequential, "Final model"), (report.central, "Central training")):
        if model is not None:
            bounds = f"95 %: {model.auc.low:.2f}{wording.EN_DASH}{model.auc.high:.2f}"
            cards.append((f"{name}, AUC", wording.auc(model.auc.value), bounds))
    if report.comparison is not None:
        difference = report.comparison.difference
        bounds = f"95 %: {wording.signed(difference.low)} to {wording.signed(difference.high)}"
        cards.append(("Difference of AUC", wording.signed(difference.value), bounds))
    sent = f"in {wording.plural(totals.transactions, 'transaction')}"
    cards.append(("Gas", wording.count(totals.gas), sent))
    events = wording.plural(totals.events, "ledger event")
    cards.append(("Wall time", wording.duration(totals.seconds), events))
    inner = "".join(
        f"<div><dt>{secure(name)}</dt><dd>{secure(value)}</dd><dd>{secure(note)}</dd></div>"
        for name, value, note in cards
    )
    return f'<dl class="cards">{inner}</dl>'


def _ended(report: CampaignReport) -> str:
    totals = report.totals
    return f"{totals.refused} refused, {totals.skipped} late or absent"


def _lineage(report: CampaignReport) -> str:
    return _section(
        "Lineage of the model",
        "Each circle is one hospital's turn; the figure above it is the candidate's AUC, as in the "
        "table of turns.",
        _figure(
            draw_lineage(report),
            "Filled: accepted. Crossed: refused, and the dashed arrow leads back to the head that "
            "was restored. Thick line: the path to the final model, which has a ring.",
        ),
    )


def _aucs(report: CampaignReport) -> str:
    bases = [basis for basis in AucBasis if any(s.auc_basis is basis for s in report.slots)]
    if not bases:
        return ""
    return _section(
        "AUC slot by slot",
        "What each turn did to the model.",
        _figure(draw_aucs(report.slots), " ".join(_BASIS[basis] for basis in bases)),
    )


_GROUNDS = {
    "delong": "A voter refuses what is significantly worse, not every small loss.",
    "strict": "A voter refuses every loss.",
}


def _votes(report: CampaignReport) -> str:
    return _section(
        "Votes on the candidates",
        "Who voted how, with the change of AUC that the voter measured on its own hold-out. The "
        "trainer's request counts as its yes; silence counts as no. A ballot ends once it is "
        "decided, so later voters may be missing. Figures on fewer cases of a class than the spec "
        f"asks for are not shown. {_GROUNDS.get(report.policy, '')}",
        vote_table(report),
    )


def _curves(report: CampaignReport) -> str:
    models = [model for model in (report.sequential, report.central) if model is not None]
    if not models:
        return ""
    model = models[0]
    return _section(
        "On the untouched test set",
        f"{model.positives} positive and {model.negatives} negative cases that no hospital trained "
        "or voted on.",
        f'<div class="pair">{_figure(draw_roc(models))}{_figure(draw_calibration(models))}</div>',
        _results_table(models),
    )


def _results_table(models: Sequence[ModelTest]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{secure(m.label)}</th>'
        f'<td class="n">{secure(wording.auc_with_interval(m.auc.value, m.auc.low, m.auc.high))}'
        f'</td><td class="n">{m.brier:.3f}</td><td class="n">{m.ece:.3f}</td></tr>'
        for m in models
    )
    return (
        '<table id="table-results"><thead><tr><th scope="col">Model</th>'
        '<th scope="col" class="n">AUC (95 % interval)</th><th scope="col" class="n">Brier score'
        '</th><th scope="col" class="n">Expected calibration error</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _slots(report: CampaignReport) -> str:
    return _section("Every turn", "", slot_table(report.slots))


def _partners(report: CampaignReport) -> str:
    return _section(
        "What each hospital brought",
        "AUC gained sums, over a hospital's accepted turns, the AUC after minus the AUC before.",
        contribution_table(report.partners, classes=report.classes),
    )


def _costs(report: CampaignReport) -> str:
    gas = draw_bars(
        "gas",
        "Gas per slot and step",
        [(str(slot.number), slot.gas_by_step) for slot in report.slots],
        _gas,
        "gas",
    )
    outside = [f"{step} {wording.count(g)}" for step, g in report.totals.gas_outside_slots.items()]
    beside = f" Besides, outside of the turns: {wording.sentence_list(outside)}." if outside else ""
    parts = [_figure(gas, f"Gas of each turn's transactions, each counted once.{beside}")]
    timed = [(str(slot.number), slot.seconds_by_step) for slot in report.slots]
    if any(seconds for _, seconds in timed):
        time = draw_bars("time", "Time per slot and step", timed, _seconds, "seconds")
        parts.append(_figure(time, "Of the turn's own hospital; the others vote while it waits."))
    return _section("Gas and time", "", *parts)


def _check(report: CampaignReport) -> str:
    contract = secure(report.contract)
    facts = (
        ("Chain id", str(report.chain_id)),
        ("Contract", contract),
        ("Campaign", str(report.campaign)),
        ("Spec, SHA-256", secure(report.spec_hash)),
    )
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td><code>{value}</code></td></tr>'
        for name, value in facts
    )
    verification = _command(
        "Where this run was made, one command plays its history through the protocol's rules, and "
        "compares it with what the hospitals signed and the models with the store:",
        report.verify_command,
    )
    chain = _command(
        "Its chain has stopped. This starts it again, where the hospitals look for it:",
        report.chain_command,
    )
    return _section(
        "How to check this report",
        "Turns, votes, hashes and gas are on the ledger, where anybody can read them. Times and "
        "test results were measured beside it.",
        f'<table id="table-check"><tbody>{rows}</tbody></table>',
        _list("ol", _CHECKS),
        verification,
        chain,
        _details("Hashes of all candidates", hash_table(report.slots)),
        _details("The spec that all hospitals agreed on", spec_table(report.spec)),
    )


def _command(why: str, command: str) -> str:
    return f"<p>{why}</p><pre><code>{secure(command)}</code></pre>" if command else ""


def _methods(report: CampaignReport) -> str:
    rule = f"Voting mode {report.mode}, policy {report.policy}; a turn needs a majority of votes."
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    software = (f"Software: {versions}.",) if versions else ()
    items = _list("ul", (rule, *_METHODS, *report.notes, *software))
    return _section("Methods and limits", "", items)


def _log(report: CampaignReport) -> str:
    return _section(
        "Event log",
        "",
        _details(
            f"All {wording.count(report.totals.events)} events of this campaign on the ledger",
            event_table(report.events),
        ),
    )


def _footer(report: CampaignReport) -> str:
    return (
        "<footer>Made by C-DistriM from the ledger and from measurements of this run; report.json "
        f"beside this page has the same figures. Run {secure(report.run_id)}.</footer>"
    )


def _gas(value: float) -> str:
    return wording.count(round(value)) if value < 100_000 else f"{value / 1000:,.0f}k"


def _seconds(value: float) -> str:
    return f"{value:g}" if value == round(value) else f"{value:.1f}"

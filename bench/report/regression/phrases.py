"""How a comparison is said: its verdict, a change with its interval, a finding as a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from bench.analysis.regression import Comparison, Ended, Finding
from bench.analysis.regression.effects import MOST_PAIRS
from bench.analysis.regression.findings import CANNOT_TELL, IMPROVED, REGRESSED
from bench.analysis.regression.limits import QUALITY
from bench.report.words import word

UNKNOWN = "–"
MOST_LETTERS = 200
"""Longest name or error that is said whole."""


def headline(found: Comparison) -> str:
    """Return the verdict in words: ``REGRESSED: 3 figures of 1 backend``."""
    if found.verdict == REGRESSED:
        worse, lost = found.of(REGRESSED), sum(each.is_regression for each in found.ended)
        parts = [_figures(worse)] if worse else []
        parts += [f"{_count(lost, 'configuration')} lost"] if lost else []
        return f"REGRESSED: {', '.join(parts)}"
    if found.verdict == CANNOT_TELL:
        more = f"; {more_pairs(found.more_pairs)} would tell" if found.more_pairs else ""
        return f"CANNOT TELL: {_figures(found.of(CANNOT_TELL))}{more}"
    better = found.of(IMPROVED)
    return f"same: {_measured(found)}" + (f"; {_figures(better)} improved" if better else "")


def about(found: Comparison) -> dict[str, str]:
    """Return what was compared, how, on which machine, and the versions that differ."""
    pairs = found.versions.items()
    facts = {
        "base": clean(found.base),
        "head": clean(found.head),
        "measured": _measured(found),
        "machine": clean(found.machine),
        "versions": ", ".join(clean(f"{n} {a or 'none'} → {b or 'none'}") for n, (a, b) in pairs),
    }
    return {name: text for name, text in facts.items() if text}


def change(finding: Finding) -> str:
    """Return the change with its interval: ``+17.3 % [+14.1, +20.6]``, of quality ``−0.0052``."""
    if math.isnan(finding.change):
        return UNKNOWN
    if math.isinf(finding.change):
        return "from 0"
    ends = (finding.change, finding.low, finding.high)
    quality = finding.figure in QUALITY
    value, *bounds = [_difference(x) if quality else _percent(x) for x in ends]
    text = value if quality else f"{value} %"
    # No width: it is exact, or every difference is too small to count.
    wide = finding.low < finding.high
    return f"{text} [{', '.join(bounds)}]" if wide else text


def limit(finding: Finding) -> str:
    """Return the limit of a figure: ``10 %``, of quality ``0.005``."""
    if finding.figure in QUALITY:
        return f"{finding.limit:g}"
    return f"{100 * finding.limit:.4g} %"


def value(finding: Finding, number: float) -> str:
    """Return the figure of a side in three digits, of quality with four decimals."""
    if math.isnan(number):
        return UNKNOWN
    if finding.figure in QUALITY:
        return f"{number:.4f}"
    return f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"


def more_pairs(pairs: int | None) -> str:
    """Return how many more pairs would tell: ``about 7 more pairs``; empty for None."""
    if not pairs:
        return ""
    least = "at least" if pairs >= MOST_PAIRS else "about"
    return f"{least} {pairs} more pair{'s' * (pairs != 1)}"


def sentence(finding: Finding) -> str:
    """Return what became of a figure, without its subject."""
    sides = " → ".join(value(finding, x) for x in (finding.base, finding.head))
    text = f"{word(finding.figure)} {change(finding)}, {sides}; the limit is {limit(finding)}"
    if math.isnan(finding.change):
        text = f"{word(finding.figure)} was {value(finding, finding.base)}"
    more = f"{more_pairs(finding.more_pairs)} would tell" if finding.more_pairs else ""
    return "; ".join(filter(None, [clean(text), clean(finding.detail), more]))


def ended(each: Ended) -> str:
    """Return a configuration that ended otherwise: the statuses unless the title says them."""
    if each.head == "absent" or each.base == "absent":
        return clean(each.configuration)
    return clean(each.text, 2 * MOST_LETTERS)


def ways_to_end(found: Comparison) -> dict[str, list[Ended]]:
    """Return the configurations that ended otherwise by what that means; what is lost first."""
    groups: dict[str, list[Ended]] = {
        "missing in the head": [],
        "failed in the head": [],
        "newly skipped": [],
        "ok again": [],
        "new in the head": [],
    }
    for each in found.ended:
        if each.is_regression:
            titles = {"absent": "missing in the head", "skipped": "newly skipped"}
            groups[titles.get(each.head, "failed in the head")].append(each)
        else:
            groups["new in the head" if each.base == "absent" else "ok again"].append(each)
    return {title: each for title, each in groups.items() if each}


def clean(text: str, most: int = MOST_LETTERS) -> str:
    """Return text on one line, without control characters, cut to `most` letters."""
    plain = " ".join("".join(x if x.isprintable() else " " for x in str(text)).split())
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def of_backend(finding: Finding) -> str:
    """Return the backend that a finding belongs to."""
    return finding.backend or finding.subject


def _figures(findings: Iterable[Finding]) -> str:
    pairs = {(each.figure, of_backend(each)) for each in findings}
    figures, backends = ({*each} for each in zip(*pairs, strict=True)) if pairs else ((), ())
    return f"{_count(len(figures), 'figure')} of {_count(len(backends), 'backend')}"


def _measured(found: Comparison) -> str:
    how = "measured at other times"
    if found.pairs:
        how = _count(found.pairs, "process pair")
    return f"{_count(found.compared, 'configuration')}, {how}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _percent(share: float) -> str:
    return _signed(100 * share, ",.0f" if abs(share) >= 10 else ".1f")


def _difference(number: float) -> str:
    return _signed(number, ".4f" if abs(number) >= 5e-5 else ".1g")


def _signed(number: float, form: str) -> str:
    text = format(number, f"+{form}")
    if not re.search("[1-9]", text):
        return text[1:] if number else "0"
    return text.replace("-", "−", 1) if number < 0 else text

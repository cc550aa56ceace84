"""The tables of a comparison, made once for the terminal and for Markdown.

What all configurations of a backend have in common is said once. So is what the median over them
shows: the findings of the single ones are part of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.analysis.regression import Comparison, Finding
from bench.analysis.regression.effects import MOST_PAIRS
from bench.analysis.regression.findings import CANNOT_TELL, IMPROVED, REGRESSED, SAME, Answer
from bench.analysis.regression.limits import LIMITS
from bench.analysis.text_table import Table
from bench.report.regression import phrases
from bench.report.words import word

LARGEST = 3
"""Changes that every report leads with."""
_BY_WEIGHT: tuple[Answer, ...] = (REGRESSED, CANNOT_TELL, IMPROVED, SAME)
_CHANGED = ("change [95 %]", "limit")


@dataclass(frozen=True)
class Together:
    """Findings that are said as one."""

    finding: Finding
    """The mean over the configurations, else the largest of them."""
    subject: str
    """What it is about, in words."""


@dataclass(frozen=True)
class _Group:
    """All findings of one figure and backend."""

    figure: str
    backend: str
    pooled: list[Finding]
    own: list[Finding]

    @property
    def total(self) -> int:
        """How many configurations of the backend have an answer."""
        # What is tested, and so has bounds, is part of the median.
        tested = [each for each in self.own if not math.isnan(each.low)]
        members = self.pooled[0].configurations if self.pooled else len(tested)
        return members + len(self.own) - len(tested)

    def together(self) -> list[Together]:
        """Return what is said of the group, each answer of its own."""
        found = [Together(each, self._mean(each)) for each in self.pooled]
        for answer in _BY_WEIGHT:
            own = [each for each in self.own if each.answer == answer and not self._folded(answer)]
            own.sort(key=lambda each: -each.size)
            if len(own) > 1 and len(own) == self.total:
                equal = len({str(each.change) for each in own}) == 1
                which = "all" if equal else "largest of all"
                name = phrases.clean(self.backend)
                found.append(Together(own[0], f"{name}, {which} {len(own)}"))
            else:
                found += [Together(each, phrases.clean(each.subject)) for each in own]
        return found

    def _mean(self, finding: Finding) -> str:
        name = phrases.clean(finding.subject)
        if finding.configurations == 1:
            return name
        return f"{name}, median of {finding.configurations}"

    def _folded(self, answer: Answer) -> bool:
        """Return whether the median over the configurations says it already."""
        answers = {each.answer for each in self.pooled}
        return answer in answers or (answer == CANNOT_TELL and REGRESSED in answers)

    def row(self) -> tuple[str, Finding, str]:
        """Return what stands for the group in one row: a name, a finding, the answer in words."""
        said = self.together()
        said.sort(key=lambda each: (_BY_WEIGHT.index(each.finding.answer), -each.finding.size))
        worst = said[0].finding.answer
        count = sum(each.answer == worst for each in self.own)
        shown = next((each for each in said if not each.finding.backend), said[0])
        name = shown.subject
        if len(self.own) > 1 and shown.finding.backend and count < self.total:
            name = f"{phrases.clean(self.backend)}, largest of all {self.total}"
        whole = shown.finding.answer == worst and (not shown.finding.backend or count == self.total)
        return name, shown.finding, worst if whole else f"{worst} in {count} of {self.total}"


def together(found: Comparison) -> list[Together]:
    """Return the findings, those that belong together as one, the largest for its limit first."""
    each = [one for group in _groups(found) for one in group.together()]
    return sorted(each, key=lambda one: -one.finding.size)


def largest(found: Comparison, most: int = LARGEST) -> Table:
    """Return the largest changes for their limits, those that regressed first."""
    changed = [each for each in together(found) if each.finding.change]
    shown = sorted(changed, key=lambda each: each.finding.answer != REGRESSED)[:most]
    rows = [(*_named(each), *_changed(each.finding), each.finding.answer) for each in shown]
    return Table("", ("largest changes", "figure", *_CHANGED, "answer"), [*rows])


def answered(found: Comparison, answer: Answer) -> Table:
    """Return what has an answer, the largest change for its limit first."""
    shown = [each for each in together(found) if each.finding.answer == answer]
    heading, last = ("more pairs", _pairs) if answer == CANNOT_TELL else ("base → head", _sides)
    ends = [last(each.finding) for each in shown]
    rows: list[tuple[str, ...]] = [(*_named(each), *_changed(each.finding)) for each in shown]
    headings = (answer, "figure", *_CHANGED)
    if {*ends} <= {phrases.UNKNOWN}:
        return Table("", headings, rows)
    rows = [(*row, end) for row, end in zip(rows, ends, strict=True)]
    return Table("", (*headings, heading), rows, (heading,))


def by_backend(found: Comparison) -> Table:
    """Return a row per backend and figure that changed at all, without `unchanged` figures."""
    left_out = {*unchanged(found)}
    groups = [each for each in _groups(found) if word(each.figure) not in left_out]
    order = {backend: i for i, backend in enumerate(dict.fromkeys(g.backend for g in groups))}
    rows: list[tuple[str, ...]] = []
    for group in sorted(groups, key=lambda each: (order[each.backend], _place(each.figure))):
        name, finding, answer = group.row()
        if not finding.change and answer == SAME:
            continue
        rows.append((name, phrases.clean(word(group.figure)), *_changed(finding), answer))
    return Table("", ("each backend", "figure", *_CHANGED, "answer"), rows)


def unchanged(found: Comparison) -> list[str]:
    """Return the figures, in words, in which nothing changed that counts."""
    changed = {each.figure for each in found.findings if each.change or each.answer != SAME}
    names = dict.fromkeys(each.figure for each in found.findings)
    return [word(figure) for figure in sorted(names, key=_place) if figure not in changed]


def _groups(found: Comparison) -> list[_Group]:
    groups: dict[tuple[str, str], _Group] = {}
    for each in found.findings:
        key = each.figure, phrases.of_backend(each)
        group = groups.setdefault(key, _Group(*key, [], []))
        (group.own if each.backend else group.pooled).append(each)
    return [*groups.values()]


def _named(each: Together) -> tuple[str, str]:
    detail = phrases.clean(each.finding.detail)
    subject = f"{each.subject}: {detail}" if detail else each.subject
    return subject, phrases.clean(word(each.finding.figure))


def _changed(finding: Finding) -> tuple[str, str]:
    return phrases.change(finding), phrases.limit(finding)


def _sides(finding: Finding) -> str:
    return " → ".join(phrases.value(finding, x) for x in (finding.base, finding.head))


def _pairs(finding: Finding) -> str:
    pairs = finding.more_pairs or 0
    return f"{pairs}{'+' * (pairs >= MOST_PAIRS)}" if pairs else phrases.UNKNOWN


def _place(figure: str) -> int:
    names = [*LIMITS]
    return names.index(figure) if figure in names else len(names)

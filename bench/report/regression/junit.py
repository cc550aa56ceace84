"""A comparison as JUnit XML, which the servers of continuous integration show as tests."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as Xml  # nosec B405 # it writes XML and reads none

from bench.analysis.regression import Comparison, Ended, Finding
from bench.analysis.regression.findings import CANNOT_TELL, REGRESSED
from bench.report.regression import phrases
from bench.report.words import word

_TRIALS = "trials"


def comparison_junit(found: Comparison) -> str:
    """Return JUnit XML: a suite per figure, a case per configuration or backend.

    Regressed is a failure. What cannot be told is skipped, and the message says how many more pairs
    would tell. A last suite has the configurations that ended otherwise.
    """
    root = Xml.Element("testsuites", name="matryoshka-bench")
    figures = dict.fromkeys(each.figure for each in found.findings)
    for figure in figures:
        own = (each for each in found.findings if each.figure == figure)
        _suite(root, word(figure), map(_finding, own))
    if found.ended:
        _suite(root, _TRIALS, map(_ended, found.ended))
    _count(root)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _suite(root: Xml.Element, name: str, cases: Iterable[Xml.Element]) -> None:
    suite = Xml.SubElement(root, "testsuite", name=phrases.clean(name))
    suite.extend(cases)
    _count(suite)


def _count(element: Xml.Element) -> None:
    tests = [*element.iter("testcase")]
    element.set("tests", str(len(tests)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in tests)))
    element.set("time", "0")


def _finding(finding: Finding) -> Xml.Element:
    case = _case(finding.subject, finding.figure)
    text = phrases.sentence(finding)
    if finding.answer == REGRESSED:
        _fail(case, text)
    elif finding.answer == CANNOT_TELL:
        Xml.SubElement(case, "skipped", message=text)
    return case


def _ended(each: Ended) -> Xml.Element:
    case = _case(each.configuration, _TRIALS)
    if each.is_regression:
        _fail(case, phrases.clean(each.text, 2 * phrases.MOST_LETTERS))
    return case


def _case(name: str, of: str) -> Xml.Element:
    return Xml.Element("testcase", name=phrases.clean(name), classname=phrases.clean(of), time="0")


def _fail(case: Xml.Element, text: str) -> None:
    failure = Xml.SubElement(case, "failure", message=text, type=REGRESSED)
    # Some servers show the message, others the text.
    failure.text = text

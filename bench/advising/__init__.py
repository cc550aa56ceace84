"""From a dataset and an encoder to one configuration: the search, the decision, the answer."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.advising.advice import Advice
from bench.advising.answer import answer
from bench.advising.candidates import usable
from bench.advising.plan import earlier_tables
from bench.advising.search import Search
from bench.advising.wanted import Wanted
from bench.analysis.money import load_prices
from bench.datasets import stand_in
from bench.deploy import deploy
from bench.errors import NothingToShow, UsageError
from bench.measuring.executor import Executor

SECONDS = 600.0
"""Time that a search may take by default, s."""


def advise(
    dataset: str,
    encoder: str | None = None,
    wanted: Wanted | None = None,
    *,
    out: str | Path | None = None,
    backends: Sequence[str] | None = None,
    seconds: float = SECONDS,
    prices: str | Path | None = None,
    progress: bool = True,
    executor: Executor | None = None,
) -> Advice:
    """Find the configuration to deploy, in about `seconds`; return it with the reasons.

    `dataset` and `encoder` are named as in a study; `encoder` is None for ready vectors. Documents
    alone are measured with a stand-in for judgements (`bench.datasets.stand_in`). `backends` are
    the indexes to try, ``["all"]`` for every library installed. Every measurement is a trial in the
    results folder `out`, ``results/advise-…`` by default, beside the study that measured it,
    ``advice.json`` and the code to deploy the answer. The same call resumes, and a larger `seconds`
    searches on. `prices` is a TOML file as `bench.analysis.money` describes. `executor` does the
    work as in `bench.run`. Raises UsageError on bad input, before anything is measured.
    """
    wanted, price_list, names = wanted or Wanted(), load_prices(prices), usable(backends)
    folder = Path(out) if out else Path("results") / _name(dataset, encoder, wanted)
    earlier_tables(folder, wanted.keep)  # a folder of another search is refused at once

    def say(line: str) -> None:
        if progress:
            print(line, file=sys.stderr, flush=True)

    measured = stand_in(dataset)
    if measured != dataset:
        say(f"{dataset} has no queries: {measured} stands in for judgements")
    search = Search(
        measured, encoder, wanted, folder, names, seconds, price_list, say, executor or Executor()
    )
    try:
        search.go()
    except NothingToShow as error:
        raise UsageError(
            f"the {seconds:g} s were over before anything was measured; encoded vectors are kept: "
            "the same call goes on from there, and a larger --budget goes further"
        ) from error
    found = answer(search)
    if found.choice is not None:
        try:
            code = deploy(folder, found.choice.trial_id, folder / "deploy").relative_to(folder)
            found = replace(found, code=str(code))
        except UsageError as error:
            say(f"no code to deploy it: {error}")
    found.save(folder)
    return found


def _name(dataset: str, encoder: str | None, wanted: Wanted) -> str:
    parts = ["advise", Path(dataset).name, encoder or "", f"{100 * wanted.keep:g}"]
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(filter(None, parts))).strip("-.")

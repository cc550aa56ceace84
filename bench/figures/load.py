"""What a server gives to many clients at once, and what each of them waits."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.labels import labels
from bench.figures._style import COLUMN, heading, looks, needed, panels, plain_log
from bench.results.rows import groups, loads

TITLE = "Queries per second against p99 latency, as more clients ask at once"
ORDER = 5.8
CAPTION = (
    "Each point is a number of clients, written beside it; each client asks again as soon as it has its answer. The p99 is that of the "
    "very searches that make the throughput. Where a line turns upwards the server is saturated: more clients only wait longer."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw throughput against p99, one line a configuration, a panel for each dataset and encoder."""
    rows = needed(loads(frame), "no server under the load of several clients")
    parts = groups(rows)
    with panels(len(parts), width=1.6 * COLUMN, height=3.2) as (figure, axes):
        for axis, (_, part) in zip(axes, parts, strict=True):
            one = part.assign(clients=1)  # the clients stand beside the points
            named = labels(one)
            style = looks(named.unique())
            for name, line in part.groupby(named, sort=False):
                ordered = line.sort_values("clients")
                axis.plot(ordered["qps"], ordered["latency_ms_p99"], label=name, **style[str(name)])
                for _, point in ordered.iterrows():
                    axis.annotate(
                        f"{point['clients']}", (point["qps"], point["latency_ms_p99"]),
                        xytext=(4, -8), textcoords="offset points", fontsize=6,
                    )  # fmt: skip
            plain_log(axis, "y")
            axis.margins(x=0.1)
            axis.set_xlim(left=0)
            axis.set_title(heading(part))
            axis.set_xlabel("queries/s of all clients")
            axis.set_ylabel("p99 latency (ms)")
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03))
    return figure

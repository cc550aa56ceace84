"""The process that measures for one side of a comparison, with that side's own code and libraries.

It is run as text (``python -c``) by an interpreter that may hold an older version of this package,
so it uses nothing but `bench.run`. A line on standard input is one study to run; a line on the file
descriptor that the first argument names is the answer. Workers are fresh processes as ever.
"""

import inspect
import json
import os
import sys
from typing import Any


def main() -> None:
    """Answer with what this side is, then run one study per line until standard input ends."""
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as answers:

        def answer(**found: Any) -> None:
            answers.write(json.dumps(found) + "\n")
            answers.flush()

        import bench
        from bench.study.schema import Study

        known = set(inspect.signature(bench.run).parameters)
        answer(package=bench.__path__[0], keys=sorted(Study.model_fields))
        for line in sys.stdin:
            asked = json.loads(line)
            given: dict[str, Any] = {"progress": False, "again": False}
            try:
                bench.run(
                    asked["study"],
                    asked["out"],
                    **{name: value for name, value in given.items() if name in known},
                )
            except Exception as error:  # whatever that version raises belongs to that side
                answer(error=f"{type(error).__name__}: {error}")
            else:
                answer()


if __name__ == "__main__":
    main()

"""``python -m bench.testing BACKEND PRECISION…``: check them in this process."""

from __future__ import annotations

import itertools
import json
import sys
import traceback
from dataclasses import asdict

from bench.backends import get_backend
from bench.testing import MARK, RULES, Result
from bench.testing.rules import Broken, NotApplicable


def main() -> None:
    """Check the backend and precisions of the command line; print one line of JSON per rule."""
    cls = get_backend(sys.argv[1])
    precisions = [cls.precision_of(name) for name in sys.argv[2:]]
    cls.load()
    for precision, rule in itertools.product(precisions, RULES):
        try:
            result = Result(rule.__name__, True, rule(cls, precision))
        except NotApplicable as reason:
            result = Result(rule.__name__, True, f"does not apply: {reason}")
        except Broken as reason:
            result = Result(rule.__name__, False, str(reason))
        except Exception as error:  # a library may raise anything
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason_text = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
            result = Result(rule.__name__, False, reason_text)
        print(MARK + json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()

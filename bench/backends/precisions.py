"""Precisions: how an index stores each component of a vector.

A backend lists the precisions it supports. A precision that is not here is one constant in the
backend's own file: ``Precision("int2", bits=2, recall_floor=0.3)``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """A way to store components, and what to expect of it."""

    name: str
    """As written in a study: ``precision = "int8"``."""
    bits: float | None
    """Bits per component. None if the size depends on the index, as with product codes."""
    recall_floor: float
    """Recall@10 against brute force in float32 that the widest setting must reach, 0 to 1.
    ``bench check`` fails below it."""


FLOAT32 = Precision("float32", bits=32, recall_floor=0.95)
FLOAT16 = Precision("float16", bits=16, recall_floor=0.95)
BFLOAT16 = Precision("bfloat16", bits=16, recall_floor=0.93)
INT8 = Precision("int8", bits=8, recall_floor=0.8)
INT4 = Precision("int4", bits=4, recall_floor=0.5)
BINARY = Precision("binary", bits=1, recall_floor=0.05)
"""Signs, compared by Hamming distance."""
BINARY_ASYMMETRIC = Precision("binary_asymmetric", bits=1, recall_floor=0.05)
"""Signs of the documents, scored against the float32 query."""
PQ = Precision("pq", bits=None, recall_floor=0.05)
"""Product codes of 8 bits."""
PQ4 = Precision("pq4", bits=None, recall_floor=0.05)
"""Product codes of 4 bits, scanned in registers."""
OPQ4 = Precision("opq4", bits=None, recall_floor=0.05)
"""As `PQ4`, after a rotation fitted to lose least."""
RABITQ = Precision("rabitq", bits=None, recall_floor=0.05)
"""One bit per component of the rotated residual, plus factors per vector."""

USUAL = (FLOAT32, FLOAT16, BFLOAT16, INT8, INT4, BINARY, BINARY_ASYMMETRIC)
"""Precisions with a known size, most bits first."""

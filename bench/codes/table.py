"""The precisions that have codes of their own, in the order of their families."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.backends.precisions import USUAL, Precision
from bench.codes import FLAT, IVF, Coding

_BITS = range(1, 9)
_FLOORS = {1: 0.05, 2: 0.15, 3: 0.35, 4: 0.5, 5: 0.65, 6: 0.7, 7: 0.8, 8: 0.8}
"""Least recall@10 by bits per component."""


def _of(name: str, bits: float, floor: float | None = None) -> Precision:
    least = _FLOORS[max(1, round(bits))] if floor is None else floor
    return Precision(name, bits=bits, recall_floor=least)


_RABITQ = "Gao & Long 2024; Gao et al. 2025"
_CORECT = "Caspari et al. 2025 (CoRECT)"
_ITQ = "Gong & Lazebnik 2011"
_PRODUCT = {"half": 16, "1": 8, "2": 4, "4": 2}
"""Components that share a code of 8 bits, by the bits per component in the name."""

CODINGS = (
    *(
        Coding(
            _of(f"rabitq_{bits}bit", bits), "rabitq", "rotated, unbiased bits with a"
            " few factors; 8-bit queries", _RABITQ, "rabitq",
            {"bits": bits, "query_bits": 8}, by_cell=True,
        )
        for bits in _BITS
    ),
    *(
        Coding(
            _of(f"rabitq_query{bits}", 1), "rabitq_query", "as `rabitq_1bit`, against a query of so"
            " many bits", _RABITQ, "rabitq", {"bits": 1, "query_bits": bits}, (FLAT, IVF),
            by_cell=True,
        )
        for bits in (4,)
    ),
    *(
        Coding(
            _of(f"eden_{bits}bit", bits), "eden", "random rotation, then levels of the normal"
            " distribution; a scale per vector", "Vargaftik et al. 2022", "eden", {"bits": bits},
            (FLAT, IVF), by_cell=True,
        )
        for bits in _BITS
    ),
    *(
        Coding(
            _of(f"turboquant_{bits}bit", bits), "turboquant", "random rotation, then fixed levels"
            " for coordinates on the sphere", "Zandieh et al. 2025", "turboquant",
            {"kind": f"QT_{bits}bit_tqmse"},
        )
        for bits in (1, 2, 3, 4, 8)
    ),
    *(
        Coding(
            _of(f"turboquant_qjl_{bits}bit", bits, _FLOORS[bits - 1]), "turboquant_qjl",
            "as `turboquant` with one bit less, and a bit for the sign of a projected residual",
            "Zandieh et al. 2025", "turboquant", {"kind": f"QT_{bits}bit_tq"}, (FLAT, IVF),
        )
        for bits in (2, 3, 4, 5)
    ),
    *(
        Coding(
            _of(f"uniform_{bits}bit", bits, _FLOORS[bits] / 2), "uniform", "steps of equal width"
            " between the least and the most of each component", _CORECT, "uniform",
            {"bits": bits}, is_product=bits < 4,
        )
        for bits in (2, 3, 4, 6, 8)
    ),
    *(
        Coding(
            _of(f"percentile_{bits}bit", bits), "percentile", "levels at equally spaced percentiles"
            " of each component", _CORECT, "percentile", {"bits": bits}, is_product=True,
        )
        for bits in (2, 3, 4, 6, 8)
    ),
    *(
        Coding(
            _of(f"float8_{name}", 8, 0.5), "float8", "8-bit floats, scaled to the most of each"
            " component", "Micikevicius et al. 2022", "float8",
            {"exponent_bits": exponent, "mantissa_bits": 7 - exponent}, is_product=True,
        )
        for name, exponent in (("e4m3", 4), ("e5m2", 5))
    ),
    Coding(
        _of("ternary", 1.6), "ternary", "-1, 0 or 1: signs of the 54 % largest components of each"
        " vector", "Dearle, Claydon & Connor 2025", "ternary", documents="to_ternary",
        is_product=True,
    ),
    *(
        Coding(
            _of(f"{name}_{bits}bit", 8 / per_code, 0.05), name, what, source, "pq",
            {"per_code": per_code, "rotate": name == "opq"}, is_product=True,
        )
        for name, what, source in (
            ("pq", "product codes of 8 bits", "Jégou et al. 2011"),
            ("opq", "as `pq`, after a rotation fitted to lose least", "Ge et al. 2013"),
        )
        for bits, per_code in _PRODUCT.items()
    ),
    *(
        Coding(_of(f"binary_{name}", 1), f"binary_{name}", what, source, "sign_codes", turn=turn)
        for name, what, source, turn in (
            ("centred", "signs about the mean of each component", _ITQ, "mean_threshold"),
            ("median", "signs about the median of each component", _CORECT, "median_threshold"),
            ("rotated", "signs after a random rotation", "Charikar 2002", "random_turn"),
            (
                "itq", "signs after the rotation nearest to them", _ITQ,
                "itq_turn",
            ),
        )
    ),
    *(
        Coding(
            _of(f"binary_query{bits}", 1), "binary_query", "signs of the documents, against a query"
            " rounded to so many bits", "Elasticsearch's BBQ", shapes=(),
        )
        for bits in (4, 8)
    ),
    *(
        Coding(
            _of(f"osq_{bits}bit", bits), "osq", "an interval of its own for each centred vector;"
            " the query has 4 bits or more", "Veasey 2024 (Lucene's OSQ)", shapes=(),
        )
        for bits in (1, 2, 4, 8)
    ),
)  # fmt: skip
"""Every coding. Bits per component leave out what is stored once per vector."""

BY_NAME = {coding.name: coding for coding in CODINGS}
NO_KERNEL = "no kernel timed; its quality and its bytes are known, its speed is not"
"""Caution of a row whose codes no library here searches."""


def precisions(shape: str) -> tuple[Precision, ...]:
    """Return the precisions that an index of a shape has codes for."""
    return tuple(coding.precision for coding in CODINGS if shape in coding.shapes)


def unkernelled() -> tuple[Precision, ...]:
    """Return the precisions that no index has a kernel for."""
    return tuple(coding.precision for coding in CODINGS if not coding.shapes)


def in_brief(names: Sequence[str]) -> str:
    """Return the names of types of numbers, and how many codings there are besides."""
    plain = [name for name in names if name not in BY_NAME]
    more = len(names) - len(plain)
    return ", ".join([*plain, f"{more} by their bits"] if more else plain)


def precision_order(name: str) -> tuple[int, int, str]:
    """Return a key that sorts precisions: types of numbers, codings by family, others by name."""
    usual = [precision.name for precision in USUAL]
    if name in usual:
        return 0, usual.index(name), ""
    return (1, list(BY_NAME).index(name), "") if name in BY_NAME else (2, 0, name)


def numbered(names: Sequence[str]) -> list[str]:
    """Return names with N for the bits in them, each once: ``rabitq_Nbit``.

    A name that stands alone stays as it is.
    """
    short = [re.sub(r"_(\d+|half)bit$", "_Nbit", name) for name in names]
    pairs = zip(names, short, strict=True)
    return list(dict.fromkeys(b if short.count(b) > 1 else a for a, b in pairs))

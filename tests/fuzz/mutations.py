"""Seeded damage to files, as disks, transfers, editors and attackers cause it."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]

_NUMBERS = (
    0,
    1,
    2,
    127,
    128,
    255,
    65_535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
_WORDS = (
    b'null true NaN -1 0 1e999 1.5 "" [] {} [[ }} \\ud800 \\u0000 \' " , : = # ; .. ../x 2020-01-01'
)
_TOKENS = (
    *_WORDS.split(),
    *(b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    *(b"9" * 20, b"9" * 5000, b"[" * 3000),
)


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """Flip one to eight bits."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def set_bytes(data: bytes, rng: random.Random) -> bytes:
    """Overwrite up to 16 bytes in a row, with noise or with one value."""
    start, count = rng.randrange(len(data)), rng.randint(1, 16)
    noise = (
        rng.randbytes(count)
        if rng.random() < 0.5
        else bytes([rng.choice((0, 255, 32, 128))]) * count
    )
    return data[:start] + noise + data[start + count :]


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Cut the file off, as a transfer that was stopped does."""
    return data[: rng.randrange(len(data))]


def insert(data: bytes, rng: random.Random) -> bytes:
    """Insert up to 64 bytes of noise."""
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.randint(1, 64)) + data[start:]


def delete(data: bytes, rng: random.Random) -> bytes:
    """Leave out up to 64 bytes."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, 64) :]


def swap_blocks(data: bytes, rng: random.Random) -> bytes:
    """Swap two blocks of equal length."""
    size = rng.randint(1, max(1, len(data) // 4))
    first = rng.randrange(max(1, len(data) - 2 * size + 1))
    second = rng.randrange(first + size, max(first + size + 1, len(data) - size + 1))
    return (
        data[:first]
        + data[second : second + size]
        + data[first + size : second]
        + data[first : first + size]
        + data[second + size :]
    )


def repeat(data: bytes, rng: random.Random) -> bytes:
    """Write a block twice."""
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.randint(1, 256))
    return data[:end] + data[start:]


def set_number(data: bytes, rng: random.Random) -> bytes:
    """Write a number at the edge of its range into places that may hold a size."""
    code = rng.choice(("<H", "<I", "<Q", ">I"))
    number = struct.pack(code, rng.choice(_NUMBERS) % 256 ** struct.calcsize(code))
    near = min(len(data), 256)
    start = rng.choice(
        (rng.randrange(near), len(data) - 1 - rng.randrange(near), rng.randrange(len(data)))
    )
    return data[:start] + number + data[start + len(number) :]


def change_digits(data: bytes, rng: random.Random) -> bytes:
    """Replace one number that is written in text, as in the header of an array, by another."""
    return _replace(data, rb"-?\d+", str(rng.choice((-1, *_NUMBERS, 10**30))).encode(), rng)


def change_word(data: bytes, rng: random.Random) -> bytes:
    """Replace one word of a text by a token that means something to a parser."""
    return _replace(data, rb"[A-Za-z_]+|\"[^\"\n]*\"", rng.choice(_TOKENS), rng)


def insert_token(data: bytes, rng: random.Random) -> bytes:
    """Insert a token that means something to a parser."""
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.choice(_TOKENS) + data[start:]


def move_line(data: bytes, rng: random.Random) -> bytes:
    """Leave out, double or move one line, or join it with the next."""
    lines = data.splitlines(keepends=True)
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.randint(0, 2)):
        lines.insert(
            rng.randint(0, len(lines)), line.rstrip(b"\r\n") if rng.random() < 0.3 else line
        )
    return b"".join(lines)


def swap_fields(data: bytes, rng: random.Random) -> bytes:
    """Replace one separator of fields by another."""
    return _replace(data, rb"[\t,:= ]", rng.choice((b"\t", b" ", b",", b"", b"\t\t")), rng)


def _replace(data: bytes, pattern: bytes, new: bytes, rng: random.Random) -> bytes:
    places = list(re.finditer(pattern, data))
    if not places:
        return insert(data, rng)
    place = rng.choice(places)
    return data[: place.start()] + new + data[place.end() :]


BYTES: tuple[Mutation, ...] = (
    flip_bits,
    set_bytes,
    truncate,
    insert,
    delete,
    swap_blocks,
    repeat,
    set_number,
    change_digits,
)
TEXT: tuple[Mutation, ...] = (
    *BYTES,
    change_digits,
    change_word,
    insert_token,
    move_line,
    swap_fields,
)


def damage(data: bytes, rng: random.Random, text: bool) -> bytes:
    """Return `data` after one to three mutations, of structure too if it is a `text`."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            data = rng.choice(TEXT if text else BYTES)(data, rng)
    return data

"""Targets that hide secrets: addresses of servers that hold a password, in any form and damage."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import re
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote, urlsplit

from bench.backends._servers import Connection
from bench.libraries import without_secrets
from tests.fuzz.target import Target

_WORDS = ("hunter", "zwiebel", "quokka")
"""What a password is made of: no message holds one of these words otherwise."""
_BETWEEN = ("/", "@", ":", "?", "#", "%", "&", "=", "'", "\\", " ", "[", "]", '"', "…", "%2F", "$")
_SHAPES = (
    "https://me:{}@127.0.0.1:1/path",
    "http://{}@127.0.0.1:1",
    "postgresql://me:{}@127.0.0.1:1/db?connect_timeout=1",
    "postgresql:///db?host=/nowhere&user=me&password={}",
    "host=/nowhere user=me password='{}' dbname=db",
    "host=/nowhere port=1 password = {} user=me",
)


def _address(folder: Path, rng: random.Random) -> None:
    """Write an address with a password, and what the password is made of."""
    words = rng.sample(_WORDS, rng.randint(1, 3))
    secret = words[0] + "".join(rng.choice(_BETWEEN) + word for word in words[1:])
    shown = secret
    if rng.random() < 0.4:
        shown = quote(secret, safe=rng.choice(("", "/")))
    (folder / "address.txt").write_text(rng.choice(_SHAPES).format(shown))


def _read_address(folder: Path) -> None:
    """Assert that nothing which a client or a row would say of the address has the password."""
    path = folder / "address.txt"
    data = path.read_bytes().replace(b"\0", b"") if path.is_file() else b""
    address = data.decode(errors="replace")
    with patch.dict(os.environ, {"MATRYOSHKA_BENCH_POSTGRES": address}):
        shown = [without_secrets(each) for each in _said(address)]
    public = _public(address)
    for each in shown:
        left = [word for word in _WORDS if word in each and word not in public]
        assert not left, f"{each!r} of {address!r}"


def _public(address: str) -> str:
    """Return what both kinds of client take for something else than a password, lower case.

    Damage may move a part of it into the name of a host or a user, which every client shows.
    """
    if re.fullmatch(r"[\w./-]*(:\d*)?", address):  # a host or a file and nothing else
        return address.lower()
    public = ""
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme:
            user = parts.username if parts.password is not None else ""
            public = f"{user} {parts.hostname} {parts.path} {parts.fragment}"
            public += re.sub(r"password=[^&]*", "", parts.query)
    if not public and importlib.util.find_spec("psycopg"):
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        with contextlib.suppress(ProgrammingError):
            found = conninfo_to_dict(address)
            public = " ".join(str(value) for key, value in found.items() if key != "password")
    return public.lower()


def _said(address: str) -> list[str]:
    """Return what clients say of an address that they cannot use."""
    said = [address, repr(address), json.dumps(address), f"cannot connect to {address}: refused"]
    try:
        parts = urlsplit(address)
        said.append(f'could not translate host name "{parts.hostname}" to address')
        said.append(f"{parts.port}")
    except ValueError as error:
        said.append(str(error))
    try:
        said.append(f"Failed to parse: {Connection(address).root}")
    except Exception as error:  # whatever the client raises ends in a row
        said.append(f"{type(error).__name__}: {error}")
    if importlib.util.find_spec("psycopg"):
        from psycopg.conninfo import conninfo_to_dict

        try:
            found = conninfo_to_dict(address)
            said.append(f'could not translate host name "{found.get("host")}" to address')
            said.append(f'invalid integer value "{found.get("port")}" for option "port"')
        except Exception as error:
            said.append(str(error))
    return said


ADDRESSES = {"address": Target(_address, _read_address)}

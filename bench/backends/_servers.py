"""Shared by the servers: URLs, names for collections, prefix and full fields, JSON over HTTP."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import platform
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from bench.backends import SERVER, Backend
from bench.machine import is_running


def named(variable: str) -> str:
    """Return the value of an environment variable; empty if it is not set.

    URLs and keys are never part of a study: they may hold a password, and studies are published.
    """
    return os.environ.get(variable, "")


_HOST = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
_count = itertools.count()


def fresh_name() -> str:
    """Return an unused name for a table or collection, which encodes this host and process."""
    return f"matryoshka_bench_{_HOST}_{os.getpid()}_{next(_count)}"


def leftovers(names: Iterable[str]) -> list[str]:
    """Return those of `names` that a process of this host created and, having been killed, kept."""
    pattern = rf"matryoshka_bench_{_HOST}_(\d+)_\d+"
    made = ((name, re.fullmatch(pattern, name, re.IGNORECASE)) for name in names)
    return [name for name, found in made if found and not is_running(int(found[1]))]


def take_name(existing: Iterable[str], drop: Callable[[str], object]) -> str:
    """Drop the leftovers among the `existing` collections, and return a fresh name."""
    for name in leftovers(existing):
        drop(name)
    return fresh_name()


class Server(Backend):
    """A server; a subclass keeps its client as `connection`."""

    kind = SERVER
    deterministic = False  # graph levels are drawn at random, and segments merge at any time
    variable: ClassVar[str]
    """Environment variable with the server's URL."""
    key_variable: ClassVar[str] = ""
    """Environment variable with an API key or token; empty if the server takes none."""
    connection: Any

    @classmethod
    def available(cls) -> bool:
        return bool(named(cls.variable)) and super().available()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "connection"}

    def alive(self) -> bool:
        try:
            self.ping()
        except Exception:  # each client raises its transport's own errors
            return False
        return True

    @abstractmethod
    def ping(self) -> object:
        """Make any request; raises the client's own error if the server does not answer."""


class PrefixAndFull(Backend):
    """Mixin: an indexed field `prefix`, and a field `full` to rescore with if that is longer."""

    full_width = True
    native_stages = True
    rescored: str
    """The field that the rescore reads: `full`, or `prefix` at the full dimension."""

    def set_dimensions(self, vectors: np.ndarray) -> int:
        """Set the attributes that depend on (n, D) `vectors`; return `dimension`."""
        self.full_dimension = vectors.shape[1]
        dimension = self.dimension = self.dimension or self.full_dimension
        self.rescored = "full" if dimension < self.full_dimension else "prefix"
        return dimension

    def fields(self, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """Return the fields to store for (D,) or (n, D) vectors, by name."""
        prefix = {"prefix": vectors[..., : self.dimension]}
        return {**prefix, "full": vectors} if self.rescored == "full" else prefix


class Connection:
    """JSON over HTTP to the server at a URL, which may contain user and password."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        import urllib3

        parsed = urllib3.util.parse_url(url)
        login = urllib3.make_headers(basic_auth=parsed.auth)["authorization"] if parsed.auth else ""
        self.root = parsed._replace(auth=None).url.rstrip("/")
        sent = {"Content-Type": "application/json"}
        sent |= {"Authorization": login} if login else {}
        self.pool = urllib3.PoolManager(1, headers=sent | (headers or {}), retries=False)

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Send `body` (bytes, or anything else as JSON) and return the parsed JSON answer.

        Raises ConnectionError with the server's message, and without the URL's password.
        """
        import urllib3

        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            answer = self.pool.request(method, f"{self.root}/{path}", body=data)
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(f"{method} {path}: {type(error).__name__}") from None
        if answer.status >= 300:
            message = answer.data[:300].decode(errors="replace")
            raise ConnectionError(f"{method} {path}: {answer.status} {message}")
        return json.loads(answer.data) if answer.data else None


class HttpServer(Server):
    """A server with a JSON interface over HTTP."""

    module = "urllib3"
    ready: ClassVar[str] = ""
    """A path that responds once the server is ready."""

    @classmethod
    def version(cls) -> str:
        return ""  # the client is plain HTTP; the row records the server's version

    def reconnect(self) -> None:
        self.connection = Connection(named(self.variable), self.headers())

    def headers(self) -> dict[str, str]:
        """Return additional headers for each request."""
        return {}

    def ping(self) -> object:
        return self.connection("GET", self.ready)

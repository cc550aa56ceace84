"""What the servers named by URL share: where they are, names for what is made on them, JSON over HTTP."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import platform
import re
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import psutil

from bench.backends import SERVER, Backend


def named(variable: str) -> str:
    """Return the URL that an environment variable holds; empty where it holds none.

    Never a study's key: a URL may carry a password, and a study's keys end in tables and reports.
    """
    return os.environ.get(variable, "")


_HOST = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
_count = itertools.count()


def fresh_name() -> str:
    """Return a name for a table or collection that tells which process of which machine made it."""
    return f"matryoshka_bench_{_HOST}_{os.getpid()}_{next(_count)}"


def leftovers(names: Iterable[str]) -> list[str]:
    """Return those of `names` that a process of this machine made that is gone: it was killed, and dropped nothing."""
    made = (
        (name, re.fullmatch(rf"matryoshka_bench_{_HOST}_(\d+)_\d+", name, re.IGNORECASE))
        for name in names
    )
    return [name for name, found in made if found and not psutil.pid_exists(int(found[1]))]


class Server(Backend):
    """A server, asked over what a subclass keeps as `connection`."""

    kind = SERVER
    deterministic = (
        False  # levels of a graph's nodes are drawn anew, and segments are merged as they come
    )
    variable: ClassVar[str]
    """Environment variable with the server's URL."""
    connection: Any

    @classmethod
    def available(cls) -> bool:
        return bool(named(cls.variable)) and super().available()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "connection"}

    def alive(self) -> bool:
        try:
            self.ping()
        except Exception:  # a client raises its transport's own errors
            return False
        return True

    @abstractmethod
    def ping(self) -> object:
        """Ask for anything; raises what the client raises where there is no answer."""


class Connection:
    """A connection to the server at a URL, user and password in it allowed."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        import urllib3

        parsed = urllib3.util.parse_url(url)
        login = urllib3.make_headers(basic_auth=parsed.auth)["authorization"] if parsed.auth else ""
        self.root = parsed._replace(auth=None).url.rstrip("/")
        sent = (
            {"Content-Type": "application/json"}
            | ({"Authorization": login} if login else {})
            | (headers or {})
        )
        self.pool = urllib3.PoolManager(1, headers=sent, retries=False)

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Send `body` (JSON, or bytes as they are) and return the answer's JSON; raises ConnectionError with what the server said."""
        import urllib3

        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            answer = self.pool.request(method, f"{self.root}/{path}", body=data)
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(f"{method} {path}: {type(error).__name__}") from None
        if answer.status >= 300:
            raise ConnectionError(
                f"{method} {path}: {answer.status} {answer.data[:300].decode(errors='replace')}"
            )
        return json.loads(answer.data) if answer.data else None


class HttpServer(Server):
    """A server that is asked by JSON over HTTP."""

    module = "urllib3"
    ready: ClassVar[str] = ""
    """A path that answers when the server does."""

    @classmethod
    def version(cls) -> str:
        return ""  # the server's, and a row tells it

    def reconnect(self) -> None:
        self.connection = Connection(named(self.variable), self.headers())

    def headers(self) -> dict[str, str]:
        """Return what each request carries besides."""
        return {}

    def ping(self) -> object:
        return self.connection("GET", self.ready)

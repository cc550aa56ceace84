"""What the servers named by URL share: where they are, names for what is made on them, JSON over HTTP."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import platform
import re
from collections.abc import Iterable
from typing import Any

import psutil


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
    made = ((name, re.fullmatch(rf"matryoshka_bench_{_HOST}_(\d+)_\d+", name, re.IGNORECASE)) for name in names)
    return [name for name, found in made if found and not psutil.pid_exists(int(found[1]))]


class Connection:
    """A connection to the server at a URL, user and password in it allowed."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        import urllib3

        parsed = urllib3.util.parse_url(url)
        login = urllib3.make_headers(basic_auth=parsed.auth)["authorization"] if parsed.auth else ""
        self.root = parsed._replace(auth=None).url.rstrip("/")
        sent = {"Content-Type": "application/json"} | ({"Authorization": login} if login else {}) | (headers or {})
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
            raise ConnectionError(f"{method} {path}: {answer.status} {answer.data[:300].decode(errors='replace')}")
        return json.loads(answer.data) if answer.data else None

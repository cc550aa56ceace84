"""Servers that are asked by JSON over HTTP: one kept connection a client, one clear error."""

from __future__ import annotations

import json
import os
from typing import Any

import urllib3


def named(variable: str) -> str:
    """Return the URL that an environment variable holds; empty where it holds none.

    Never a study's key: a URL may carry a password, and a study's keys end in tables and reports.
    """
    return os.environ.get(variable, "")


class Connection:
    """A connection to the server at a URL, user and password in it allowed."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        parsed = urllib3.util.parse_url(url)
        login = urllib3.make_headers(basic_auth=parsed.auth)["authorization"] if parsed.auth else ""
        self.root = parsed._replace(auth=None).url.rstrip("/")
        sent = {"Content-Type": "application/json"} | ({"Authorization": login} if login else {}) | (headers or {})
        self.pool = urllib3.PoolManager(1, headers=sent, retries=False)

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Send `body` (JSON, or bytes as they are) and return the answer's JSON; raises ConnectionError with what the server said."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            answer = self.pool.request(method, f"{self.root}/{path}", body=data)
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(f"{method} {path}: {type(error).__name__}") from None
        if answer.status >= 300:
            raise ConnectionError(f"{method} {path}: {answer.status} {answer.data[:300].decode(errors='replace')}")
        return json.loads(answer.data) if answer.data else None

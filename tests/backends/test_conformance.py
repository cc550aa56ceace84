"""Every backend that is installed keeps the rules; each is checked in a process of its own."""

import pytest

from bench.backends import backends
from bench.conformance import conformance

KINDS = [(name, precision) for name, cls in backends().items() if cls.available() for precision in cls.precisions]


@pytest.mark.parametrize(("name", "precision"), KINDS, ids=["-".join(kind) for kind in KINDS])
def test_a_backend_keeps_the_rules(name, precision):
    failed = [f"{check.name}: {check.told}" for check in conformance(name, precision) if not check.ok]
    assert not failed

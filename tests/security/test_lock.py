"""The lock: every file that CI installs for the core, the tests and the linters, by its hash."""

import re
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked():
    """Return each requirement of the lock with its hashes."""
    text = (ROOT / ".lock.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        found[Requirement(requirement)] = hashes
    return found


def pinned():
    lines = (ROOT / ".constraints.txt").read_text(encoding="utf-8").splitlines()
    read = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): str(each.specifier) for each in read}


def group(name):
    for each in PROJECT["dependency-groups"][name]:
        if isinstance(each, dict):
            yield from group(each["include-group"])
        else:
            yield each


def test_every_line_is_one_version_with_hashes_and_no_address():
    for requirement, hashes in locked().items():
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement
    text = (ROOT / ".lock.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--(index|extra|find|trusted)|@", text)


def test_the_lock_and_the_constraints_agree():
    versions = pinned()
    for requirement in locked():
        assert versions[canonicalize_name(requirement.name)] == str(requirement.specifier)


def test_every_requirement_of_core_tests_and_linters_is_in_the_lock():
    known = {canonicalize_name(each.name): each for each in locked()}
    build = PROJECT["build-system"]["requires"]
    for text in [*PROJECT["project"]["dependencies"], *group("test"), *group("lint"), *build]:
        asked = Requirement(text)
        held = known[canonicalize_name(asked.name)]
        (version,) = (each.version for each in held.specifier)
        assert asked.specifier.contains(version, prereleases=True), text


def test_the_lock_holds_on_each_python_that_is_tested():
    for requirement in locked():
        marker = requirement.marker or Marker("sys_platform == 'linux'")
        for python in ("3.11", "3.12", "3.13"):
            place = {
                "python_version": python,
                "python_full_version": f"{python}.1",
                "sys_platform": "linux",
                "platform_machine": "x86_64",
                "platform_python_implementation": "CPython",
                "implementation_name": "cpython",
            }
            assert marker.evaluate(place), f"{requirement} on {python}"


def test_ci_installs_from_the_lock():
    assert "make install LOCK=1" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "make install LOCK=1" in workflow
    assert "run: make install\n" not in workflow
    assert "--require-hashes" in (ROOT / "Makefile").read_text(encoding="utf-8")

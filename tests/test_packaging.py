"""The wheel, installed on its own: it has its data, and needs no checkout."""

import json
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build in a folder of its own, so that the checkout keeps no leftovers."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "bench").symlink_to(ROOT / "bench")
    pip("wheel", "--no-deps", "--wheel-dir", folder / "dist", folder)
    (built,) = (folder / "dist").iterdir()
    return built


def pip(*arguments, python=sys.executable):
    subprocess.run([python, "-m", "pip", "--quiet", *map(str, arguments)], check=True, cwd="/")


@pytest.mark.slow
def test_the_wheel_holds_its_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    shipped = [
        path.relative_to(ROOT).as_posix()
        for pattern in ("**/*.toml", "**/*.html", "reducers/shipped/*/*", "py.typed", "**/*.py")
        for path in (ROOT / "bench").glob(pattern)
    ]
    assert len(shipped) > 50
    assert set(shipped) <= held
    assert not [name for name in held if name.startswith("tests/")]


@pytest.mark.slow
def test_the_wheel_runs_in_a_clean_environment(wheel, tmp_path):
    """Its dependencies are lent by this environment: `make install` has shown that they suffice."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip("install", "--no-deps", wheel, python=python)
    own = next((tmp_path / "venv" / "lib").glob("*/site-packages"))
    (own / "lent.pth").write_text(sysconfig.get_path("purelib"))

    def told(*command):
        return subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=tmp_path
        ).stdout.strip()

    command = tmp_path / "venv" / "bin" / "matryoshka-bench"
    assert told(command, "--version") == bench.__version__
    listed = {row["name"]: row for row in json.loads(told(command, "list", "backends", "--json"))}
    assert listed["faiss-flat"]["runs here"] == "yes"
    where = told(python, "-c", "import bench; print(bench.__file__)")
    assert Path(where).is_relative_to(tmp_path)


def test_every_pin_can_be_served_by_any_package_index():
    """A local label, as in 2.13.0+cpu, exists on no public index; a URL belongs to one."""
    pins = (ROOT / ".constraints.txt").read_text().split("\n")
    for pin in filter(None, pins):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ;.*)?(#.*)?|#.*", pin.strip()), pin


def test_the_core_is_installed_without_a_compiler():
    """annoy has no wheel: it must not stand among the dependencies."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    core = [re.split(r"[<>=\[]", name)[0] for name in table["project"]["dependencies"]]
    assert "annoy" not in core
    assert "torch" not in core
    assert "annoy" in table["project"]["optional-dependencies"]

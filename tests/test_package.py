"""The public face of the package, and which room may import which."""

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import bench

PACKAGE = Path(bench.__file__).parent
BELOW = {
    "cluster": ("gate", "projection", "analysis", "advising", "figures", "deploy", "report", "cli"),
    "measuring": (
        "cluster",
        "gate",
        "projection",
        "analysis",
        "advising",
        "figures",
        "deploy",
        "report",
        "interop",
        "cli",
    ),
    "exact": ("measuring", "results", "analysis", "study"),
    "quality": ("measuring", "results", "projection", "analysis", "study"),
    "results": ("measuring", "projection", "analysis", "figures", "deploy", "report"),
    "projection": ("measuring", "analysis", "advising", "figures", "deploy", "report", "cli"),
    "analysis": ("measuring", "gate", "advising", "figures", "deploy", "report", "cli"),
    "gate": ("advising", "figures", "deploy", "report", "interop", "training", "cli"),
    "figures": ("measuring", "gate", "advising", "deploy", "report", "cli"),
    "deploy": ("advising", "figures", "report", "interop", "training", "cli"),
    "advising": ("cluster", "figures", "report", "interop", "cli"),
    "backends": ("embeddings", "quality", "measuring", "results", "analysis", "deploy"),
    "codes": ("embeddings", "quality", "measuring", "results", "analysis", "deploy", "study"),
    "encoders": ("embeddings", "measuring", "results", "analysis", "deploy"),
    "reducers": ("embeddings", "measuring", "results", "analysis", "deploy"),
    "datasets": ("embeddings", "encoders", "measuring", "results", "analysis"),
}
"""Room → rooms that it never imports."""
HEAVY = (
    "pandas",
    "matplotlib",
    "jinja2",
    "statsmodels",
    "torch",
    "mteb",
    "click",
    "pyarrow.parquet",
)


def test_every_public_name_resolves_and_none_is_also_a_module():
    modules = {m.name for m in pkgutil.iter_modules([str(PACKAGE)])}
    for name in bench.__all__:
        found = getattr(bench, name)
        assert not (name in modules and not inspect.ismodule(found)), name
    assert set(bench.__all__) - {"__version__"} == set(bench._PUBLIC)


def test_public_functions_stay_functions_after_everything_is_imported():
    code = (
        "import bench, importlib, pkgutil\n"
        "for m in pkgutil.walk_packages(bench.__path__, 'bench.'):\n"
        "    if not m.name.endswith('__main__') and '.backends.' not in m.name:\n"
        "        importlib.import_module(m.name)\n"
        "print([n for n in bench.__all__ if n not in ('__version__', 'figures')\n"
        "       and not callable(getattr(bench, n))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'loda'"):
        bench.loda  # noqa: B018


def test_the_worker_carries_only_what_it_needs():
    code = "import sys, json, bench.measuring.worker; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not [name for name in HEAVY if name in loaded]
    assert not [name for name in loaded if name.startswith("bench.") and "analysis" in name]


@pytest.mark.parametrize("room", sorted(BELOW))
def test_no_room_imports_one_above_it(room):
    for path in (PACKAGE / room).rglob("*.py"):
        for name in _imported(path):
            for other in BELOW[room]:
                assert not f"{name}.".startswith(f"bench.{other}."), f"{path.name} imports {name}"


def test_nothing_imports_the_command_line():
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__main__.py" and PACKAGE / "cli" not in path.parents:
            assert not [n for n in _imported(path) if f"{n}.".startswith("bench.cli.")], path


def _imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_every_public_function_has_a_docstring():
    for info in pkgutil.walk_packages(bench.__path__, "bench."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        assert module.__doc__, info.name
        for name, member in vars(module).items():
            own = getattr(member, "__module__", None) == info.name and not name.startswith("_")
            if own and (inspect.isfunction(member) or inspect.isclass(member)):
                assert inspect.getdoc(member), f"{info.name}.{name}"


SCRIPTS = [
    f"tests.{path.parent.name}.{path.stem}"
    for folder in ("experiments", "benchmarks")
    for path in sorted((Path(__file__).parent / folder).glob("*.py"))
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_names_what_the_package_has(script):
    try:
        importlib.import_module(script)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("bench", "tests"):
            raise
        pytest.skip(f"{error.name} is not installed")

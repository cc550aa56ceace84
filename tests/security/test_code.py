"""What the package's own code never does, read from its syntax: no pickle, no shell, no eval."""

import ast
from pathlib import Path

import pytest

import bench

PACKAGE = Path(bench.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {
    "pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "copyreg",
    "code", "codeop", "runpy", "pty", "yaml", "telnetlib", "ftplib", "xmlrpc", "wsgiref", "imp",
}  # fmt: skip
"""Modules that load code from data, run a shell or open a server."""
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.execvp",
    "os.spawnl", "os.spawnv", "tempfile.mktemp", "os.tempnam", "subprocess.getoutput",
    "subprocess.getstatusoutput", "torch.load", "pd.read_pickle", "pandas.read_pickle", "pd.eval",
    "numpy.loads", "asyncio.create_subprocess_shell", "ssl._create_unverified_context",
}  # fmt: skip
LOADERS = {"np.load", "numpy.load", "np.lib.npyio.NpzFile"}
KEYWORDS = {
    "shell": True, "trust_remote_code": True, "allow_pickle": True, "verify": False,
    "weights_only": False, "unsafe_load": True, "recover": True,
}  # fmt: skip
"""Arguments with the value that is never given."""
XML_READERS = {"parse", "fromstring", "iterparse", "XML", "XMLParser", "XMLPullParser"}


def dotted(node):
    """Return ``a.b.c`` of a name or an attribute; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def imported(node):
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {(node.module or "").split(".")[0]}
    return set()


def refused(source):
    """Return what the code of a module does that none may, one text each."""
    found = []
    for node in ast.walk(ast.parse(source)):
        found += [f"imports {name}" for name in imported(node) & MODULES]
        if not isinstance(node, ast.Call):
            continue
        name, given = dotted(node.func), {k.arg: k.value for k in node.keywords}
        if name in CALLS:
            found.append(f"calls {name}")
        if isinstance(node.func, ast.Attribute):
            if node.func.attr in ("to_pickle", "read_pickle"):
                found.append(f"calls {name}")
            if name.startswith(("Xml.", "ElementTree.")) and node.func.attr in XML_READERS:
                found.append(f"reads XML with {name}")
        if name in LOADERS:
            given.setdefault("allow_pickle", ast.Constant(True))
        for key, value in given.items():
            if key in KEYWORDS and getattr(value, "value", None) is KEYWORDS[key]:
                found.append(f"{name or 'a call'} with {key}={KEYWORDS[key]}")
        if name.startswith("subprocess.") and name.split(".")[1] in (
            "run",
            "Popen",
            "check_output",
            "call",
        ):
            found += started(node)
    return found


def started(call):
    """Return what is wrong with how a process is started: never a text, nor a program by chance."""
    command = call.args[0]
    if isinstance(command, ast.Constant | ast.JoinedStr | ast.BinOp):
        return ["starts a process from a text"]
    if isinstance(command, ast.List):
        first = command.elts[0]
        known = dotted(first) == "sys.executable" or getattr(first, "value", "") == "git"
        if not known and "python" not in ast.unparse(first):
            return [f"starts {ast.unparse(first)}"]
    return []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_loads_code_from_data_or_runs_a_shell(path):
    assert refused(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import yaml",
        "eval('1')",
        "exec(text)",
        "os.system('ls')",
        "frame.to_pickle(path)",
        "frame.eval_pickle; pd.read_pickle(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls')",
        "subprocess.run(f'ls {x}')",
        "subprocess.run(['curl', x])",
        "model(name, trust_remote_code=True)",
        "Xml.fromstring(text)",
        "tempfile.mktemp()",
        "requests.get(url, verify=False)",
    ],
)
def test_the_reader_of_the_code_sees_each_of_these(source):
    assert refused(source)


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, mmap_mode='r', allow_pickle=False)",
        "subprocess.run([sys.executable, '-m', 'bench'])",
        "subprocess.run(['git', *arguments])",
        "model(name, trust_remote_code=trusted(name))",
        "json.loads(text)",
        "Xml.tostring(root)",
        "model.eval()",
    ],
)
def test_the_reader_of_the_code_lets_these_pass(source):
    assert not refused(source)


def test_generated_programs_load_no_pickle_either():
    texts = [t for t in (p.read_text(encoding="utf-8") for p in FILES) if "np.load(" in t]
    assert texts
    for text in texts:
        for call in text.split("np.load(")[1:]:
            assert "allow_pickle=False" in call[:120]


def test_autoescape_is_off_only_where_python_text_is_written():
    off = [p for p in FILES if "autoescape=False" in p.read_text(encoding="utf-8")]
    assert [str(p.relative_to(PACKAGE)) for p in off] == ["source.py"]
    pages = [p for p in FILES if "jinja2.Environment(" in p.read_text(encoding="utf-8")]
    assert [str(p.relative_to(PACKAGE)) for p in pages] == ["report/page/render.py", "source.py"]
    templates = [*PACKAGE.rglob("*.html")]
    assert templates
    for template in templates:
        text = template.read_text(encoding="utf-8")
        assert "| safe" not in text, template
        assert "|safe" not in text, template
        assert "autoescape" not in text, template


def test_the_scripts_of_the_page_make_no_html_from_text():
    scripts = [*PACKAGE.rglob("*.js")]
    assert scripts
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert word not in text, f"{script.name}: {word}"

"""The workflow and the action that gates others: sound as files, and run step by step in a shell."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.cli import commands
from bench.cli.completing import PROGRAM
from tests.workflow import evaluate, interpolate, load, run_job

ROOT = Path(__file__).parents[1]
WORKFLOW = Path(".github/workflows/ci.yml")
ACTION = Path(".github/actions/gate/action.yml")
PAGE = ROOT / ACTION.parent / "README.md"
HOOKS = ROOT / ".pre-commit-hooks.yaml"


def steps():
    """Return (where, step) of every step that this repository has."""
    jobs = load(ROOT / WORKFLOW)["jobs"]
    found = [(name, step) for name, job in jobs.items() for step in job["steps"]]
    return found + [("action", step) for step in load(ROOT / ACTION)["runs"]["steps"]]


SCRIPTS = [
    pytest.param(step["run"], id=f"{where}: {step.get('name') or step['run']}")
    for where, step in steps()
    if "run" in step
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_hides_a_failure_or_holds_an_expression(script):
    assert not re.search(r"\|\|\s*(true|:)(\s|$)", script)
    assert "${{" not in script, "a value from outside would be run as code: pass it in env"
    subprocess.run(["bash", "-n", "-c", script], check=True)


def test_no_step_is_allowed_to_fail():
    assert not [step for _, step in steps() if "continue-on-error" in step]
    assert not [job for job in load(ROOT / WORKFLOW)["jobs"].values() if "continue-on-error" in job]


def test_scripts_of_the_action_stop_at_the_first_error():
    scripts = [step["run"] for where, step in steps() if where == "action" and "run" in step]
    assert len(scripts) == 4
    assert all(script.startswith("set -euo pipefail\n") for script in scripts)


def test_every_input_of_the_action_is_used_and_every_one_used_is_declared():
    action = load(ROOT / ACTION)
    used = set(re.findall(r"\binputs\.([\w-]+)", json.dumps(action["runs"])))
    assert used == set(action["inputs"])
    assert all(about["description"] for about in action["inputs"].values())


def test_every_output_of_the_action_is_set_by_its_step():
    action = load(ROOT / ACTION)
    written = {step["id"]: step["run"] for step in action["runs"]["steps"] if "id" in step}
    for step, output in re.findall(r"steps\.(\w+)\.outputs\.(\w+)", json.dumps(action)):
        assert re.search(rf'echo "{output}=', written[step]), output


def test_jobs_have_no_more_rights_than_they_use():
    workflow = load(ROOT / WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    rights = {
        name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job
    }
    assert rights == {"regression": {"contents": "read", "pull-requests": "write"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.study", "mine.toml"),
        ("inputs.nothing || 'regress'", "regress"),
        ("github.event.pull_request.base.sha || github.event.before", "abc"),
        ("inputs.comment == 'true' && inputs.study != ''", True),
        ("!(inputs.comment == 'TRUE')", False),
        ("steps.gate.outputs.json", None),
        ("always() && failure()", False),
        ("'it''s'", "it's"),
    ],
)
def test_expressions_are_computed_as_the_runner_does(text, value):
    contexts = {
        "inputs": {"study": "mine.toml", "comment": "true"},
        "github": {"event": {"before": "abc"}},
        "steps": {},
    }
    assert evaluate(text, contexts) == value


def test_expressions_in_a_text_are_written_out():
    assert (
        interpolate("a ${{ inputs.x }} ${{ true }}${{ null }}", {"inputs": {"x": 3}}) == "a 3 true"
    )


@pytest.mark.parametrize("text", ["hashFiles('x')", "secrets.TOKEN", "inputs.a[0]", "1 < 2"])
def test_what_the_runner_of_tests_does_not_know_is_an_error(text):
    with pytest.raises(NotImplementedError):
        evaluate(text, {"inputs": {}})


# What follows runs the action's own steps with a stand-in for the interpreter, which writes down
# what it is asked and answers as `compare` does.

STAND_IN = """#!{python}
import json, os, sys
if sys.argv[1] == "-c":
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
with open({asked!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
status, verdict = {answer!r}
if "compare" in sys.argv and verdict:
    files = dict(a.split("=", 1) for a in sys.argv if a.startswith("--") and "=" in a)
    open(files["--markdown"], "w").write("<!-- a mark -->\\n\\n## " + verdict.upper() + ": 3 of 50 %\\n")
    open(files["--junit"], "w").write("<testsuites/>")
    print(json.dumps({{"verdict": verdict}}))
sys.exit(status if "compare" in sys.argv else 0)
"""
GH = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
body = next((open(a[6:]).read() for a in arguments if a.startswith("body=@")), None)
with open({asked!r}, "a") as file:
    file.write(json.dumps([arguments, body, os.environ.get("MARKER")]) + "\\n")
if {denied!r} and body:
    sys.exit("HTTP 403: Resource not accessible by integration")
if not body:
    print(*{found!r}, sep="\\n")
"""
GATE = """
on: push
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: matryoshka-bench/matryoshka-bench/.github/actions/gate@main
        id: gate
        with: {given}
      - if: always()
        env: {{VERDICT: '${{{{ steps.gate.outputs.verdict }}}}'}}
        run: echo "the verdict is $VERDICT"
"""


class Elsewhere:
    """Another repository, whose workflow uses the action."""

    def __init__(self, root: Path):
        self.root = root
        self.bin = root.parent / "bin"
        self.bin.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments):
        names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *names, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def program(self, name, text):
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def answers(self, status=0, verdict="same"):
        text = STAND_IN.format(
            python=sys.executable, asked=str(self.bin / "asked"), answer=(status, verdict)
        )
        self.python = self.program("python-stand-in", text)

    def with_gh(self, denied=False, found=()):
        text = GH.format(
            python=sys.executable, asked=str(self.bin / "said"), denied=denied, found=found
        )
        self.program("gh", text)

    def run(self, event_name="push", event=None, **given):
        given = {"study": "gate.toml", "python": self.python, **given}
        (self.root / "gate.yml").write_text(GATE.format(given=json.dumps(given)))
        return self.run_file(event_name, event or {})

    def run_file(self, event_name, event):
        workflow = self.root / "gate.yml"
        path = f"{self.bin}:/usr/bin:/bin"
        return run_job(self.root, workflow, "gate", event_name, event, {"PATH": path}, actions=ROOT)

    def lines(self, name):
        path = self.bin / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def compared(self):
        (asked,) = [line for line in self.lines("asked") if "compare" in line]
        return asked


@pytest.fixture
def elsewhere(tmp_path):
    (tmp_path / "repository").mkdir()
    repository = Elsewhere(tmp_path / "repository")
    for name in ("one", "two"):
        (repository.root / "file").write_text(name)
        repository.git("add", "file")
        repository.git("commit", "--quiet", "--message", name)
    repository.answers()
    return repository


def test_inputs_become_arguments_line_by_line(elsewhere):
    limits = "latency_ms_p95=15%\n\n ndcg_at_10=0\n"
    found = elsewhere.run(
        limits=limits, where="dim == 128", pairs="7", budget="9m", strict=True, against="a==1\nb"
    )
    assert found.ok, found.log
    asked = elsewhere.compared
    assert asked[:4] == ["-P", "-m", "bench", "compare"]
    for argument in (
        *("--run", "--study=gate.toml", "--limit=latency_ms_p95=15%", "--limit= ndcg_at_10=0"),
        *("--where=dim == 128", "--pairs=7", "--budget=9m", "--strict", "--against=a==1"),
        "--against=b",
    ):
        assert argument in asked
    assert not [each for each in asked if each.startswith(("--with", "--requirements"))]


def test_an_input_is_never_run_as_code(elsewhere):
    evil = "x'; touch owned; echo \"$(touch owned)`touch owned`"
    found = elsewhere.run(
        event_name="pull_request",
        event={"pull_request": {"base": {"sha": evil}, "number": evil}},
        **dict.fromkeys(
            ("study", "limits", "where", "with", "against", "pairs", "requirements"), evil
        ),
    )
    assert found.ok, found.log
    assert f"--study={evil}" in elsewhere.compared
    assert f"--with={evil}" in elsewhere.compared
    assert not list(elsewhere.root.rglob("owned"))


@pytest.mark.parametrize(
    ("status", "verdict", "says"),
    [
        (0, "same", "## SAME"),
        (0, "cannot tell", "::warning title=matryoshka-bench::CANNOT TELL: 3 of 50 %25\n"),
        (1, "regressed", "::error title=matryoshka-bench::REGRESSED: 3 of 50 %25\n"),
        (3, "cannot tell", "::error title=matryoshka-bench::CANNOT TELL: 3 of 50 %25\n"),
        (2, "", "::error title=matryoshka-bench::gate.toml could not be measured\n"),
    ],
)
def test_the_step_ends_as_the_comparison_does(elsewhere, status, verdict, says):
    elsewhere.answers(status, verdict)
    found = elsewhere.run()
    assert found.of("measure").status == status
    assert found.ok == (status == 0)
    assert says in found.log
    assert found.of("echo").log == f"the verdict is {verdict or 'error'}\n"


def test_the_base_is_that_of_the_pull_request_or_what_a_push_replaced(elsewhere):
    first = elsewhere.git("rev-parse", "HEAD~1")
    elsewhere.run("push", {"before": first})
    assert elsewhere.compared[-2:] == ["--", first]


def test_a_base_that_is_given_comes_first(elsewhere):
    elsewhere.run("push", {"before": elsewhere.git("rev-parse", "HEAD~1")}, base="v1")
    assert elsewhere.compared[-2:] == ["--", "v1"]


@pytest.mark.parametrize("before", ["0" * 40, "1" * 40])
def test_a_push_that_replaced_nothing_leaves_the_base_to_the_command(elsewhere, before):
    found = elsewhere.run("push", {"before": before})
    assert found.ok, found.log
    assert "--" not in elsewhere.compared


def test_a_base_that_a_shallow_checkout_lacks_is_fetched(elsewhere, tmp_path):
    first = elsewhere.git("rev-parse", "HEAD~1")
    shallow = tmp_path / "shallow"
    elsewhere.git("clone", "--quiet", "--depth", "1", f"file://{elsewhere.root}", str(shallow))
    elsewhere.root = shallow
    elsewhere.run("pull_request", {"pull_request": {"base": {"sha": first}}})
    assert elsewhere.compared[-2:] == ["--", first]
    assert elsewhere.git("cat-file", "-t", first) == "commit"


def test_a_stored_baseline_is_compared_with_one_measurement(elsewhere):
    found = elsewhere.run(baseline="results/baseline", limits="ndcg_at_10=0", pairs="5")
    assert found.ok, found.log
    measured, compared = elsewhere.lines("asked")
    assert measured[2:5] == ["bench", "run", "gate.toml"]
    assert compared[-2:] == ["results/baseline", measured[-1]]
    assert "--limit=ndcg_at_10=0" in compared
    assert not {"--run", "--pairs=5"} & {*compared}


def test_packages_that_are_asked_for_are_installed(elsewhere):
    elsewhere.run(install="--requirement=needed.txt\nfaiss-cpu >= 1.9\n")
    assert elsewhere.lines("asked")[0][-2:] == ["--requirement=needed.txt", "faiss-cpu >= 1.9"]


def test_without_an_interpreter_the_checkout_of_the_action_is_installed(elsewhere):
    elsewhere.program(
        "python3", f"#!/bin/sh\nmkdir -p $3/bin; cp {elsewhere.python} $3/bin/python\n"
    )
    assert elsewhere.run(python="").ok
    pip = elsewhere.lines("asked")[0]
    assert pip[:3] == ["-m", "pip", "install"]
    assert Path(pip[-1]).resolve() == ROOT


@pytest.mark.parametrize("status", [0, 1])
def test_what_was_measured_goes_into_the_history(elsewhere, status):
    elsewhere.answers(status, "regressed" if status else "same")
    elsewhere.run(history="history.parquet", out="results/gate")
    asked = elsewhere.lines("asked")[-1]
    assert asked[2:] == [
        "bench",
        "history",
        "add",
        "results/gate/head/0",
        "--history=history.parquet",
    ]


PULL_REQUEST = {"pull_request": {"number": 17, "base": {"sha": ""}}}


def test_a_pull_request_gets_a_comment_that_begins_with_a_mark(elsewhere):
    elsewhere.with_gh()
    elsewhere.answers(1, "regressed")
    elsewhere.run("pull_request", PULL_REQUEST, comment=True)
    (_, (arguments, body, marker)) = elsewhere.lines("said")
    assert arguments[:4] == ["api", "--silent", "--method", "POST"]
    assert arguments[4] == "repos/someone/something/issues/17/comments"
    assert body.startswith("<!-- matryoshka-bench gate -->")
    assert body.splitlines()[3].startswith("## REGRESSED")
    assert body.startswith(marker)


def test_a_later_run_edits_the_comment(elsewhere):
    elsewhere.with_gh(found=(21, 22))
    elsewhere.run("pull_request", PULL_REQUEST, comment=True)
    (_, (arguments, _, _)) = elsewhere.lines("said")
    assert arguments[3:5] == ["PATCH", "repos/someone/something/issues/comments/22"]


@pytest.mark.parametrize("status", [0, 1])
def test_a_token_that_may_not_write_changes_no_verdict(elsewhere, status):
    elsewhere.with_gh(denied=True)
    elsewhere.answers(status, "regressed" if status else "same")
    found = elsewhere.run("pull_request", PULL_REQUEST, comment=True)
    assert found.ok == (status == 0)
    assert "No comment was written" in found.log


def test_a_push_and_a_run_without_a_verdict_have_no_comment(elsewhere):
    elsewhere.with_gh()
    elsewhere.run(comment=True)
    elsewhere.answers(2, "")
    elsewhere.run("pull_request", PULL_REQUEST, comment=True)
    assert not elsewhere.lines("said")


def page_blocks():
    return re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_ten_lines_of_the_page_run(elsewhere):
    elsewhere.program(
        "python3", f"#!/bin/sh\nmkdir -p $3/bin; cp {elsewhere.python} $3/bin/python\n"
    )
    text, _ = page_blocks()
    assert len(text.splitlines()) == 10
    (elsewhere.root / "gate.yml").write_text(text)
    found = elsewhere.run_file("pull_request", PULL_REQUEST)
    assert found.ok, found.log
    assert {"--limit=latency_ms_p95=15%", "--where=dim == 128", "--study=gate.toml"} <= {
        *elsewhere.compared
    }


def test_the_hook_of_the_page_is_offered_and_runs_a_command_that_there_is():
    _, text = page_blocks()
    (repository,) = yaml.safe_load(text)["repos"]
    (wanted,) = repository["hooks"]
    (offered,) = yaml.safe_load(HOOKS.read_text())
    assert wanted["id"] == offered["id"]
    assert offered["stages"] == ["pre-push"]
    program, *command = offered["entry"].split()
    assert program == PROGRAM
    verb = commands.commands[command[0]]
    assert verb.make_context(command[0], [*command[1:], *wanted["args"]]).params["quick"]


# And with nothing stood in for: the regression job of this repository, on a copy of it.

PLANTED_STUDY = """
name = "planted"
dataset = "synthetic:n=2000,d=32,q=200"
dimensions = [32]
[[configurations]]
backend = "faiss-hnsw"
build = { M = 8, ef_construction = 40 }
search = { ef = [16, 64] }
"""
SLOW = """

def _slow(self, queries, k, search=FaissHnsw.search):
    import time

    began = time.perf_counter()
    found = search(self, queries, k)
    until = 2 * time.perf_counter() - began
    while time.perf_counter() < until:
        pass
    return found


FaissHnsw.search = _slow
"""
LOSSY = """

def _lossy(self, queries, k, search=FaissHnsw.search):
    found = search(self, queries, k)
    found[:, 0] = -1
    return np.concatenate([found[:, 1:], found[:, :1]], axis=1)


FaissHnsw.search = _lossy
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A repository that holds this working tree, with a small study and this interpreter."""
    root = tmp_path_factory.mktemp("copied") / "repository"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(("tests/", "results/")) and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    (root / "planted.toml").write_text(PLANTED_STUDY)
    repository = Elsewhere(root)
    repository.program("python-here", f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} "$@"\n')
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "results" / "figures").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(repository.bin / "python-here")
    (root / ".venv" / ".core").touch()
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "as it is")
    return repository


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planted", "pairs", "worse"),
    [
        pytest.param("", 2, "", id="unchanged"),
        pytest.param(SLOW, 4, "p50", id="slow"),
        pytest.param(LOSSY, 2, "fidelity", id="lossy"),
    ],
)
def test_the_job_finds_what_a_branch_made_worse(copied, planted, pairs, worse):
    copied.git("checkout", "--quiet", "--force", "-B", "throw-away", "main")
    backend = copied.root / "bench" / "backends" / "faiss_hnsw.py"
    backend.write_text(backend.read_text() + planted + "\n# changed\n")
    copied.git("commit", "--quiet", "--all", "--message", "a change")
    # Chance may hide what is worse or raise a false alarm: then a second run adds more pairs.
    for wanted in (pairs, 3 * pairs):
        inputs = {"study": "planted.toml", "base": "main", "pairs": str(wanted)}
        found = run_job(
            copied.root, WORKFLOW, "regression", "workflow_dispatch", {"inputs": inputs}
        )
        print(found.log)
        if found.ok == (not planted):
            break
    gate = found.of("measure")
    assert found.ok == (not planted)
    assert gate.status == (1 if planted else 0)
    assert found.of("actions/upload-artifact").outcome == "success"
    assert (copied.root / "results" / "regress" / "gate.xml").is_file()
    if planted:
        _, headline, table = re.split(r"\n\n", found.summary, maxsplit=2)
        assert headline.startswith("## REGRESSED")
        first = table.splitlines()[2]
        assert "faiss-hnsw" in first
        assert worse in table

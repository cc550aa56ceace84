"""Runs a workflow's job step by step in a shell, as GitHub's runner does; a helper of tests.

Every ``run`` runs, with the files and variables that the runner gives. A composite action in the
repository runs too. Actions from elsewhere are stood in for and recorded. What this does not know
raises NotImplementedError, so that no step passes by being skipped.

As a program: ``python -m tests.workflow .github/workflows/ci.yml regression --event push``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
SHELLS = {
    "": ["bash", "-e"],
    "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
}
"""Shell of a step → its command. Source: GitHub, Workflow syntax, jobs.<job_id>.steps[*].shell."""
STAND_INS = ("actions/checkout", "actions/setup-python", "actions/upload-artifact")
OWN = "matryoshka-bench/matryoshka-bench/"
"""What another repository writes before the path of an action of this one."""
_STEP_KEYS = {
    *("name", "id", "if", "uses", "with", "run", "shell", "env", "working-directory"),
    "timeout-minutes",
}
_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(\d+(?:\.\d+)?)|([\w.*-]+)|(==|!=|&&|\|\||[!()]))")


def load(path: Path) -> dict[str, Any]:
    """Return a workflow or an action. Its key ``on`` is YAML's true, and is written back."""
    table: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if True in table:
        table["on"] = table.pop(True)
    return table


@dataclass
class Step:
    """A step that ran, or was stood in for."""

    name: str
    outcome: str
    """``success``, ``failure`` or ``skipped``."""
    status: int = 0
    """Exit status of its shell."""
    log: str = ""
    uses: str = ""
    given: dict[str, str] = field(default_factory=dict)
    """Its inputs, computed."""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """What became of a job."""

    steps: list[Step]
    """All of them in order; those of a composite action follow it."""
    summary: str
    """What its steps wrote for the page of the run."""

    @property
    def ok(self) -> bool:
        """Whether the job is green."""
        return all(step.outcome != "failure" for step in self.steps)

    @property
    def log(self) -> str:
        """What all steps printed."""
        return "".join(step.log for step in self.steps)

    def of(self, name: str) -> Step:
        """Return the step whose name, command or action begins with `name`."""
        return next(step for step in self.steps if step.name.startswith(name))


@dataclass
class _Scope:
    """What the expressions of a job, or of a composite action, can name."""

    contexts: dict[str, Any]
    env: dict[str, str]
    failed: bool = False

    def value(self, text: str) -> Any:
        return evaluate(text, self.contexts, self.failed)

    def text(self, template: Any) -> str:
        return interpolate(template, self.contexts, self.failed)


def evaluate(text: str, contexts: Mapping[str, Any], failed: bool = False) -> Any:
    """Return the value of an expression, without its ``${{ }}``.

    A name that is not there is empty. Source: GitHub, Evaluate expressions in workflows and actions.
    """
    tokens = _tokens(text)
    value, rest = _either(tokens, contexts, failed)
    if rest:
        raise NotImplementedError(f"{rest[0]!r} in the expression {text!r}")
    return value


def interpolate(template: Any, contexts: Mapping[str, Any], failed: bool = False) -> str:
    """Return a text with each ``${{ … }}`` in it computed."""
    return EXPRESSION.sub(
        lambda found: _written(evaluate(found[1], contexts, failed)), _written(template)
    )


def run_job(
    root: Path,
    workflow: Path,
    job: str,
    event_name: str,
    event: Mapping[str, Any],
    env: Mapping[str, str] | None = None,
    matrix: Mapping[str, str] | None = None,
    actions: Path | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run the steps of one job with `root` as the checkout, and return what became of them.

    `event` is the payload, of which the key ``inputs`` are those of a dispatch. `env` is added to
    the environment of all steps. `actions` is the checkout of this repository that an action of
    another one is read from. `told` gets each line that a step prints.
    """
    table = load(root / workflow)
    sha = _git(root, "rev-parse", "HEAD")
    with tempfile.TemporaryDirectory() as temporary:
        temp = Path(temporary)
        (temp / "event.json").write_text(json.dumps(event), encoding="utf-8")
        github = {
            "event_name": event_name,
            "event": event,
            "sha": sha,
            "ref": "refs/heads/" + (_git(root, "branch", "--show-current") or "HEAD"),
            "repository": "someone/something",
            "workspace": str(root),
            "token": "not-a-token",
            "server_url": "https://github.com",
            "run_id": "1",
        }
        variables = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(temp / "event.json"),
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(temp / "temp"),
            **{
                f"GITHUB_{name.upper()}": str(value)
                for name, value in github.items()
                if name not in ("event", "token")
            },
        }
        (temp / "temp").mkdir()
        contexts = {
            "github": github,
            "inputs": event.get("inputs", {}),
            "matrix": matrix or {},
            "runner": {"os": "Linux", "temp": str(temp / "temp")},
        }
        own = table["jobs"][job]
        scope = _Scope(contexts, {**os.environ, **variables, **(env or {})})
        for each in (table, own):
            scope.env |= {name: scope.text(text) for name, text in each.get("env", {}).items()}
        machine = _Runner(root, temp, actions or root, told)
        machine.run(own["steps"], scope)
        return Outcome(machine.steps, machine.summary)


class _Runner:
    """Runs lists of steps and keeps what they did."""

    def __init__(self, root: Path, temp: Path, actions: Path, told: Callable[[str], None]) -> None:
        self.root = root
        self.temp = temp
        self.actions = actions
        self.told = told
        self.steps: list[Step] = []
        self.summary = ""
        self._files = 0
        self._exported: dict[str, str] = {}

    def run(self, steps: list[dict[str, Any]], scope: _Scope) -> None:
        """Run steps in order; after one has failed, those only whose condition says so."""
        scope.contexts["steps"] = {}
        for step in steps:
            if unknown := step.keys() - _STEP_KEYS:
                raise NotImplementedError(f"a step's {', '.join(sorted(unknown))}")
            name = step.get("name") or step.get("uses") or step["run"].splitlines()[0]
            done = Step(scope.text(name), "skipped", uses=step.get("uses", ""))
            self.steps.append(done)
            if not _wanted(step.get("if", "success()"), scope):
                continue
            done.outcome = "success"
            done.given = {k: scope.text(v) for k, v in step.get("with", {}).items()}
            own = scope.env | self._exported
            own |= {k: scope.text(v) for k, v in step.get("env", {}).items()}
            self.told(f"> {done.name}\n")
            if "uses" in step:
                self._use(step["uses"], done, scope, own)
            else:
                self._shell(step, done, scope, own)
            scope.failed |= done.outcome == "failure"
            if "id" in step:
                found = {"outputs": done.outputs, "outcome": done.outcome}
                scope.contexts["steps"][step["id"]] = found

    def _use(self, uses: str, done: Step, scope: _Scope, env: dict[str, str]) -> None:
        if uses.split("@")[0] in STAND_INS:
            return
        if uses.startswith("./"):
            folder = self.root / uses
        elif uses.startswith(OWN):
            folder = self.actions / uses.removeprefix(OWN).split("@")[0]
        else:
            raise NotImplementedError(f"the action {uses}")
        action = load(folder / "action.yml")
        declared = action.get("inputs", {})
        if unknown := done.given.keys() - declared.keys():
            raise NotImplementedError(f"{uses} has no input {', '.join(sorted(unknown))}")
        inputs = {
            name: done.given.get(name, scope.text(about.get("default", "")))
            for name, about in declared.items()
        }
        github = {**scope.contexts["github"], "action_path": str(folder)}
        inner = _Scope(
            {**scope.contexts, "github": github, "inputs": inputs},
            {**env, "GITHUB_ACTION_PATH": str(folder)},
            scope.failed,
        )
        self.run(action["runs"]["steps"], inner)
        done.outputs = {
            name: inner.text(about["value"]) for name, about in action.get("outputs", {}).items()
        }
        if inner.failed and not scope.failed:
            done.outcome = "failure"

    def _shell(self, step: dict[str, Any], done: Step, scope: _Scope, env: dict[str, str]) -> None:
        self._files += 1
        folder = self.temp / str(self._files)
        folder.mkdir()
        for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY"):
            (folder / name).touch()
            env[f"GITHUB_{name}"] = str(folder / name)
        script = folder / "script.sh"
        script.write_text(scope.text(step["run"]), encoding="utf-8")
        process = subprocess.Popen(
            [*SHELLS[step.get("shell", "")], str(script)],
            cwd=self.root / scope.text(step.get("working-directory", ".")),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                done.log += line
                self.told(line)
        done.status = process.returncode
        done.outcome = "failure" if done.status else "success"
        done.outputs = dict(_pairs(folder / "OUTPUT"))
        self._exported |= dict(_pairs(folder / "ENV"))
        for line in (folder / "PATH").read_text(encoding="utf-8").splitlines():
            self._exported["PATH"] = f"{line}{os.pathsep}{env['PATH']}"
        self.summary += (folder / "STEP_SUMMARY").read_text(encoding="utf-8")


def _wanted(condition: Any, scope: _Scope) -> bool:
    """Return whether a step runs: one that asks for no status runs only after successes."""
    text = _written(condition)
    if whole := re.fullmatch(r"\s*\$\{\{(.*)\}\}\s*", text, re.DOTALL):
        text = whole[1]
    if not re.search(r"\b(always|success|failure|cancelled)\(\)", text):
        text = f"success() && ({text})"
    return _true(scope.value(text))


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what a step wrote as ``name=value`` or as ``name<<END``, lines, ``END``."""
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if several := re.fullmatch(r"([\w-]+)<<(.+)", line):
            yield several[1], "\n".join(iter(lines.__next__, several[2]))
        else:
            name, equals, value = line.partition("=")
            if not equals:
                raise ValueError(f"the runner cannot read the line {line!r}")
            yield name, value


_Parsed = tuple[Any, list[str]]


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    while position < len(text.rstrip()):
        token = _TOKEN.match(text, position)
        if token is None:
            raise NotImplementedError(f"{text[position:]!r} in an expression")
        found.append(token[0].strip())
        position = token.end()
    return found


def _either(tokens: list[str], contexts: Mapping[str, Any], failed: bool) -> _Parsed:
    value, rest = _both(tokens, contexts, failed)
    while rest[:1] == ["||"]:
        other, rest = _both(rest[1:], contexts, failed)
        value = value if _true(value) else other
    return value, rest


def _both(tokens: list[str], contexts: Mapping[str, Any], failed: bool) -> _Parsed:
    value, rest = _equal(tokens, contexts, failed)
    while rest[:1] == ["&&"]:
        other, rest = _equal(rest[1:], contexts, failed)
        value = other if _true(value) else value
    return value, rest


def _equal(tokens: list[str], contexts: Mapping[str, Any], failed: bool) -> _Parsed:
    value, rest = _single(tokens, contexts, failed)
    if rest and rest[0] in ("==", "!="):
        other, left = _single(rest[1:], contexts, failed)
        same = _written(value).lower() == _written(other).lower()
        return same == (rest[0] == "=="), left
    return value, rest


def _single(tokens: list[str], contexts: Mapping[str, Any], failed: bool) -> _Parsed:
    token, rest = tokens[0], tokens[1:]
    if token == "!":
        value, rest = _single(rest, contexts, failed)
        return not _true(value), rest
    if token == "(":
        value, rest = _either(rest, contexts, failed)
        if rest[:1] != [")"]:
            raise NotImplementedError("a parenthesis that does not close")
        return value, rest[1:]
    if rest[:2] == ["(", ")"]:
        called = {"always": True, "success": not failed, "failure": failed, "cancelled": False}
        if token not in called:
            raise NotImplementedError(f"the function {token}")
        return called[token], rest[2:]
    if token.startswith("'"):
        return token[1:-1].replace("''", "'"), rest
    if token in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[token], rest
    if re.fullmatch(r"\d+(\.\d+)?", token):
        return float(token), rest
    first, *names = token.split(".")
    if first not in contexts:
        raise NotImplementedError(f"the context {first}")
    value = contexts[first]
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value, rest


def _true(value: Any) -> bool:
    return value not in (None, False, "", 0)


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def main() -> None:
    """Run one job in the working folder and print what its steps print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("workflow", type=Path)
    parser.add_argument("job")
    parser.add_argument("--event", default="push")
    parser.add_argument("--payload", type=json.loads, default={}, help="the event, as JSON")
    asked = parser.parse_args()

    def told(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    found = run_job(Path.cwd(), asked.workflow, asked.job, asked.event, asked.payload, told=told)
    print("-- summary --", found.summary, sep="\n")
    for step in found.steps:
        print(f"{step.outcome:8} {step.status} {step.name} {step.given or ''}")
    sys.exit(0 if found.ok else 1)


if __name__ == "__main__":
    main()

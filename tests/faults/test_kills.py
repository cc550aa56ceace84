"""A few of each kind of fault; ``python -m tests.faults`` draws many."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def counted(*arguments):
    """Run faults in a process that has no threads yet, since it forks; return their number."""
    command = [sys.executable, "-m", "tests.faults", "--minutes", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [int(line.split()[1]) for line in done.stdout.splitlines()[1:] if line[0] != "{"]


@pytest.mark.parametrize("name", ["runner", "worker"])
def test_a_kill_loses_nothing_and_leaves_nothing(name):
    assert counted("--operations", "2", name) == [2]


@pytest.mark.needs_postgres
@pytest.mark.parametrize("name", ["runner-with-server", "postgres"])
def test_a_kill_of_a_server_or_its_runner_loses_and_leaves_nothing(name):
    assert counted("--operations", "1", name) == [1]


@pytest.mark.needs_ray
def test_a_kill_of_the_head_of_a_cluster_loses_nothing_and_leaves_nothing():
    assert counted("--operations", "1", "ray-head") == [1]


def test_a_full_disk_is_one_line_and_the_same_run_completes_after_it():
    assert counted("--operations", "4", "writes") == [4]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_real_small_or_read_only_disk_loses_nothing():
    found = counted("--operations", "2", "small-disk", "read-only")
    assert found == [2, 2]


def test_fifteen_operations_of_a_week_leave_what_the_model_says():
    assert counted("--operations", "15", "week") == [15]

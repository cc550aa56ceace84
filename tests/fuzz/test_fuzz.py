"""A short fuzz of every reader with fixed cases, and properties that hold for any text."""

import faulthandler
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.datasets._files import json_lines, read_qrels
from bench.errors import UsageError
from bench.study.plan import plan
from bench.study.reader import load_study
from tests.fuzz import kept
from tests.fuzz.target import outcome, prepare
from tests.fuzz.targets import TARGETS

CASES = 40
HANG_SECONDS = 120

any_text = settings(max_examples=60, deadline=None, derandomize=True, database=None)
fields = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n"), max_size=8)


@pytest.fixture(autouse=True)
def no_hang():
    """End the tests with a traceback if a reader hangs: in C code nothing else can."""
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "input"


@pytest.fixture(scope="module", autouse=True)
def results(measured):
    kept.measured = measured


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_damaged_file_is_refused_in_one_line_that_names_it_or_read(tmp_path, name):
    target = TARGETS[name]
    for case in range(max(3, int(CASES * target.share))):
        try:
            outcome(prepare(tmp_path / "case", target, f"0:{name}:{case}"))
        except Exception as error:
            error.add_note(f"target {name}, case {case}")
            raise


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_samples_are_sound_before_they_are_damaged(tmp_path, name):
    assert outcome(prepare(tmp_path / "case", TARGETS[name], name, sound=True)) == "accepted"


@any_text
@given(content=st.one_of(st.text(), st.lists(st.lists(fields).map("\t".join)).map("\n".join)))
def test_judgements_are_read_or_refused_with_file_and_line(path, content):
    path.write_text(content, newline="")
    found = tried(lambda: read_qrels(path))
    if isinstance(found, str):
        assert found.startswith(f"{path}:")
    else:
        assert all(type(grade) is int for grades in found.values() for grade in grades.values())


@any_text
@given(
    written=st.dictionaries(
        fields.filter(str.strip),
        st.dictionaries(fields, st.integers(-9, 9), min_size=1),
        max_size=4,
    ),
    header=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_sound_judgements_are_read_as_they_were_written(path, written, header, end):
    lines = ["query-id\tcorpus-id\tscore"] * header
    for query, grades in written.items():
        lines += [f"{query}\t{document}\t{grade}" for document, grade in grades.items()]
    path.write_bytes(end.join(lines).encode())
    assert read_qrels(path) == written


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())


@any_text
@given(
    lines=st.lists(
        st.recursive(
            scalars,
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["_id", "text", "x"]), inner)
            ),
        )
    )
)
def test_lines_of_json_are_read_or_refused_with_file_and_line(path, lines):
    path.write_text("\n".join(json.dumps(line) for line in lines))
    found = tried(lambda: list(json_lines(path)))
    if isinstance(found, str):
        assert found.startswith(f"{path}:")
    else:
        assert [entry_id for entry_id, _ in found] == [str(line["_id"]) for line in lines]


@any_text
@given(
    key=st.sampled_from(["name", "k", "dimensions", "seed", "reducers", "configurations", "x.y"]),
    value=st.text() | st.from_regex(r"[\[\]{}=,0-9a-z\"' .-]*", fullmatch=True),
)
def test_an_override_is_taken_or_refused_in_one_line(path, key, value):
    path.write_text('name = "s"\ndataset = "pydoc"\nencoder = "wordllama"\ndimensions = [16]\n')
    found = tried(lambda: plan(load_study(path, [f"{key}={value}"])))
    if isinstance(found, str):
        assert len(found.splitlines()) == 1
        assert str(path) in found or "--set" in found


def tried(read):
    """Return the result of `read`, or the message if it refuses its input."""
    try:
        return read()
    except UsageError as error:
        return str(error)

"""Functions become documents, the first sentences of their docstrings queries."""

import pytest

from bench.datasets import _sources, load_dataset, pycode
from bench.errors import UsageError

DOC = '"""Count the green apples.  They are\n    many.\n    """'


def documents(data):
    return dict(zip(data.doc_ids, data.documents, strict=True))


def one(code):
    """Return a module of one function, unlike that of any other `code`."""
    return f'def f(basket):\n    """Count thing {code}."""\n    n = {code}({code})\n    return n\n'


def test_the_first_sentence_asks_for_the_code_without_its_docstring(source):
    source(
        m='''
        @decorated("Count the green apples.")
        def count(basket):
            """Count the green apples. They are
            many.

            Not the red ones.
            """
            # a comment stays
            green = [each for each in basket if each.green]
            return len(green)  # this too
        '''
    )
    data = load_dataset("pycode", "all")
    assert documents(data) == {
        "m.count": "def count(basket):\n"
        "    # a comment stays\n"
        "    green = [each for each in basket if each.green]\n"
        "    return len(green)  # this too"
    }
    assert list(data.queries) == ["Count the green apples."]
    assert data.qrels == {"m.count": {"m.count": 1}}
    assert list(data.groups) == ["m"]
    assert "Python 3" in data.notes[0]


def test_functions_wherever_they_are_and_nested_ones_within_the_outer(source):
    source(
        m='''
        class Basket:
            """A basket of things."""

            async def empty(self):
                await self.lock
                self.things = []

            class Handle:
                def lift(self):
                    self.up = True
                    return self.up

        if True:
            try:
                def chosen(a):
                    b = a
                    return b
            except ImportError:
                def chosen(a):
                    raise RuntimeError(a)
                    return None

        def outer():
            """Make a counter of things."""
            class Inner:
                """Its docstring goes."""
                size = 1
            def inner():
                """This docstring goes too."""
                return Inner.size
            return inner

        identity = lambda x: (
            x
        )
        '''
    )
    data = load_dataset("pycode", "all")
    found = documents(data)
    assert sorted(found) == [
        "m.Basket.Handle.lift",
        "m.Basket.empty",
        "m.chosen",
        "m.chosen:2",
        "m.outer",
    ]
    assert found["m.Basket.empty"].startswith("async def empty(self):\n    await")
    assert "class Inner:\n        size = 1\n    def inner():\n        return" in found["m.outer"]
    assert '"""' not in "".join(found.values())
    assert list(data.query_ids) == ["m.outer"]


@pytest.mark.parametrize(
    "text",
    [
        "def f(a):\n    return a\n",
        'def f(a):\n    """Give back the argument.\n\n    As it is.\n    """\n    return a\n',
        "def f(a): return a; a = 2\n",
        "@overload\ndef f(\n    a: int,\n    b: int,\n) -> int: ...\n",
        "def f(\n    a,\n    b,\n):\n    pass\n",
        'def f(\n    a,\n    b,\n):\n    """Do nothing at all."""\n',
        "def f(a:\n    a = 1\n    return a\n",
        b"# coding: no-such-code\ndef f(a):\n    a = 1\n    return a\n",
        b"def f(a):\n    a = '\xff'\n    return a\n",
    ],
)
def test_stubs_short_ones_and_what_cannot_be_read_are_no_documents(source, text):
    source(m=text, other=one("apples"))
    assert list(load_dataset("pycode", "all").doc_ids) == ["other.f"]


def test_columns_count_bytes_and_the_declared_encoding_is_read(source):
    text = '# coding: latin-1\ndef f(ä): "Zähle die grünen Äpfel."; ö = ä; ü = (\n    ö\n    )\n'
    source(m=text.encode("latin-1"))
    data = load_dataset("pycode", "all")
    assert list(data.documents) == ["def f(ä): ö = ä; ü = (\n    ö\n    )"]
    assert list(data.queries) == ["Zähle die grünen Äpfel."]


@pytest.mark.parametrize(
    ("docstring", "asks"),
    [
        ("Count green apples", "Count green apples"),
        ("Count apples, e.g. green ones.  Then\n    stop.", "Count apples, e.g. green ones."),
        ("Count apples.", None),
        (":param basket: what to count", None),
        (".. deprecated:: 1.0 use another one", None),
        ("Written in the code.", None),
        ("word " * 100, None),
    ],
)
def test_what_is_a_query(source, docstring, asks):
    code = (
        f'    """{docstring}"""\n    # Written in the  code.\n    n = len(basket)\n    return n\n'
    )
    source(m=f"def _private(basket):\n{code}", n=one("apples"))
    data = load_dataset("pycode", "all")
    assert list(data.queries) == ([asks] if asks else []) + ["Count thing apples."]


def test_dunder_methods_are_documents_but_no_queries(source):
    source(m=one("apples"), n=one("pears").replace("def f", "def __f__"))
    data = load_dataset("pycode", "all")
    assert (list(data.doc_ids), list(data.query_ids)) == (["m.f", "n.__f__"], ["m.f"])


def test_copies_are_left_out_and_ambiguous_sentences_not_asked(source):
    body = "    for each in basket:\n        total = total + each.weight * each.price\n    return total\n"
    source(
        a=f'def one(basket, total):\n    """Add up the prices."""\n{body}',
        b=f'def two(basket, total):\n    """Sum up all prices."""\n{body}',
        c='def three():\n    """Do the same thing."""\n    cat = purr()\n    return cat\n',
        d='def four(x, y):\n    """Do the same thing."""\n    if x > y:\n        bark(x)\n',
    )
    data = load_dataset("pycode", "all")
    assert list(data.doc_ids) == ["a.one", "c.three", "d.four"], "the first of two copies stays"
    assert list(data.query_ids) == ["a.one"], "what has two answers is not asked"
    assert data.notes[1].startswith("1 near-copies")


def test_no_module_is_in_both_splits_and_each_is_as_in_pydoc(source):
    source(**{f"m{i}": one(f"name{i}") for i in range(200)})
    test, train = load_dataset("pycode"), load_dataset("pycode", "train")
    assert list(test.doc_ids) == list(train.doc_ids)
    assert len(test.query_ids) + len(train.query_ids) == 200
    assert not set(test.groups) & set(train.groups)
    assert 35 <= len(test.query_ids) <= 73, "27 % of 200, three standard deviations to each side"
    assert all(_sources.in_split(module, "test") for module in test.groups)
    assert test.fingerprint != train.fingerprint


def test_the_fingerprint_is_of_the_content(source, tmp_path, monkeypatch):
    def found(folder, **modules):
        source(**modules)
        monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / folder))
        data = load_dataset("pycode", "all")
        return data.fingerprint, list(data.doc_ids)

    first = found("1", a=one("pears"), b=one("plums"))
    assert found("2", b=one("plums"), a=one("pears")) == first, "whatever the order of the files"
    assert found("1", a=one("figs"), b=one("plums")) == first, "from the cache"
    changed = found("3", a=one("figs"), b=one("plums"))
    assert changed[0] != first[0]
    assert changed[1] == first[1]


@pytest.mark.parametrize(
    ("spec", "split", "message"), [("pycode:x", "test", "no argument"), ("pycode", "dev", "train")]
)
def test_what_pycode_does_not_take(spec, split, message):
    with pytest.raises(UsageError, match=message):
        load_dataset(spec, split)


@pytest.mark.slow
def test_the_real_set():
    test, train = load_dataset("pycode"), load_dataset("pycode", "train")
    assert test.fingerprint == load_dataset("pycode").fingerprint
    assert 45_000 < len(test.doc_ids) == len(set(test.doc_ids)) < 62_000
    assert 15_000 < len(test.query_ids) + len(train.query_ids) < 25_000
    assert 0.2 < len(test.query_ids) / (len(test.query_ids) + len(train.query_ids)) < 0.35
    assert not set(test.groups) & set(train.groups)
    assert len(set(test.queries)) == len(test.queries)
    code = documents(test)
    assert all(
        query not in " ".join(code[query_id].split())
        for query, query_id in zip(test.queries, test.query_ids, strict=True)
    )
    lines = [sum(1 for line in text.splitlines() if line.strip()) for text in test.documents]
    assert min(lines) == pycode.LEAST_LINES

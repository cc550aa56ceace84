"""Code in a model's repository runs only for a model that the user has named in the environment."""

import json
import sys

import pytest

from bench.encoders import get_encoder
from bench.encoders._trust import trusted
from bench.errors import StudyError, UsageError
from bench.libraries import TRUST_VARIABLE
from bench.study.reader import load_study


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model that brings code, which leaves a mark where it runs."""
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    folder = tmp_path / "model"
    folder.mkdir()
    mark = tmp_path / "it-ran"
    (folder / "modeling_own.py").write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Own:\n    pass\n"
    )
    modules = [{"idx": 0, "name": "0", "path": "", "type": "modeling_own.Own"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config.json").write_text("{}")
    return folder, mark


def test_only_a_model_named_exactly_is_trusted(monkeypatch):
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    assert not trusted("org/model")
    assert not trusted("")
    monkeypatch.setenv(TRUST_VARIABLE, "org/other, org/model-v2,")
    assert trusted("org/other")
    assert trusted("org/model-v2")
    assert not trusted("org/model")
    assert not trusted("")
    monkeypatch.setenv(TRUST_VARIABLE, "1,true,*,org/")
    assert not trusted("org/model")


def test_no_study_can_ask_for_trust(tmp_path):
    study = tmp_path / "study.toml"
    for line in (
        "trust_remote_code = true",
        f'{TRUST_VARIABLE} = "x"',
        'encoder = { name = "st:x", trust_remote_code = true }',
    ):
        study.write_text(f'name = "s"\ndataset = "pydoc"\ndimensions = [8]\n{line}\n')
        with pytest.raises(StudyError):
            load_study(study)


@pytest.mark.needs_torch
def test_a_model_with_code_of_its_own_is_refused_and_says_how_to_trust_it(model):
    folder, mark = model
    with pytest.raises(UsageError, match=f"set {TRUST_VARIABLE}={folder}") as caught:
        get_encoder(f"st:{folder}")
    assert len(str(caught.value).splitlines()) == 1
    assert not mark.exists()


@pytest.mark.needs_torch
def test_the_code_of_a_model_that_the_user_named_runs(model, monkeypatch):
    folder, mark = model
    monkeypatch.setenv(TRUST_VARIABLE, f"org/other,{folder}")
    with pytest.raises(Exception):  # noqa: B017, PT011  (the stand-in is no model)
        get_encoder(f"st:{folder}")
    assert mark.exists()


@pytest.mark.needs_mteb
def test_a_loader_of_mteb_that_trusts_by_itself_is_stopped(model, monkeypatch):
    import mteb
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    folder, mark = model

    def get_model(name):
        get_class_from_dynamic_module("modeling_own.Own", str(folder))
        raise ValueError("the stand-in is no model")

    monkeypatch.setattr(mteb, "get_model", get_model)
    with pytest.raises(UsageError, match=f"set {TRUST_VARIABLE}=org/model"):
        get_encoder("mteb:org/model")
    assert not mark.exists()
    monkeypatch.setenv(TRUST_VARIABLE, "org/model")
    with pytest.raises(UsageError, match="the stand-in is no model"):
        get_encoder("mteb:org/model")
    assert mark.exists()
    assert "transformers" in sys.modules

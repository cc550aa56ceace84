"""The cache: what another user could have written there is never read."""

import os

import pytest

from bench import files
from bench.errors import UsageError
from bench.files import cache_folder
from bench.owners import owned

ROOT = os.geteuid() == 0


def test_a_cache_that_is_made_is_private_whatever_the_umask(tmp_path, monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))
    before = os.umask(0)
    try:
        folder = cache_folder()
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("named", [True, False])
def test_a_cache_that_every_user_can_write_to_is_refused(tmp_path, named):
    folder = tmp_path / "cache"
    folder.mkdir()
    for mode in (0o777, 0o702, 0o1777):
        folder.chmod(mode)
        with pytest.raises(UsageError, match=r"can be written by every user.*chmod o-w"):
            owned(folder, shared=named)


def test_a_group_writes_to_the_cache_only_where_the_user_named_it(tmp_path, monkeypatch):
    folder = tmp_path / "matryoshka-bench"
    folder.mkdir()
    folder.chmod(0o770)
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(folder))
    assert cache_folder() == folder
    monkeypatch.delenv("MATRYOSHKA_BENCH_CACHE")
    monkeypatch.setattr(files.platformdirs, "user_cache_dir", lambda _: str(folder))
    with pytest.raises(UsageError, match=r"by its group.*chmod g-w .*MATRYOSHKA_BENCH_CACHE"):
        cache_folder()


@pytest.mark.skipif(not ROOT, reason="only root can make a file of another user")
def test_a_cache_of_another_user_is_refused(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(UsageError, match="belongs to another user"):
        owned(folder, shared=True)


def test_a_cache_behind_a_link_is_judged_where_it_lies(tmp_path):
    folder = tmp_path / "real"
    folder.mkdir()
    folder.chmod(0o777)
    (tmp_path / "cache").symlink_to(folder)
    with pytest.raises(UsageError, match="every user"):
        owned(tmp_path / "cache")


def test_a_cache_that_every_user_could_replace_is_refused(tmp_path):
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(UsageError, match="can be replaced by every user"):
        owned(above / "cache")
    above.chmod(0o1777)
    assert owned(above / "cache").is_dir()


@pytest.mark.skipif(ROOT, reason="root can write everywhere")
def test_a_cache_that_cannot_be_made_is_left_to_who_writes_it(tmp_path):
    tmp_path.chmod(0o500)
    assert owned(tmp_path / "cache") == tmp_path / "cache"

"""URLs as text, and which stores they open: secrets are never shown, what is missing is named."""

import sys
from pathlib import Path

import pytest

from data_prep.errors import UsageError
from data_prep.remote import is_url, open_source, results_at
from data_prep.remote.stores import EXTRAS, connect
from data_prep.remote.urls import last_name, shown


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://user:SECRET@a.org/x/b.zip?sig=SECRET&se=1", "https://a.org/x/b.zip"),
        ("https://a.org/x#SECRET", "https://a.org/x"),
        ("abfs://xrays@account.dfs.core.windows.net/p", "abfs://xrays@account.dfs.core.windows.net/p"),
        ("abfs://xrays:SECRET@account.dfs.core.windows.net/p", "abfs://xrays@account.dfs.core.windows.net/p"),
        ("s3://SECRET:SECRET@bucket/p", "s3://bucket/p"),
        ("SECRET", "SECRET"),
    ],
)
def test_what_is_shown_of_a_url_holds_no_secret(url, public):
    assert shown(url) == public


@pytest.mark.parametrize(
    ("url", "name"),
    [("abfs://c/a/b/", "b"), ("abfs://c", "c"), ("https://a.org/x%20y.zip?s=1", "x y.zip"), ("s3://b/k.png", "k.png")],
)
def test_the_last_name(url, name):
    assert last_name(url) == name


@pytest.mark.parametrize("text", ["a/b", "/a", "C:\\a", "C:/a", "a:b", "", "//a"])
def test_paths_are_no_urls(text):
    assert not is_url(text) and open_source(text) == Path(text)


def test_a_file_url_is_the_path_itself_and_touches_no_cache(tmp_path):
    assert open_source(f"file://{tmp_path}/a%20b", tmp_path / "cache") == tmp_path / "a b"
    with results_at(f"file://{tmp_path}/out", tmp_path / "cache") as folder:
        assert folder == tmp_path / "out"
    assert not (tmp_path / "cache").exists()
    with pytest.raises(UsageError, match="absolute path"):
        open_source("file://elsewhere/a")


@pytest.mark.parametrize("scheme", sorted(EXTRAS))
def test_a_missing_package_is_named_with_its_extra(scheme, monkeypatch):
    package, extra = EXTRAS[scheme]
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    wanted = rf"'lungseg-monai\[{extra}\]'" if extra else package
    with pytest.raises(UsageError, match=f"{package}: pip install {wanted}"):
        connect(f"{scheme}://a/b")


@pytest.mark.parametrize("url", ["nonsense://a/b", "zip://a.zip::https://b.org/c", "memory://a::file:///etc"])
def test_other_schemes_and_chains_are_refused(url):
    with pytest.raises(UsageError):
        connect(url)


def test_an_azure_environment_that_makes_no_account_is_told_without_its_contents(monkeypatch):
    pytest.importorskip("adlfs")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=SECRET;rubbish")
    with pytest.raises(UsageError, match="Set AZURE_STORAGE_CONNECTION_STRING") as caught:
        connect("abfs://xrays/a")
    assert "SECRET" not in str(caught.value) and caught.value.__suppress_context__


def test_nothing_heavy_is_imported_before_a_url_is_given():
    import subprocess

    code = (
        "import sys, data_prep.cli; data_prep.cli.parser();"
        "from data_prep.remote import open_source; open_source('x');"
        "assert not {'fsspec', 'adlfs', 'aiohttp', 'asyncio', 'ssl'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

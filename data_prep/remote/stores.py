"""A URL -> the fsspec file system behind it, with credentials from the environment, and its root in there."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_prep.errors import UsageError
from data_prep.remote.trouble import RemoteError
from data_prep.remote.urls import is_file_url, scheme_of, shown

# scheme: the package that reads it, and what to install for it: an extra of ours, or that package itself
EXTRAS = {
    **dict.fromkeys(("abfs", "abfss", "az"), ("adlfs", "azure")),
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "")),
    **dict.fromkeys(("http", "https"), ("aiohttp", "http")),
}
AZURE_KEYS = (
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
)


@dataclass(frozen=True)
class Store:
    """An fsspec file system and the path in it that the URL names, without a slash at its end."""

    files: Any
    root: str
    url: str
    scheme: str

    @property
    def is_http(self) -> bool:
        return self.scheme in ("http", "https")

    def path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def shown(self, name: str = "") -> str:
        """What messages call an object."""
        return shown(f"{self.url.rstrip('/')}/{name}" if name else self.url)


def connect(url: str) -> Store:
    """The store behind `url`; asks nothing of the network yet. Raises UsageError and RemoteError."""
    scheme = scheme_of(url)
    if is_file_url(url):
        raise UsageError(f"{shown(url)} is a path of this machine: no store")
    _need(scheme)
    try:
        import fsspec
        from fsspec.core import url_to_fs
    except ModuleNotFoundError:
        raise UsageError(f"{scheme}:// needs fsspec: pip install fsspec") from None
    try:
        fsspec.get_filesystem_class(scheme)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            files, root = url_to_fs(url, skip_instance_cache=True, **_options(scheme))
    except ImportError:
        raise UsageError(
            f"{scheme}:// needs a package that is not installed: see fsspec's list of file systems"
        ) from None
    except ValueError as error:
        raise _no_store(scheme, url, error) from None
    except Exception as error:  # noqa: BLE001 - its message may hold what the environment says
        raise RemoteError(f"{shown(url)} can't be opened ({type(error).__name__}): check the credentials") from None
    if scheme in ("abfs", "abfss", "az"):
        _leave_retrying_to_us(files)
    return Store(files, root if scheme in ("http", "https") else root.rstrip("/"), url, scheme)


def _need(scheme: str) -> None:
    from importlib.util import find_spec

    package, extra = EXTRAS.get(scheme, ("", ""))
    if package and find_spec(package) is None:
        ours = f"'lungseg-monai[{extra}]' (in the checkout: pip install -c constraints.txt '.[{extra}]')"
        raise UsageError(f"{scheme}:// needs {package}: pip install {ours if extra else package}")


def _options(scheme: str, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What the file system is told beside the URL. Azure's and Amazon's own variables are read by their packages."""
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme in ("s3", "s3a"):
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        options |= {"endpoint_url": endpoint} if endpoint else {}
        options |= {"anon": True} if environment.get("LUNGSEG_S3_ANONYMOUS") == "1" else {}
    return options


def _leave_retrying_to_us(files: Any) -> None:
    """Azure's client waits 15 s before its first retry, and ours would come on top: one that does not retry."""
    from azure.storage.blob.aio import BlobServiceClient

    theirs = files.service_client
    files.service_client = BlobServiceClient(theirs.url, credential=theirs.credential, retry_total=0)


def _no_store(scheme: str, url: str, error: ValueError) -> UsageError:
    if scheme in ("abfs", "abfss", "az"):
        return UsageError(
            f"{shown(url)}: no Azure account can be made of the environment. Set {AZURE_KEYS[0]}, as "
            f"the portal gives it, or {AZURE_KEYS[1]} with {AZURE_KEYS[2]} or {AZURE_KEYS[3]}."
        )
    if "Protocol not known" in str(error):
        return UsageError(f"{shown(url)}: no such scheme. There are: {', '.join(sorted(EXTRAS))}, file, memory")
    return UsageError(f"{shown(url)} is no URL that can be opened ({type(error).__name__})")

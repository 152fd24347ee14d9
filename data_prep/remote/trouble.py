"""What goes wrong on the way to a store: tried again, or told without a secret."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from data_prep.errors import PrepError

T = TypeVar("T")
BUSY = {408, 425, 429, 500, 502, 503, 504}
DENIED = {401, 403}
NOT_THERE = {404, 410}
LONGEST_WAIT_S = 30.0
# Errors of these packages that carry no status are lost connections, unless their name says otherwise.
NETWORK = ("aiohttp", "azure.core", "botocore", "aiobotocore", "urllib3", "http.client", "ssl", "socket")
CREDENTIALS = ("Credential", "Authentication", "InvalidAccessKey", "SignatureDoesNotMatch")


class RemoteError(PrepError):
    """A store behind a URL can't be reached, denies, or has not what was asked for."""


class MissingError(RemoteError):
    """There is no such object, container or bucket."""


class ShortReadError(ConnectionError):
    """Fewer bytes came than were asked for."""


@dataclass(frozen=True)
class Retries:
    """How often something is tried, and how long is waited between: first_wait_s, then twice as long each time."""

    tries: int = 5
    first_wait_s: float = 0.5
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)

    def call(self, what: str, do: Callable[[], T]) -> T:
        """`do()`, again after a dropped connection or a busy server.

        `what` names the object and what is done to it, as in "reading abfs://c/a.png". Raises RemoteError,
        MissingError; never passes on the message of a library, which may hold keys.
        """
        said = ""
        for attempt in range(1, self.tries + 1):
            try:
                return do()
            except PrepError:
                raise
            except Exception as error:  # noqa: BLE001 - each store raises its own
                said, again = _describe(error), is_transient(error)
                if not again:
                    raise _final(what, error, said) from None
                wait_s = max(self.first_wait_s * 2 ** (attempt - 1), _asked_wait_s(error))
            if attempt < self.tries:
                self.sleep(min(wait_s, LONGEST_WAIT_S) * random.uniform(0.75, 1.25))
        raise RemoteError(
            f"{what} failed: {said}, {self.tries} times. Check the network and run the same command again: "
            "what is already here is kept."
        )


def is_transient(error: BaseException) -> bool:
    """Whether the same request may go well in a moment."""
    status = status_of(error)
    if status is not None:
        return status in BUSY
    if any(isinstance(one, FileNotFoundError | PermissionError | ValueError) for one in _chain(error)):
        return False
    if _is_denied(error):
        return False
    return any(
        isinstance(one, ConnectionError | TimeoutError) or type(one).__module__.startswith(NETWORK)
        for one in _chain(error)
    )


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error of azure, aiohttp or botocore carries."""
    for one in _chain(error):
        for name in ("status_code", "status"):
            value = getattr(one, name, None)
            if isinstance(value, int) and 100 <= value < 600:
                return value
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            value = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(value, int):
                return value
    return None


def _final(what: str, error: BaseException, said: str) -> RemoteError:
    if status_of(error) in DENIED or _is_denied(error) or isinstance(error, PermissionError):
        return RemoteError(
            f"{what} was denied ({said}). Check the credentials in the environment (docs/how-to/cloud.md) and what "
            "they allow; they are not printed here."
        )
    if status_of(error) in NOT_THERE or isinstance(error, FileNotFoundError):
        return MissingError(f"{what} failed: there is no such object, container or bucket. Check the URL's spelling.")
    return RemoteError(f"{what} failed: {said}")


def _is_denied(error: BaseException) -> bool:
    return any(word in type(one).__name__ for one in _chain(error) for word in CREDENTIALS)


def _describe(error: BaseException) -> str:
    """The kind of error and its status or code: words of ours or the protocol's, never a library's message."""
    status = status_of(error)
    code = next((str(getattr(one, "error_code", "") or "") for one in _chain(error) if hasattr(one, "error_code")), "")
    code = getattr(code, "value", code).rpartition(".")[2]
    kind = type(error).__name__
    return " ".join(
        part for part in (kind, f"status {status}" if status else "", code if code.isalnum() else "") if part
    )


def _asked_wait_s(error: BaseException) -> float:
    """Seconds of a Retry-After header, 0 without one."""
    for one in _chain(error):
        headers = getattr(one, "headers", None) or getattr(getattr(one, "response", None), "headers", None)
        try:
            return max(0.0, float(headers["Retry-After"])) if headers else 0.0
        except (KeyError, TypeError, ValueError):
            continue
    return 0.0


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__

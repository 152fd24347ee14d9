"""Headless Chromium by its own debugging pipe: real clicks and keys, pictures, errors and requests."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

BINARY = "/usr/bin/chromium" if Path("/usr/bin/chromium").is_file() else shutil.which("chromium")
OPTIONS = (
    "--headless --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --disable-extensions --mute-audio "
    "--disable-dev-shm-usage --remote-debugging-pipe"
)
# Chromium reads commands from descriptor 3 and writes answers to 4.
START = "import os, sys; a, b, *c = sys.argv[1:]; os.dup2(int(a), 3); os.dup2(int(b), 4); os.execv(c[0], c)"
DOMAINS = ("Page", "Runtime", "Network", "Log")
OURS = ("file:", "data:", "blob:", "about:")


class Browser:
    """One page. errors: what the console showed of errors and warnings. requests: addresses that left the machine."""

    def __init__(self, folder: Path, width: int = 1280, height: int = 800, *arguments: str) -> None:
        self.folder, self.errors, self.requests, self._last, self._bytes = folder, [], [], 0, b""
        self._events: list[dict[str, Any]] = []
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        command = [BINARY, *OPTIONS.split(), f"--window-size={width},{height}", *arguments]
        command += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, *map(str, ends), *command],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_browser, from_browser, *ends):
            os.close(end)
        self._session = None
        page = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in DOMAINS:
            self.call(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, TimeoutError, ConnectionError):
            self._session = None
            self.call("Browser.close", seconds=10)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out), os.close(self._in)

    def call(self, method: str, seconds: float = 60, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer. Raises RuntimeError for an answer that is an error."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while True:
            answer = self._receive(end)
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer.get("result", {})
            self._note(answer)

    def open(self, address: str) -> None:
        """Go there and wait until it is loaded."""
        self._events.clear()
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise. Raises RuntimeError where it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> Any:
        """Until the expression is true. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.05)
        raise TimeoutError(f"{expression} did not become true in {seconds} s; errors: {self.errors}")

    def click(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Move the mouse onto an element, `at` this fraction of it, press and release, as a hand does."""
        x, y = self._place(selector, at)
        for kind, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
            button = "none" if kind == "mouseMoved" else "left"
            mouse = {"type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **mouse)

    def key(self, key: str) -> None:
        """Press and release one key: a character, or Enter, Escape, ArrowRight ..."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=text)

    def wheel(self, selector: str, at: tuple[float, float], by: float) -> None:
        """Turn the wheel over an element."""
        x, y = self._place(selector, at)
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    def download(self, selector: str, name: str, seconds: float = 20) -> bytes:
        """Click what saves a file, and return the file's bytes."""
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(self.folder))
        self.click(selector)
        path, end = self.folder / name, time.monotonic() + seconds
        while not path.is_file():
            if time.monotonic() > end:
                raise TimeoutError(f"{selector} saved no {name} in {seconds} s")
            time.sleep(0.05)
        saved = path.read_bytes()
        path.unlink()
        return saved

    def picture(self, path: Path | None = None) -> bytes:
        """The page as PNG."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            path.write_bytes(data)
        return data

    def _place(self, selector: str, at: tuple[float, float]) -> tuple[float, float]:
        """Where on the screen this fraction of an element lies; scrolled there."""
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
            " e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; })()"
        )
        if not box or not box[2] or not box[3]:
            raise LookupError(f"{selector} is not there to be clicked: its box is {box}")
        return box[0] + at[0] * box[2], box[1] + at[1] * box[3]

    def _receive(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._bytes:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise TimeoutError("Chromium does not answer")
            got = os.read(self._in, 1 << 16)
            if not got:
                raise ConnectionError("Chromium ended")
            self._bytes += got
        message, self._bytes = self._bytes.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        of, method = event.get("params", {}), event.get("method")
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(of["exceptionDetails"].get("exception", of["exceptionDetails"])))
        elif method == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in of["args"]))
        elif method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
            self.errors.append(of["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not of["request"]["url"].startswith(OURS):
            self.requests.append(of["request"]["url"])

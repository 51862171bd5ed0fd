"""A real browser: headless Chromium, told what to do over a pipe, in the words of its DevTools."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import pytest

NO_NETWORK: Final = "--host-resolver-rules=MAP * ~NOTFOUND"
# What Chromium says on a machine without a desktop is of no interest, nor is what it would fetch.
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
    NO_NETWORK,
)
# It reads orders from the file that is its third, and writes answers to its fourth.
FROM_3_TO_4: Final = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def chromium() -> str:
    """The program; a test is skipped without it, and fails where everything has to be there."""
    found = shutil.which("chromium")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("there is no chromium: apt-get install chromium")
    if found is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    return found


@dataclass
class Browser:
    """A browser that runs; `told` is what it said without having been asked."""

    orders: BinaryIO
    answers: BinaryIO
    told: list[dict[str, Any]] = field(default_factory=list)
    last: int = 0

    def open(self, address: str) -> Page:
        """Load a page in a tab of its own, and wait until it is there."""
        target = self.order("Target.createTarget", url="about:blank")["targetId"]
        attached = self.order("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"])
        for domain in ("Network", "Runtime", "Log", "Page"):
            page.order(f"{domain}.enable")
        page.order("Page.navigate", url=address)
        page.wait("Page.loadEventFired")
        return page

    def order(self, method: str, *, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Have something done, and return the answer."""
        self.last += 1
        order = {"id": self.last, "method": method, "params": params}
        if session is not None:
            order["sessionId"] = session
        self.orders.write(json.dumps(order).encode() + b"\0")
        self.orders.flush()
        while True:
            said = self.next()
            if said.get("id") == self.last:
                assert "error" not in said, (method, said)
                return dict(said["result"])
            self.told.append(said)

    def next(self) -> dict[str, Any]:
        """The next thing that it says."""
        said = bytearray()
        while (letter := self.answers.read(1)) != b"\0":
            assert letter, "the browser has ended"
            said += letter
        return dict(json.loads(said))


@dataclass
class Page:
    """A page that was loaded."""

    browser: Browser
    session: str

    def order(self, method: str, **params: Any) -> dict[str, Any]:
        """Have something done with this page."""
        return self.browser.order(method, session=self.session, **params)

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page, once it is settled."""
        done = self.order(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"]["value"]

    def told(self, *methods: str) -> list[dict[str, Any]]:
        """What the browser said of this page."""
        return [
            said["params"]
            for said in self.browser.told
            if said.get("sessionId") == self.session and said["method"] in methods
        ]

    def wait(self, method: str) -> None:
        """Wait until the browser has said something of this page."""
        while not self.told(method):
            self.browser.told.append(self.browser.next())

    @property
    def requests(self) -> list[str]:
        """What the page has asked for, itself first; what it carries within is not asked for."""
        asked = [said["request"]["url"] for said in self.told("Network.requestWillBeSent")]
        return [url for url in asked if not url.startswith("data:")]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """What the console of the page has to say, of scripts and of what was not allowed."""
        return self.told("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser that reaches no network, and end it."""
    (theirs_in, orders), (answers, theirs_out) = _pipe(), _pipe()
    words = [chromium(), *FLAGS, f"--user-data-dir={folder / 'chromium'}"]
    running = subprocess.Popen(
        [sys.executable, "-c", FROM_3_TO_4, str(theirs_in), str(theirs_out), *words],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    with os.fdopen(orders, "wb") as ours, os.fdopen(answers, "rb") as said:
        started = Browser(ours, said)
        try:
            yield started
            started.order("Browser.close")
        finally:
            running.kill()
            running.wait()


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are not the numbers that they are to be copied to."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]

"""The session in the address of the page; in a notebook, in the browser tab for the time after a restart of the kernel."""

import asyncio
import hashlib
import json
import os
import uuid
from pathlib import Path

import anywidget
import traitlets

from ..errors import AmaError

__all__ = ["PageState"]

STILL = 0.25  # seconds
PROCESS = uuid.uuid4().hex  # of this kernel, another after a restart


class PageState(anywidget.AnyWidget):
    """Writes the session's document into the page's address, and takes it from there when the page opens.

    In a notebook the kernel keeps the state. Only when it was restarted, and the same cell makes the same explorer again,
    the document comes from the browser tab, as one step of undo; a cell that was edited, or that makes choices after it
    made the explorer, has the last word.

    Parameters
    ----------
    session : Session
    page : bool
        Whether the page is the explorer's own.
    opened : callable
        Called once, when the first page has opened and its address was read.
    """

    _esm = Path(__file__).parent / "page_state.js"

    document = traitlets.Unicode().tag(sync=True)
    page = traitlets.Bool(False).tag(sync=True)
    place = traitlets.Unicode().tag(sync=True)
    process = traitlets.Unicode(PROCESS).tag(sync=True)

    def __init__(self, session, page, opened):
        self._begun = json.dumps(session.choices(), sort_keys=True)
        # the notebook, the data and the first choices: what makes an explorer the same one
        same = (os.environ.get("JPY_SESSION_NAME"), repr(session.data_in_memory), self._begun)
        super().__init__(page=page, place=hashlib.blake2b(repr(same).encode(), digest_size=10).hexdigest())
        self._session = session
        self._opened = opened
        self._timer = None
        self.answered = False
        """Whether a page has drawn it."""
        self.problem = ""
        """What was wrong with the document in the address."""
        self.on_msg(self._hello)
        session.observe(lambda _change: self._soon(), names=list(session.choices()) + ["view"])

    def _soon(self):
        """Remember once the choices are still; browsers limit how often an address may change."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.remember()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(STILL, self.remember)

    def remember(self):
        """Bring the document up to date."""
        self.document = json.dumps(self._session.to_dict(), ensure_ascii=False, separators=(",", ":"))

    def _hello(self, _widget, content, _buffers):
        if content.get("kind") != "hello":
            return
        self.answered = True
        if self._opened is not None:
            self._take(content)
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened()

    def _take(self, content):
        text, place = content.get("document"), "The address holds a session"
        if not self.page:
            text, place = self._before(content.get("before")), "The browser kept a session of the kernel before"
        if text:
            try:
                self._session.apply(json.loads(text))
            except (AmaError, ValueError) as error:
                self.problem = f"{place} that cannot be read: {error}"

    def _before(self, kept):
        """The document of a kernel that is no more, where this explorer is still as it was made."""
        known = isinstance(kept, dict) and isinstance(kept.get("document"), str) and kept.get("process") != PROCESS
        unchanged = json.dumps(self._session.choices(), sort_keys=True) == self._begun
        return kept["document"] if known and unchanged else None

"""The session in the address of the page."""

import asyncio
import json
from pathlib import Path

import anywidget
import traitlets

from ..errors import AmaError

__all__ = ["PageState"]

STILL = 0.25  # seconds


class PageState(anywidget.AnyWidget):
    """Writes the session's document into the page's address, and takes it from there when the page opens.

    Parameters
    ----------
    session : Session
    page : bool
        Whether the page is the explorer's own; in a notebook the kernel keeps the state instead.
    opened : callable
        Called once, when the first page has opened and its address was read.
    """

    _esm = Path(__file__).parent / "page_state.js"

    document = traitlets.Unicode().tag(sync=True)
    page = traitlets.Bool(False).tag(sync=True)

    def __init__(self, session, page, opened):
        super().__init__(page=page)
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
        text = content.get("document")
        if text and self._opened is not None:
            try:
                self._session.apply(json.loads(text))
            except (AmaError, ValueError) as error:
                self.problem = f"The address holds a session that cannot be read: {error}"
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened()

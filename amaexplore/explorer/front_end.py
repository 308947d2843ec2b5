"""Why nothing shows, and something to look at all the same, in a front end that cannot draw widgets."""

import asyncio
import html
from importlib.metadata import PackageNotFoundError, version

__all__ = ["FrontEndWatch", "fallback_html", "self_test"]

PATIENCE = 20.0  # seconds after which a page that draws widgets would have answered
# the same for the explorer's own page, which is known to draw widgets, but may be one of many that open at once
PAGE_PATIENCE = 180.0
STILL = 1.0  # seconds of still results before the static page is drawn anew
NEEDED = {
    "jupyterlab_widgets": "JupyterLab and Notebook 7 draw widgets with it",
    "anywidget": "it carries the plots",
    "ipywidgets": "it carries the controls",
}


def self_test(answered=False, failures=()):
    """What keeps the explorer from being drawn, as sentences.

    Parameters
    ----------
    answered : bool
        Whether a page has drawn the widget.
    failures : sequence of str
        What pages reported as errors.

    Returns
    -------
    list of str
        Empty where everything is as it should be.
    """
    found = []
    for name, use in NEEDED.items():
        try:
            version(name)
        except PackageNotFoundError:
            found.append(
                f"The package {name} is not installed here ({use}): pip install {name}, then load the page anew."
            )
    if not answered:
        found.append(
            "No page has answered. If the notebook server runs in another environment than this kernel, install "
            "jupyterlab_widgets there as well (pip install jupyterlab_widgets) and load the page anew; if the page was open "
            "while something was installed, load it anew; if the notebook runs without a front end, nothing is wrong."
        )
    found += [f"A page could not draw a figure: {failure}" for failure in dict.fromkeys(failures)]
    return found


def fallback_html():
    """What a front end without widgets shows in place of the explorer."""
    return (
        "<div><b>amaexplore</b>: this front end cannot draw Jupyter widgets, so the explorer does not show. Install "
        "<code>jupyterlab_widgets</code> where the notebook server runs and load the page anew, or run <code>amaexplore</code> in "
        "a terminal. Until then a static page appears below once the numbers are there.</div>"
    )


class FrontEndWatch:
    """Waits for a page to draw the explorer; where none does, says why and shows the results as a static page.

    The static page follows the session: it is drawn anew once the results are still.

    Parameters
    ----------
    session : Session
    answered : callable
        Whether a page has drawn the explorer.
    failures : callable
        What pages reported as errors.
    make_page : callable
        The static page of the session as HTML text.
    """

    def __init__(self, session, answered, failures, make_page):
        self._session, self._answered, self._failures, self._make_page = session, answered, failures, make_page
        self._handle = self._timer = self._loop = None

    def begin(self, own_page=False, patience=None):
        """Start to wait, once, where there is a loop to wait in: on the explorer's own page longer."""
        if self._loop is not None:
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timer = self._loop.call_later(patience or (PAGE_PATIENCE if own_page else PATIENCE), self._look)

    def _look(self):
        if self._answered():
            return
        self._session.start()
        self._session.on_result(lambda _name: self._soon())
        self._show("<i>The results are being computed …</i>")
        self._soon()

    def _soon(self):
        self._loop.call_soon_threadsafe(self._restart)

    def _restart(self):
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(STILL, self._draw)

    def _draw(self):
        if self._answered() or not self._session.settled:
            return
        page = html.escape(self._make_page(), quote=True)
        self._show(f"<iframe srcdoc='{page}' style='width:100%;height:720px;border:1px solid #ccc'></iframe>")

    def _show(self, content):
        from IPython.display import HTML, display

        reasons = "".join(f"<li>{html.escape(text)}</li>" for text in self_test(self._answered(), self._failures()))
        whole = HTML(f"<div><b>amaexplore</b> is not drawn by this front end.<ul>{reasons}</ul></div>{content}")
        if self._handle is None:
            self._handle = display(whole, display_id=True)
        else:
            self._handle.update(whole)

"""What all steps of the left column share: number, title, status, body, and the sentence that says what is wrong."""

import html

import ipywidgets as widgets

__all__ = ["Step", "linked", "notice_list", "number_of", "show", "text_of"]

MARKS = {"fresh": "✓", "working": "…", "stale": "…", "failed": "!", "waiting": "·", "cancelled": "■"}
WORDS = {
    "fresh": "up to date",
    "working": "working",
    "stale": "to be computed",
    "failed": "needs your attention",
    "waiting": "waits for another step",
    "cancelled": "stopped",
}


class Step:
    """One step: a header with its state, controls, and a line for messages.

    Parameters
    ----------
    number : int
    title : str
    hint : str
        Shown when the mouse rests on the title.
    names : tuple of str
        The results of the session whose states it shows; ``follows`` are all whose changes matter to it.
    """

    def __init__(self, session, number, title, hint, names):
        self.session = session
        self.names = names
        self.follows = names
        self._title, self._number, self._hint = title, number, hint
        self.fold = widgets.ToggleButton(
            description="▾", tooltip=f"Fold or unfold {title}", layout={"width": "20px", "flex": "0 0 auto"}
        )
        self.fold.add_class("ama-fold")
        self.fold.observe(lambda change: self._fold(change["new"]), "value")
        self.header = widgets.HTML(layout={"flex": "1 1 auto", "width": "auto"})
        self.header.add_class("ama-step-header")
        self.message = widgets.HTML()
        self.message.add_class("ama-message")
        self.body = widgets.VBox()
        self.body.add_class("ama-step-body")
        top = widgets.HBox([self.header, self.fold], layout={"align_items": "center"})
        self.box = widgets.VBox([top, self.body, self.message])
        self.box.add_class("ama-step")
        self._write_header("stale")

    def _fold(self, folded):
        """Hide the controls, to make room for those of other steps; what is wrong stays in sight."""
        self.body.layout.display = "none" if folded else None
        self.fold.description = "▸" if folded else "▾"

    def _write_header(self, status):
        text = (
            f"<span class='ama-number ama-{status}' title='{WORDS[status]}'>{self._number}</span>"
            f"<span class='ama-title' title='{html.escape(self._hint, quote=True)}'>{html.escape(self._title)}</span>"
            f"<span class='ama-mark' title='{WORDS[status]}'>{MARKS[status]}</span>"
        )
        if self.header.value != text:
            self.header.value = text

    def tell(self, notices=()):
        """Show the state of the step's results, and the first sentence that explains a trouble."""
        states = [self.session.state(name) for name in self.names]
        order = ("failed", "cancelled", "waiting", "working", "stale", "fresh")
        worst = min(states, key=lambda state: order.index(state.status))
        self._write_header(worst.status)
        lines = []
        if worst.status in ("failed", "waiting", "cancelled") and worst.message:
            kind = "error" if worst.status == "failed" else "quiet"
            lines.append(f"<div class='ama-{kind}'>{html.escape(worst.message)}</div>")
        elif notices:
            lines.append(notice_list(notices))
        text = "".join(lines)
        if self.message.value != text:
            self.message.value = text


SEVERITIES = {"error": "⛔", "warning": "△", "info": "·"}
"""How grave a finding is, worst first, with its sign."""


def notice_list(notices):
    """Warnings as one line that opens, the gravest first; errors open by themselves."""
    seen = {}
    for notice in notices:
        seen.setdefault(notice.message, notice.severity)
    if not seen:
        return ""
    ranks = list(SEVERITIES)
    ordered = sorted(seen.items(), key=lambda item: ranks.index(item[1]))
    items = "".join(
        f"<li class='ama-{severity}' title='{severity}'>{SEVERITIES[severity]} {html.escape(text)}</li>"
        for text, severity in ordered
    )
    counts = {severity: sum(1 for _, found in ordered if found == severity) for severity in ranks}
    words = {"error": "problem", "warning": "warning", "info": "note"}
    title = ", ".join(f"{n} {words[severity]}{'s' if n != 1 else ''}" for severity, n in counts.items() if n)
    opened = " open" if counts["error"] else ""
    return f"<details class='ama-notes'{opened}><summary>{title}</summary><ul>{items}</ul></details>"


def linked(session, name, control, to_session=None, to_control=None):
    """Keep a control and a choice of the session the same.

    Parameters
    ----------
    to_session, to_control : callable, optional
        Translate values; default: as they are.
    """
    to_session = to_session or (lambda value: value)
    to_control = to_control or (lambda value: value)

    def control_changed(change):
        value = to_session(change["new"])
        if getattr(session, name) != value:
            setattr(session, name, value)

    def session_changed(_change=None):
        value = to_control(getattr(session, name))
        if control.value != value:
            control.value = value

    session_changed()
    control.observe(control_changed, "value")
    session.observe(session_changed, name)
    return control


def labelled_field(label, placeholder, tooltip, width, label_width="44px"):
    """A field whose text counts when it is finished, with its name before it."""
    field = widgets.Text(
        description=label, placeholder=placeholder, continuous_update=False, layout={"width": width},
        style={"description_width": label_width},
    )  # fmt: skip
    field.tooltip = tooltip
    return field


def number_of(text):
    """The number that was typed, with a point or a comma; None where there is none."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def text_of(value):
    """A number as it stands in a field; nothing for None."""
    return "" if value is None else f"{value:.6g}"


def show(widget, shown):
    """Show a widget, or take it off the page."""
    wanted = "" if shown else "none"
    if (widget.layout.display or "") != wanted:
        widget.layout.display = wanted

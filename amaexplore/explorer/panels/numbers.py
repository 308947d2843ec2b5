"""The numbers above the plots: γ, D, εθ, ζ, τ_P and whether the two routes agree."""

import html

import ipywidgets as widgets

from ...results import format_value
from ..explanations import EXPLANATIONS, data_words, popup

__all__ = ["NumbersPanel"]

CARDS = (
    ("gamma", "γ", "gamma", "isotropic"),
    ("diffusion", "D = γ/m²", "gamma", "diffusion"),
    ("theta", "εθ", "theta", "isotropic_raw"),
    ("friction", "ζ = βεθ", "theta", "friction"),
    ("tau_momentum", "τ_P = m/ζ", "theta", "relaxation_time"),
)


class NumbersPanel:
    """A row of cards, each explaining itself when it is pointed at, touched, or reached with the keyboard."""

    names = ("gamma", "theta", "consistency", "compared")

    def __init__(self, session):
        self.session = session
        self.box = widgets.HTML()
        self.box.add_class("ama-cards")
        self.refresh()

    def refresh(self):
        """Follow the session."""
        text = "".join(self._cards())
        if self.box.value != text:
            self.box.value = text

    def _fresh(self, name):
        return self.session.latest(name) if self.session.state(name).status == "fresh" else None

    def _last(self, name):
        """The result there is, and whether a newer one is on its way; while data grow, it stays in sight."""
        status = self.session.state(name).status
        on_its_way = status in ("stale", "working")
        return (self.session.latest(name) if on_its_way or status == "fresh" else None), on_its_way

    def _cards(self):
        data = data_words(self.session)
        against = self._fresh("compared") if self.session.compared else None
        for key, name, result_name, attribute in CARDS:
            result, old = self._last(result_name)
            if result is None:
                yield _card(key, name, None, None, data)
                continue
            how = f"t₀ = {result.window:.4g} ps, estimator “{result.estimator}”, errors from {result.n_groups} groups"
            beside = getattr(against, result_name, None)
            more = []
            if beside is not None:
                value, std = getattr(beside, attribute), getattr(beside, f"{attribute}_std")
                more = [
                    f"⇄ {against.name}: {format_value(value, std, EXPLANATIONS[key].unit)} at t₀ = {beside.window:.4g} ps"
                ]
            yield _card(
                key, name, getattr(result, attribute), getattr(result, f"{attribute}_std"), data, how, *more, old=old
            )
        pair, old = self._last("consistency")
        yield _card("consistency", "γεθ/(mk_BT)²", *(pair or (None, None)), data, old=old and pair is not None)


def _card(key, name, value, std, data, *more, old=False):
    if value is None:
        number, error = "–", ""
    else:
        text = format_value(value, std)
        number, _, error = text.strip("()").partition(" ± ")
        if ")e" in text:
            error, _, power = text.rpartition(")e")
            error = error.partition(" ± ")[2]
            number, error = f"{number}", f"{error} ×10<sup>{int(power)}</sup>"
    error = f"<span class='ama-error-bar'>± {error}</span>" if error else ""
    unit = EXPLANATIONS[key].unit.replace("–", "")
    values = [line.partition(": ")[2].partition(" at t₀")[0] for line in more if line.startswith("⇄")]
    beside = "".join(f"<div class='ama-card-beside'>⇄ {html.escape(text)}</div>" for text in values)
    return (
        f"<div class='ama-card ama-explained{' ama-old' if old else ''}' tabindex='0' data-explains='{key}'>"
        f"<div class='ama-card-name'>{html.escape(name)}<span class='ama-card-unit'>{unit}</span></div>"
        f"<div class='ama-card-value' data-quantity='{html.escape(name.split()[0], quote=True)}'>{number} {error}</div>"
        f"{beside}{popup(key, data, *more)}</div>"
    )

"""The numbers above the plots: γ, D, εθ, ζ, τ_P and whether the two routes agree."""

import html

import ipywidgets as widgets

from ...results import format_value

__all__ = ["NumbersPanel"]


class NumbersPanel:
    """A row of cards, each explaining itself when the mouse rests on it."""

    names = ("gamma", "theta", "consistency")

    def __init__(self, session):
        self.session = session
        self.box = widgets.HTML()
        self.box.add_class("ama-cards")
        self.refresh()

    def refresh(self):
        """Follow the session."""
        text = "".join(_card(*card) for card in self._cards())
        if self.box.value != text:
            self.box.value = text

    def _cards(self):
        def fresh(name):
            return self.session.latest(name) if self.session.state(name).status == "fresh" else None

        gamma, theta = fresh("gamma"), fresh("theta")
        return [*_from_gamma(gamma), *_from_theta(theta), _agreement(fresh("consistency"))]


def _from_gamma(gamma):
    where = "" if gamma is None else f"; t₀ = {gamma.window:.4g} ps, estimator {gamma.estimator}"
    hint = f"γ = ∫⟨P(0)P(s)⟩ ds per axis, equation (28){where}"
    if gamma is None:
        return [("γ", None, None, "u² nm²/ps", hint), ("D = γ/m²", None, None, "nm²/ps", hint)]
    return [
        ("γ", gamma.isotropic, gamma.isotropic_std, "u² nm²/ps", hint),
        ("D = γ/m²", gamma.diffusion, gamma.diffusion_std, "nm²/ps", f"Diffusion coefficient of equation (29){where}"),
    ]


def _from_theta(theta):
    where = "" if theta is None else f"; t₀ = {theta.window:.4g} ps, estimator {theta.estimator}"
    hint = f"εθ = ∫⟨δF(0)δF(s)⟩ ds per axis, equation (55) in raw units{where}"
    if theta is None:
        return [
            ("εθ", None, None, "u² nm²/ps³", hint),
            ("ζ = βεθ", None, None, "u/ps", hint),
            ("τ_P = m/ζ", None, None, "ps", hint),
        ]
    return [
        ("εθ", theta.isotropic_raw, theta.isotropic_raw_std, "u² nm²/ps³", hint),
        ("ζ = βεθ", theta.friction, theta.friction_std, "u/ps", f"Friction of equation (56){where}"),
        ("τ_P = m/ζ", theta.relaxation_time, theta.relaxation_time_std, "ps", "Relaxation time of the momentum"),
    ]


def _agreement(consistency):
    hint = "γ·εθ / (m k_BT)², γ from ∫⟨PP⟩ alone and θ as chosen: 1 where the two routes agree"
    value, std = consistency or (None, None)
    return ("γεθ/(mk_BT)²", value, std, "", hint)


def _card(name, value, std, unit, hint):
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
    return (
        f"<div class='ama-card' title='{html.escape(hint, quote=True)}'><div class='ama-card-name'>{html.escape(name)}<span class='ama-card-unit'>{unit}</span></div>"
        f"<div class='ama-card-value' data-quantity='{html.escape(name.split()[0], quote=True)}'>{number} {error}</div></div>"
    )

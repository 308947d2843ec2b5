"""What every number on the page is: symbol, equation, unit, what is assumed, and from which data it came."""

import html
from dataclasses import dataclass

__all__ = ["EXPLANATIONS", "Explanation", "data_words", "explained", "popup"]


@dataclass(frozen=True)
class Explanation:
    """One quantity, in words.

    Parameters
    ----------
    symbol, name, equation, unit : str
    assumes : str
        What has to hold for the number to mean what it says.
    """

    symbol: str
    name: str
    equation: str
    unit: str
    assumes: str


def _table():
    e = Explanation
    free = "Stationary data; t₀ long against the memory of the force and short against the slow motion."
    return {
        "gamma": e("γ = ∫₀^t₀ ⟨P(0)P(s)⟩ ds", "Momentum correlation integral, per axis (a third of the trace)", "(28)",
                   "u² nm²/ps", free + " The paper's dot product is three times this."),
        "diffusion": e("D = γ/m²", "Diffusion coefficient", "(29)", "nm²/ps", "Momentum relaxes before R has moved much."),
        "theta": e("εθ = ∫₀^t₀ ⟨δF(0)δF(s)⟩ ds", "Force correlation integral in raw units, per axis", "(55)",
                   "u² nm²/ps³", free + " δF = F − f^th, in the limit of a particle that is held."),
        "friction": e("ζ = βεθ", "Friction", "(56)", "u/ps", "The fluctuating force forgets before the momentum does."),
        "tau_momentum": e("τ_P = m/ζ", "Relaxation time of the momentum", "(56)", "ps", "As for ζ."),
        "consistency": e("γ·εθ/(m k_BT)²", "Agreement of the two routes, γ from ∫⟨PP⟩ alone", "(28), (55)", "–",
                         "1 where both regimes hold: D ζ = k_BT."),
        "tau_force": e("τ_K = ∫₀^t₀ (1 − G/G∞) dt", "Memory time of the fluctuating force", "(55)", "ps",
                       "G, the running integral of the memory kernel, has a plateau."),
        "tau_position": e("τ_R = σ_R²/D or L²/D", "Relaxation time of R where confined, else time to diffuse the length L",
                          "(29)", "ps", "The data last longer than τ_R."),
        "smoluchowski": e("max(τ_P, τ_K)/τ_R", "Fast over slow time of equation (29)", "(29)", "–",
                          "Below 0.15 the equation holds; the leading error of its slow rate is (τ_P − τ_K)/τ_R."),
        "fokker-planck": e("τ_K/τ_P", "Fast over slow time of equation (56)", "(56)", "–",
                           "Below 0.15 the equation holds; the leading error of its slow rate is τ_K/τ_P."),
        "epsilon": e("ε = m̂/m", "Smallness parameter", "(3), (30)", "–", "m̂ is the mean atomic mass unless chosen."),
        "mean": e("⟨R⟩ ± std", "Mean and standard deviation of W̃(R, t) at the cursor", "(29) or (56)", "nm",
                  "The initial state, f^th and the coefficient of this page."),
        "slowest": e("1/λ₁", "Longest relaxation time of W̃", "(29)", "ps", "Where nothing confines the particle: the time to diffuse through the box that is drawn."),
        "passage": e("⟨t⟩", "Mean time until R first reaches the chosen place, from the initial state", "(29)", "ps",
                     "D constant; the error is that of D alone."),
        "window": e("t₀", "Where the correlation integrals are read", "(28), (55)", "ps", free),
        "distance": e("½∫|W̃₅₆ − W̃₂₉| dR", "How far apart the two equations are at the cursor", "(29), (56)", "–",
                      "Same forces, hence the same ζ and D = k_BT/ζ for every mass."),
    }  # fmt: skip


EXPLANATIONS = _table()
"""Key of a number -> `Explanation`."""


def data_words(session):
    """From which data the numbers of a session come, in one line."""
    series = session.latest("series")
    if series is None:
        return "no data yet"
    runs = f"{series.n_replicas} runs of " if series.n_replicas > 1 else ""
    return f"{series.label or 'the given series'}: {runs}{series.n_frames} frames every {series.timestep:.4g} ps"


def popup(key, data="", *more):
    """The explanation as HTML, hidden until its parent is pointed at or has the focus.

    Parameters
    ----------
    key : str
        Of `EXPLANATIONS`.
    data : str
        Where the number came from.
    *more : str
        Further lines, such as the window and the estimator.
    """
    found = EXPLANATIONS[key]
    unit = "" if found.unit == "–" else f" · {found.unit}"
    lines = [f"<i>{html.escape(found.name)}</i>", f"equation {html.escape(found.equation)}{html.escape(unit)}"]
    lines += [html.escape(line) for line in (*more, f"Assumes: {found.assumes}", data and f"From {data}") if line]
    return f"<span class='ama-explain' role='tooltip'><b>{html.escape(found.symbol)}</b><br>{'<br>'.join(lines)}</span>"


def explained(key, text, data="", *more):
    """A number that explains itself to the mouse, to the finger and to the keyboard; HTML.

    Parameters
    ----------
    key : str
        Of `EXPLANATIONS`.
    text : str
        HTML of the number.
    """
    return f"<span class='ama-explained' tabindex='0' data-explains='{key}'>{text}{popup(key, data, *more)}</span>"

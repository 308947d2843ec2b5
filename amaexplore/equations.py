"""The paper, equation by equation: what each says, what implements it here, and which test shows it.

>>> from amaexplore.equations import EQUATIONS
>>> EQUATIONS["28"].says
'γ = ∫₋ₜ₀⁰ (P(0) · P(s))^th ds, the diffusion coefficient'

The paper: S. Pankavich, Z. Shreif, P. Ortoleva, "Multiscaling for Classical Nanosystems: Derivation of Smoluchowski &
Fokker-Planck Equations". Every entry is checked by a test: what it names can be imported, and its tests exist.
"""

import html
import re
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["EQUATIONS", "Equation", "EquationTable", "table"]

_LEFT = "style='text-align:left'"

_DERIVATION = "tests/test_derivation.py::"
_BATH = "tests/test_harmonic_bath.py::"
_SERIES = "tests/test_order_parameters.py::"
_TRANSPORT = "tests/test_transport.py::"

_SUMS = _SERIES + "test_order_parameters_equal_a_naive_loop"
_SCALED = _SERIES + "test_scaled_variables_are_equations_31_to_33"
_LN_Q = _DERIVATION + "test_gradient_of_ln_q_is_beta_times_the_mean_force"
_CHAIN = _DERIVATION + "test_the_chain_rule_gives_plus_l0"
_LOWEST = _DERIVATION + "test_the_reduced_density_of_the_lowest_order_is_w"
_CONSERVED = _DERIVATION + "test_conservation_of_probability"
_FIRST = _DERIVATION + "test_the_first_order_solution_solves_its_equation"
_SECULAR = _DERIVATION + "test_what_is_left_after_the_secular_terms_grows_as_a_root"
_NEWTON = _BATH + "test_rows_solve_newtons_equations"
_EQUILIBRIUM = _BATH + "test_equilibrium_stays"
_ORDER_1 = _BATH + "test_liouville_equation_holds_on_the_first_slow_time"
_ORDER_2 = _BATH + "test_fokker_planck_is_one_order_better_than_liouville"
_GIBBS = "tests/test_mean_force.py::test_gibbs_check_passes_one_ensemble_and_flags_a_stuck_replica"
_HELD = "tests/test_simulate_dynamics.py::test_held_dynamics_pins_position_and_momentum_and_keeps_energy"


@dataclass(frozen=True)
class Equation:
    """One numbered equation, or an unnumbered claim of the appendix.

    Parameters
    ----------
    number : str
        ``"1"`` to ``"58"``; ``"A1"``, ``"A2"`` for the appendix's two derivatives.
    section : int
        2 Smoluchowski, 3 Fokker-Planck, 4 appendix.
    says : str
    implemented_by : tuple of str
        Dotted names below ``amaexplore``.
    shown_by : tuple of str
        ``file::function`` of tests.
    note : str
        Slips of the print and how they are mended, or how to read it.
    """

    number: str
    section: int
    says: str
    implemented_by: tuple[str, ...]
    shown_by: tuple[str, ...]
    note: str = ""


def _entries():
    e = Equation
    return [
        e("1", 2, "R = Σ mᵢrᵢθᵢ/m, the centre of mass", ("OrderParameters",), (_SUMS,)),
        e("2", 2, "P = Σ pᵢθᵢ, the total momentum", ("OrderParameters",), (_SUMS,)),
        e("3", 2, "ε = m̂/m, the smallness parameter", ("OrderParameters.epsilon", "AtomSubset.epsilon"),
          (_SERIES + "test_typical_mass_changes_epsilon_only",)),
        e("4", 2, "Liouville's equation for ρ(Γ, t)", ("harmonic_bath.HarmonicBath.rows",), (_NEWTON,),
          "Its characteristics are Newton's equations: molecular dynamics samples it, `HarmonicBath` solves it."),
        e("5", 2, "W̃(R, t) = ∫Δ ρ dΓ*, the reduced density", ("ReducedDensity", "Ensemble.reduced_density"),
          ("tests/test_simulate_ensemble.py::test_empirical_moments_and_densities",)),
        e("6", 2, "Δ = δ(R − R*)", ("Ensemble.reduced_density",),
          ("tests/test_simulate_ensemble.py::test_empirical_moments_and_densities",),
          "In a histogram the δ has the width of a bin."),
        e("7", 2, "∂W̃/∂t = −ε ∂_R·∫ρΔ P*/m̂: conservation of probability", ("Smoluchowski",), (_CONSERVED,)),
        e("8", 2, "the chain rule for ρ(Γ, t, R)", ("harmonic_bath.HarmonicBath",), (_CHAIN,),
          "−𝓛₀ρ must read +𝓛₀ρ; P is raw."),
        e("9", 2, "∂ρ/∂t = (𝓛₀ + ε𝓛₁)ρ", ("harmonic_bath.HarmonicBath",), (_CHAIN,)),
        e("10", 2, "𝓛₀: motion of the atoms at constant R", ("sample_held", "harmonic_bath.HarmonicBath.sample"),
          (_HELD, _CHAIN)),
        e("11", 2, "𝓛₁ = −(P/m̂)·∂_R", ("harmonic_bath.HarmonicBath",), (_CHAIN,)),
        e("12", 2, "f = Σ Fᵢθᵢ, the net force", ("OrderParameters",), (_SUMS,)),
        e("13", 2, "ρ = Σ εⁿρₙ", ("harmonic_bath.HarmonicBath",), (_ORDER_1, _ORDER_2)),
        e("14", 2, "∂/∂t = Σ εⁿ ∂/∂tₙ", ("harmonic_bath.HarmonicBath",), (_ORDER_1, _ORDER_2)),
        e("15", 2, "Λₙ = ∂/∂tₙ − 𝓛ₙ", ("harmonic_bath.HarmonicBath",), (_FIRST,)),
        e("16", 2, "𝓛₀ρ₀ = 0: the lowest order is stationary at fixed R", ("sample_held",), (_EQUILIBRIUM,),
          "H is printed with V counted N times; it enters once."),
        e("17", 2, "ρ₀ = e^{−βH}W/Q = ρ̂W, the nanocanonical ensemble", ("sample_held", "release"), (_LOWEST, _HELD)),
        e("18", 2, "Q(β, R) = ∫Δ e^{−βH}", ("thermal_force.mean_force",), (_LN_Q,)),
        e("19", 2, "A^th: the average over ρ̂ at given R", ("mean_force", "sample_held"),
          (_LN_Q, "tests/test_mean_force.py::test_three_routes_meet_the_exact_force")),
        e("20", 2, "time average = thermal average (Gibbs hypothesis)", ("sample_held",), (_GIBBS,),
          "𝓛₀ moves the atoms with R held: by free dynamics in a trap the time average of F would be zero for every R."),
        e("21", 2, "Λ₀ρ₁ = −Λ₁ρ₀", ("harmonic_bath.HarmonicBath",), (_FIRST,)),
        e("22", 2, "ρ₁ with its secular term; βf^th = ∂_R ln Q", ("MeanForce.from_density",), (_FIRST, _LN_Q)),
        e("23", 2, "f^th as the long-time average of f", ("MeanForce.constant", "sample_held"),
          (_GIBBS, "tests/test_simulate_dynamics.py::test_sampling_with_the_particle_held_finds_the_trap")),
        e("24", 2, "∂W/∂t₁ = 0: nothing moves on the first slow time", ("Smoluchowski",),
          (_DERIVATION + "test_without_momentum_as_slow_variable_nothing_moves_at_first_order",),
          "lim ρ₁/t₀ lacks the factor ρ̂."),
        e("25", 2, "ρ₁ without secular term", ("harmonic_bath.HarmonicBath",), (_SECULAR,),
          "A dot is missing. What is left is not bounded point by point: it wanders as √t₀, so that ρ₁/t₀ → 0 all the same."),
        e("26", 2, "W̃ₙ = ∫Δ ρₙ", ("ReducedDensity",), (_LOWEST,)),
        e("27", 2, "W̃ = Σ εⁿW̃ₙ, with W̃₀ = W and W̃₁ = 0", ("ReducedDensity",), (_LOWEST,)),
        e("28", 2, "γ = ∫₋ₜ₀⁰ (P(0) · P(s))^th ds, the diffusion coefficient", ("gamma", "Gamma.diffusion"),
          (_TRANSPORT + "test_ornstein_uhlenbeck_velocity", "tests/test_synthetic.py::test_green_kubo_of_the_free_bed_gives_gamma"),
          "A tensor P⊗P; the dot product is its trace, three times what one axis needs."),
        e("29", 2, "the Smoluchowski equation", ("Smoluchowski", "BrownianDynamics"),
          ("tests/test_smoluchowski.py::test_harmonic_well_is_ornstein_uhlenbeck",
           "tests/test_langevin.py::test_brownian_histogram_is_the_density_of_equation_29", _BATH + "test_smoluchowski_is_the_late_limit",
           _DERIVATION + "test_both_sets_of_variables_give_one_equation"),
          "Raw: ∂ₜW = ∂_R·[D(∂_R − βF^th)W], D = γ/m² per axis."),
        e("30", 3, "ε = m̂/m again, now with R, P = O(ε^−½) and f = O(ε^½)", ("OrderParameters.epsilon",),
          (_SERIES + "test_typical_mass_changes_epsilon_only",)),
        e("31", 3, "Φ = ε^½ R", ("OrderParameters.scaled",), (_SCALED,)),
        e("32", 3, "Π = ε^½ P", ("OrderParameters.scaled",), (_SCALED,)),
        e("33", 3, "f = ε^−½ Σ Fᵢθᵢ", ("OrderParameters.scaled",), (_SCALED,),
          "Section 2 calls the unscaled sum f: the two never meet in the code."),
        e("34", 3, "W̃(Φ, Π, t) = ∫Δ ρ dΓ*", ("PhaseSpaceDensity", "Ensemble.phase_density"),
          ("tests/test_simulate_ensemble.py::test_empirical_moments_and_densities",)),
        e("35", 3, "Δ = δ(Φ − Φ*) δ(Π − Π*)", ("Ensemble.phase_density",),
          ("tests/test_simulate_ensemble.py::test_empirical_moments_and_densities",)),
        e("36", 3, "conservation of probability in (Φ, Π)", ("FokkerPlanck",), (_CONSERVED,),
          "Dots are missing; the signs are right. After (54), “the right side of (7)” means this equation."),
        e("37", 3, "the chain rule for ρ(Γ, t, Φ, Π)", ("harmonic_bath.HarmonicBath",), (_CHAIN,),
          "−𝓛₀ρ must read +𝓛₀ρ; P is raw, f is scaled."),
        e("38", 3, "∂ρ/∂t = (𝓛₀ + ε𝓛₁)ρ", ("harmonic_bath.HarmonicBath",), (_CHAIN,)),
        e("39", 3, "𝓛₀: motion of the atoms at constant Φ and Π", ("sample_held", "harmonic_bath.HarmonicBath.sample"),
          (_HELD, _CHAIN)),
        e("40", 3, "𝓛₁ = −(Π/m̂)·∂_Φ − f·∂_Π", ("harmonic_bath.HarmonicBath",), (_CHAIN,),
          "The text below it says (10) and (11) and means (39) and (40)."),
        e("41", 3, "ρ = Σ εⁿρₙ", ("harmonic_bath.HarmonicBath",), (_ORDER_1, _ORDER_2)),
        e("42", 3, "∂/∂t = Σ εⁿ ∂/∂tₙ", ("harmonic_bath.HarmonicBath",), (_ORDER_1, _ORDER_2)),
        e("43", 3, "Λₙ = ∂/∂tₙ − 𝓛ₙ", ("harmonic_bath.HarmonicBath",), (_FIRST,)),
        e("44", 3, "𝓛₀ρ₀ = 0 at fixed Φ and Π", ("sample_held",), (_EQUILIBRIUM,)),
        e("45", 3, "ρ₀ = e^{−βH}W(Φ, Π)/Q = ρ̂W", ("sample_held", "release"), (_LOWEST, _HELD)),
        e("46", 3, "Q(β, Φ, Π) = ∫Δ e^{−βH}", ("thermal_force.mean_force",),
          (_DERIVATION + "test_q_depends_on_the_scaled_momentum_as_the_appendix_says",)),
        e("47", 3, "A^th: the average over ρ̂ at given Φ and Π", ("sample_held",),
          (_DERIVATION + "test_given_the_total_the_momenta_of_the_atoms_are_gaussian_about_their_share",)),
        e("48", 3, "time average = thermal average at given Φ and Π", ("sample_held",), (_GIBBS,),
          "Read t → ∞ as: long against the memory of the force, short against the slow times."),
        e("49", 3, "Λ₀ρ₁ = −Λ₁ρ₀", ("harmonic_bath.HarmonicBath",), (_FIRST,)),
        e("50", 3, "ρ₁ with its secular terms", ("harmonic_bath.HarmonicBath",), (_FIRST,)),
        e("51", 3, "Λ₁^th W = 0: on the first slow time W is carried along by the mean force",
          ("harmonic_bath.HarmonicBath.liouville", "FokkerPlanck"),
          (_ORDER_1, "tests/test_fokker_planck.py::test_without_friction_it_is_pure_transport"), "Printed as Λ₁^th ≡ ... = 0, without W; lim ρ₁/t₀ lacks ρ̂."),
        e("52", 3, "ρ₁ without secular terms", ("harmonic_bath.HarmonicBath",), (_SECULAR,), "A dot is missing; see (25)."),
        e("53", 3, "W̃ₙ = ∫Δ ρₙ", ("PhaseSpaceDensity",), (_LOWEST,)),
        e("54", 3, "W̃ = Σ εⁿW̃ₙ", ("PhaseSpaceDensity",), (_LOWEST,)),
        e("55", 3, "θ = ∫₋ₜ₀⁰ [(f(0) · f(s))^th − f^th · f^th] ds", ("theta", "Theta.friction"),
          (_TRANSPORT + "test_force_with_the_momentum_held_has_a_true_plateau",
           _TRANSPORT + "test_kernel_estimator_meets_the_exact_coefficients",
           _TRANSPORT + "test_theta_in_the_papers_variables_and_raw"),
          "A tensor; with R and P held, or the integral has no plateau. Raw: εθ = ∫⟨δF δF⟩, ζ = βεθ."),
        e("56", 3, "the Fokker-Planck equation", ("FokkerPlanck", "Langevin"),
          ("tests/test_fokker_planck.py::test_trap_is_klein_kramers",
           "tests/test_langevin.py::test_langevin_histogram_is_the_marginal_of_equation_56", _ORDER_2, _BATH + "test_conditional_force_is_the_closure",
           _DERIVATION + "test_another_first_order_initial_state_is_forgotten",
           _DERIVATION + "test_both_sets_of_variables_give_one_equation"),
          "Raw: ∂ₜW = −∂_R·(P/m W) − ∂_P·(F^th W) + ∂_P·[εθ(βP/m + ∂_P)W]."),
        e("57", 4, "Q factorises into positions, host momenta and particle momenta", ("thermal_force.mean_force",),
          (_DERIVATION + "test_q_depends_on_the_scaled_momentum_as_the_appendix_says",)),
        e("58", 4, "ρ̂ ∝ e^{−βH} exp(+βΠ²/2m̂)/Q₁(Φ)", ("FokkerPlanck",),
          (_DERIVATION + "test_q_depends_on_the_scaled_momentum_as_the_appendix_says",
           _DERIVATION + "test_gradient_of_the_nanocanonical_density_in_momentum"),
          "The Fourier constants of Iₓ are off by (2π)^{M−1}, which cancels in ρ̂ up to a constant."),
        e("A1", 4, "∂ρ̂/∂Φ = −βρ̂f^th", ("MeanForce.from_density",),
          (_DERIVATION + "test_gradient_of_the_nanocanonical_density_in_scaled_variables",
           _DERIVATION + "test_potential_moves_with_the_centre_of_mass_by_the_net_force"),
          "The residuals obey Σ mᵢσᵢθᵢ = 0 (with the masses), and the atom left out must be one of the nanoparticle."),
        e("A2", 4, "∂ρ̂/∂Π = +βρ̂Π/m̂", ("FokkerPlanck",),
          (_DERIVATION + "test_gradient_of_the_nanocanonical_density_in_momentum",)),
    ]  # fmt: skip


EQUATIONS = MappingProxyType({entry.number: entry for entry in _entries()})
"""Number -> `Equation`, in the paper's order."""


class EquationTable:
    """Equations as a table: ``str`` gives Markdown, a notebook shows it as HTML.

    Parameters
    ----------
    entries : sequence of Equation
    """

    def __init__(self, entries):
        self.entries = tuple(entries)

    def __str__(self):
        rows = ["| | what it says | implemented by | shown by |", "|---|---|---|---|"]
        for entry in self.entries:
            note = f" *{entry.note}*" if entry.note else ""
            tests = ", ".join(f"`{name.split('::')[-1]}`" for name in entry.shown_by)
            names = ", ".join(f"`{name}`" for name in entry.implemented_by)
            rows.append(f"| ({entry.number}) | {entry.says}.{note} | {names} | {tests} |")
        return "\n".join(rows)

    __repr__ = __str__

    def _repr_html_(self):
        rows = []
        for entry in self.entries:
            note = re.sub(r"`(.*?)`", r"<code>\1</code>", html.escape(entry.note))
            note = note and f"<br><i>{note}</i>"
            names = "<br>".join(f"<code>{html.escape(name)}</code>" for name in entry.implemented_by)
            tests = "<br>".join(html.escape(name.split("::")[-1]).replace("_", "_<wbr>") for name in entry.shown_by)
            rows.append(
                f"<tr><td>({entry.number})</td><td {_LEFT}>{html.escape(entry.says)}{note}</td>"
                f"<td {_LEFT}>{names}</td><td {_LEFT}><small>{tests}</small></td></tr>"
            )
        heads = "".join(f"<th {_LEFT}>{name}</th>" for name in ("what it says", "implemented by", "shown by"))
        return f"<table><tr><th></th>{heads}</tr>{''.join(rows)}</table>"


def table(section=None):
    """All equations, or those of one section (2, 3, or 4 for the appendix).

    Returns
    -------
    EquationTable
    """
    return EquationTable(entry for entry in EQUATIONS.values() if section in (None, entry.section))

"""Exact generalised-Langevin systems: series of R, P and F whose γ, θ, G(t) and correlations are known.

dP/dt = f(R) − ∫₀ᵗ K(t−s) P(s) ds + noise, per axis, with a memory kernel K that is a sum of decaying,
possibly oscillating exponentials. Such a system is part of a larger linear one without memory, which is
stepped exactly, whatever the time between frames.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import expm

from .errors import InputError
from .kernels.synthetic import propagate, propagate_double_well, propagate_varying
from .order_parameters import OrderParameters
from .units import BOLTZMANN

__all__ = ["BEDS", "GeneralizedLangevin", "MemoryMode", "VaryingFriction", "bed"]


@dataclass(frozen=True)
class MemoryMode:
    """One term of the memory kernel: (rate/c) exp(−t/decay) cos(ωt), whose integral to infinity is ``rate``.

    Parameters
    ----------
    rate : float, 1/ps
        ∫₀^∞ K dt of this term; the rates add up to ζ/m.
    decay : float, ps
    frequency : float, 1/ps
        ω; zero for a plain exponential.
    """

    rate: float
    decay: float
    frequency: float = 0.0

    @property
    def amplitude(self):
        """K(0) of this term, 1/ps²."""
        return self.rate * (1.0 / self.decay**2 + self.frequency**2) * self.decay

    def kernel(self, time):
        """K(t), 1/ps²."""
        time = np.asarray(time, dtype=float)
        return self.amplitude * np.exp(-time / self.decay) * np.cos(self.frequency * time)

    def integral(self, time):
        """∫₀ᵗ K ds, 1/ps."""
        time = np.asarray(time, dtype=float)
        w, decay = self.frequency, self.decay
        wave = np.cos(w * time) - w * decay * np.sin(w * time)
        return self.rate * (1.0 - np.exp(-time / decay) * wave)

    def time_integral(self):
        """∫₀^∞ (rate − ∫₀ᵗ K) dt, dimensionless: rate times the memory time of this term."""
        w, decay = self.frequency, self.decay
        return self.rate * decay * (1.0 - (w * decay) ** 2) / (1.0 + (w * decay) ** 2)


@dataclass(frozen=True)
class GeneralizedLangevin:
    """A nanoparticle with memory, alike and independent along x, y and z.

    Parameters
    ----------
    modes : tuple of MemoryMode
    mass : float, u
    temperature : float, K
    trap : float, kJ/mol/nm²
        Spring constant k of U = k R²/2; zero for a free particle.
    barrier : float, kJ/mol
        B of U = B((R/a)² − 1)²; zero for none.
    minimum : float, nm
        a, where the two wells lie.
    typical_mass : float, u
    """

    modes: tuple = (MemoryMode(0.64, 0.15),)
    mass: float = 520.0
    temperature: float = 240.0
    trap: float = 0.0
    barrier: float = 0.0
    minimum: float = 0.5
    typical_mass: float = 40.0

    def __post_init__(self):
        if not self.modes or min(mode.decay for mode in self.modes) <= 0 or self.mass <= 0 or self.temperature <= 0:
            raise InputError(
                "A generalised Langevin system needs at least one mode, and positive decay, mass and temperature."
            )
        if self.trap < 0 or self.barrier < 0 or self.minimum <= 0 or (self.trap and self.barrier):
            raise InputError("trap and barrier must not be negative, nor both be given; minimum must be positive.")

    # -- what is exactly known -------------------------------------------------------------------------

    @property
    def thermal_energy(self):
        """k_B T, kJ/mol."""
        return BOLTZMANN * self.temperature

    @property
    def rate(self):
        """ζ/m = ∫₀^∞ K dt, 1/ps."""
        return sum(mode.rate for mode in self.modes)

    @property
    def friction(self):
        """ζ, u/ps."""
        return self.mass * self.rate

    @property
    def theta_raw(self):
        """εθ = ζ k_BT, u² nm²/ps³."""
        return self.friction * self.thermal_energy

    @property
    def diffusion(self):
        """D = k_BT/ζ, nm²/ps (of the free particle, or the local one in a potential)."""
        return self.thermal_energy / self.friction

    @property
    def gamma(self):
        """γ = m² D, u² nm²/ps."""
        return self.mass**2 * self.diffusion

    @property
    def tau_momentum(self):
        """τ_P = m/ζ, ps."""
        return 1.0 / self.rate

    @property
    def tau_force(self):
        """τ_K = ∫₀^∞ (1 − G/G∞) dt, ps."""
        return sum(mode.time_integral() for mode in self.modes) / self.rate

    @property
    def tau_position(self):
        """τ_R = ζ/k in a harmonic trap, ps; infinite for a free particle."""
        return self.friction / self.trap if self.trap else float("inf")

    def kernel(self, time):
        """K(t), 1/ps²."""
        return sum(mode.kernel(time) for mode in self.modes)

    def kernel_integral(self, time):
        """G(t) = ∫₀ᵗ K ds, 1/ps."""
        return sum(mode.integral(time) for mode in self.modes)

    def mean_force(self, position):
        """f^th(R), kJ/mol/nm."""
        position = np.asarray(position, dtype=float)
        scale = 4.0 * self.barrier / self.minimum**2
        return -self.trap * position - scale * position * ((position / self.minimum) ** 2 - 1.0)

    def potential(self, position):
        """U(R), kJ/mol."""
        position = np.asarray(position, dtype=float)
        return 0.5 * self.trap * position**2 + self.barrier * ((position / self.minimum) ** 2 - 1.0) ** 2

    def momentum_correlation(self, time):
        """⟨P(0)P(t)⟩ per axis, u² nm²/ps²; exact, not for the double well."""
        return self._correlation(time, self._momentum_row, self._momentum_row)

    def force_correlation(self, time):
        """⟨F(0)F(t)⟩ per axis, (kJ/mol/nm)²; exact, not for the double well."""
        return self._correlation(time, self._force_row, self._force_row)

    def held_force_correlation(self, time):
        """⟨δFδF⟩ with the momentum held at zero: m k_BT K(t)."""
        return self.mass * self.thermal_energy * self.kernel(time)

    # -- the larger system -----------------------------------------------------------------------------

    @cached_property
    def _drift(self):
        """A of dx = A x dt + noise; x = (R, P, s₁, q₁, s₂, q₂, ...)."""
        d = 2 + 2 * len(self.modes)
        drift = np.zeros((d, d))
        drift[0, 1] = 1.0 / self.mass
        drift[1, 0] = -self.trap
        for k, mode in enumerate(self.modes):
            s, q = 2 + 2 * k, 3 + 2 * k
            drift[1, s] = 1.0
            drift[s, 1] = -mode.amplitude
            drift[s, s] = drift[q, q] = -1.0 / mode.decay
            drift[s, q], drift[q, s] = mode.frequency, -mode.frequency
        return drift

    @cached_property
    def _variances(self):
        """Equilibrium variances of x; zero for the position of a free particle."""
        energy = self.mass * self.thermal_energy
        bath = [v for mode in self.modes for v in (mode.amplitude * energy,) * 2]
        return np.array([self.thermal_energy / self.trap if self.trap else 0.0, energy, *bath])

    @property
    def _momentum_row(self):
        row = np.zeros(len(self._drift))
        row[1] = 1.0
        return row

    @property
    def _force_row(self):
        return self._drift[1].copy()

    def _correlation(self, time, first, second):
        if self.barrier:
            raise InputError("The correlation functions of the double well have no closed form.")
        skip = 0 if self.trap else 1  # a free position has no equilibrium, and nothing depends on it
        drift = self._drift[skip:, skip:]
        variances = np.diag(self._variances[skip:])
        times = np.atleast_1d(np.asarray(time, dtype=float))
        values = np.array([second[skip:] @ expm(drift * t) @ variances @ first[skip:] for t in times])
        return values if np.ndim(time) else float(values[0])

    def _step(self, timestep):
        """Propagator and a square root of the noise covariance of one step (Van Loan's block exponential)."""
        drift = self._drift
        d = len(drift)
        source = np.zeros((d, d))
        for k, mode in enumerate(self.modes):
            for index in (2 + 2 * k, 3 + 2 * k):
                source[index, index] = 2.0 / mode.decay * self._variances[index]
        block = np.block([[-drift, source], [np.zeros((d, d)), drift.T]]) * timestep
        exponential = expm(block)
        step = exponential[d:, d:].T
        covariance = step @ exponential[:d, d:]
        values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
        return step, vectors * np.sqrt(np.clip(values, 0.0, None))

    # -- data ------------------------------------------------------------------------------------------

    def sample(self, seed=0, n_replicas=10, n_frames=10_000, timestep=0.02, inner_steps=8):
        """R, P and F at equilibrium.

        Parameters
        ----------
        seed : int or numpy Generator
        n_replicas, n_frames : int
        timestep : float, ps
        inner_steps : int
            Steps between frames in a double well, where a splitting is used; the linear systems are exact.

        Returns
        -------
        OrderParameters
            A free particle starts at R = 0.
        """
        rng = np.random.default_rng(seed)
        n = 3 * n_replicas
        state = rng.normal(size=(n, len(self._drift))) * np.sqrt(self._variances)
        inner = inner_steps if self.barrier else 1
        if self.barrier:
            state[:, 0] = self._boltzmann(rng, n)
        step, root = self._step(timestep / inner)
        out = np.empty((n, n_frames, len(state[0])))
        for begin in range(0, n_frames, 2000):
            end = min(begin + 2000, n_frames)
            noise = rng.normal(size=((end - begin) * inner, n, len(step))) @ root.T
            if self.barrier:
                scale = 4.0 * self.barrier / self.minimum**2
                part = np.empty((n, end - begin, len(step)))
                propagate_double_well(
                    state, step, noise, 0.5 * timestep / inner, scale, 1.0 / self.minimum**2, inner, part
                )
                out[:, begin:end] = part
            else:
                part = np.empty((n, end - begin, len(step)))
                propagate(state, step, noise, part)
                out[:, begin:end] = part
        force = out[..., 2::2].sum(axis=-1) + self.mean_force(out[..., 0])
        return self._series(timestep, n_replicas, n_frames, out[..., 0], out[..., 1], force)

    def sample_held(self, seed=0, n_replicas=10, n_frames=10_000, timestep=0.02):
        """F with the momentum held at zero, where ∫⟨δFδF⟩ has a true plateau at εθ.

        Returns
        -------
        OrderParameters
            With net force only.
        """
        rng = np.random.default_rng(seed)
        free = replace(self, trap=0.0, barrier=0.0)
        drift = free._drift[2:, 2:]
        variances = np.diag(free._variances[2:])
        step = expm(drift * timestep)
        values, vectors = np.linalg.eigh(variances - step @ variances @ step.T)
        root = vectors * np.sqrt(np.clip(values, 0.0, None))
        n = 3 * n_replicas
        state = rng.normal(size=(n, len(drift))) * np.sqrt(free._variances[2:])
        out = np.empty((n, n_frames, len(drift)))
        propagate(state, step, rng.normal(size=(n_frames, n, len(drift))) @ root.T, out)
        return self._series(timestep, n_replicas, n_frames, None, None, out[..., 0::2].sum(axis=-1))

    def _series(self, timestep, n_replicas, n_frames, *arrays):
        def shaped(values):
            return None if values is None else values.reshape(n_replicas, 3, n_frames).transpose(0, 2, 1)

        position, momentum, force = (shaped(values) for values in arrays)
        return OrderParameters.from_arrays(
            timestep=timestep,
            mass=self.mass,
            centre_of_mass=position,
            momentum=momentum,
            net_force=force,
            typical_mass=self.typical_mass,
            temperature=self.temperature,
            label="generalised Langevin",
        )

    def _boltzmann(self, rng, n):
        """Positions in the double well, by inversion of the cumulative Boltzmann distribution."""
        grid = np.linspace(-4.0 * self.minimum, 4.0 * self.minimum, 4001)
        cumulative = np.cumsum(np.exp(-self.potential(grid) / self.thermal_energy))
        return np.interp(rng.uniform(size=n), cumulative / cumulative[-1], grid)


@dataclass(frozen=True)
class VaryingFriction:
    """A trapped nanoparticle whose friction depends on where it is: ζ(R) = ζ₀ [1 + contrast tanh(R/width)].

    One exponential mode couples to P with a strength that depends on R, without changing the equilibrium.

    Parameters
    ----------
    mode : MemoryMode
    mass : float, u
    temperature : float, K
    trap : float, kJ/mol/nm²
    contrast : float
        Between −1 and 1.
    width : float, nm
    """

    mode: MemoryMode = MemoryMode(1.0, 0.06)
    mass: float = 520.0
    temperature: float = 240.0
    trap: float = 15.0
    contrast: float = 0.6
    width: float = 0.3

    @property
    def thermal_energy(self):
        """k_BT, kJ/mol."""
        return BOLTZMANN * self.temperature

    def friction(self, position):
        """ζ(R), u/ps, for a particle that moves little within the memory time."""
        shape = 1.0 + self.contrast * np.tanh(np.asarray(position, dtype=float) / self.width)
        return self.mass * self.mode.rate * shape

    def sample(self, seed=0, n_replicas=10, n_frames=10_000, timestep=0.02, inner_steps=4):
        """R, P and F at equilibrium, all three axes alike.

        Returns
        -------
        OrderParameters
        """
        rng = np.random.default_rng(seed)
        n = 3 * n_replicas
        bath = np.sqrt(self.mode.amplitude * self.mass * self.thermal_energy)
        deviations = [np.sqrt(self.thermal_energy / self.trap), np.sqrt(self.mass * self.thermal_energy), bath]
        state = rng.normal(size=(n, 3)) * deviations
        out = np.empty((n, n_frames, 3))
        noise = rng.normal(size=(n_frames * inner_steps, n))
        propagate_varying(
            state,
            timestep / inner_steps,
            noise,
            self.mass,
            self.trap,
            self.mode.amplitude,
            self.mode.decay,
            bath,
            self.contrast,
            self.width,
            inner_steps,
            out,
        )
        position, momentum, force = (out[..., k].reshape(n_replicas, 3, n_frames).transpose(0, 2, 1) for k in range(3))
        return OrderParameters.from_arrays(
            timestep=timestep,
            mass=self.mass,
            centre_of_mass=position,
            momentum=momentum,
            net_force=force,
            temperature=self.temperature,
            label="friction that varies",
        )


def _beds():
    one = (MemoryMode(0.64, 0.15),)
    two = (MemoryMode(0.48, 0.08), MemoryMode(0.16, 0.4))
    # ω × decay = 1.5: K changes sign, G overshoots its plateau
    wave = (MemoryMode(0.64, 0.2, 7.5),)
    free = GeneralizedLangevin(modes=one)
    spring = free.friction / free.tau_momentum
    return {
        "free, one mode": free,
        "free, two modes": replace(free, modes=two),
        "free, oscillating kernel": replace(free, modes=wave),
        "trap, τ_R = 10 τ_P": replace(free, trap=spring / 10.0),
        "trap, τ_R = 3 τ_P": replace(free, trap=spring / 3.0),
        "double well": replace(free, barrier=3.0, minimum=0.3),
    }


BEDS = _beds()
"""The named test beds, `GeneralizedLangevin` each."""


def bed(name):
    """A test bed by name.

    Raises
    ------
    InputError
        No such bed; the names are listed.
    """
    try:
        return BEDS[name]
    except KeyError:
        raise InputError(f"No test bed {name!r}; there are: {'; '.join(BEDS)}.") from None

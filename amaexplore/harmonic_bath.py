"""A nanoparticle among harmonic atoms: an N-atom Liouville equation (4) that can be solved exactly.

H = P²/2m + ½ k R² + Σ_j [ p_j²/2m̂ + ½ m̂ω_j² (q_j − c_j R/m̂ω_j²)² ]

The host atoms push the nanoparticle with Σ c_j q_j. Their frequencies are spread so that the force correlation
with R held decays as a Gaussian: a real bath of finitely many atoms, whose order parameters, coefficients and
reduced density are known without any approximation, until the recurrence time. Every step of the derivation of
(29) and (56) can be tried on it. (`amaexplore.synthetic` holds the limit of infinitely many atoms.)
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import expm

from .errors import InputError
from .order_parameters import OrderParameters
from .units import BOLTZMANN

__all__ = ["GaussianState", "HarmonicBath"]

HIGHEST = 6.0  # frequencies reach this over the memory time; what lies above is e^−18 of the whole


@dataclass(frozen=True, eq=False)
class GaussianState:
    """Mean and covariance of the order parameters at several times: a Gaussian W̃ needs no more.

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
    mean : ndarray, shape (n_times, k)
        Of R (nm), P (u nm/ps) and, for the atoms themselves, F (kJ/mol/nm): k is 1, 2 or 3.
    covariance : ndarray, shape (n_times, k, k)
    """

    times: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def density(self, position):
        """W̃(R, t) at positions in nm, shape (n_times, n_positions), 1/nm."""
        centre, variance = self.mean[:, :1], self.covariance[:, 0, :1]
        return np.exp(-((np.asarray(position) - centre) ** 2) / (2.0 * variance)) / np.sqrt(2.0 * np.pi * variance)


@dataclass(frozen=True)
class HarmonicBath:
    """One axis of a nanoparticle (mass m) among n host atoms (mass m̂), each an oscillator that it drags along.

    Parameters
    ----------
    mass : float, u
        m of the nanoparticle.
    friction : float, u/ps
        ζ: what ∫⟨δFδF⟩/k_BT with R held converges to.
    memory : float, ps
        Width of the force's memory: ⟨δF(0)δF(t)⟩ = k_BT ζ √(2/π)/memory · exp(−t²/2 memory²) for many atoms.
    trap : float, kJ/mol/nm²
        k, so that f^th = −kR; zero for a free particle.
    temperature : float, K
    typical_mass : float, u
        m̂, also the mass of the host atoms.
    n_atoms : int
        Host atoms.

    Raises
    ------
    InputError
        A number that is not positive.

    Examples
    --------
    >>> bath = HarmonicBath(mass=520.0, friction=330.0, memory=0.1)
    >>> round(float(bath.kernel_integral(1.0)), 6)
    330.0
    >>> round(bath.epsilon, 6)
    0.076923
    """

    mass: float = 520.0
    friction: float = 330.0
    memory: float = 0.1
    trap: float = 0.0
    temperature: float = 240.0
    typical_mass: float = 40.0
    n_atoms: int = 400

    def __post_init__(self):
        for name in ("mass", "friction", "memory", "temperature", "typical_mass", "n_atoms"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number; got {value!r}.")
        if not (np.isfinite(self.trap) and self.trap >= 0):
            raise InputError(f"trap must be zero or a positive number; got {self.trap!r}.")
        if self.n_atoms != int(self.n_atoms):
            raise InputError(f"n_atoms must be a whole number; got {self.n_atoms!r}.")

    # -- numbers ---------------------------------------------------------------------------------------

    @property
    def thermal_energy(self):
        """k_BT, kJ/mol."""
        return BOLTZMANN * self.temperature

    @property
    def epsilon(self):
        """ε = m̂/m, equation (3)."""
        return self.typical_mass / self.mass

    @property
    def tau_momentum(self):
        """τ_P = m/ζ, ps."""
        return self.mass / self.friction

    @property
    def diffusion(self):
        """k_BT/ζ, nm²/ps."""
        return self.thermal_energy / self.friction

    @property
    def theta_raw(self):
        """εθ = ζ k_BT, u² nm²/ps³."""
        return self.friction * self.thermal_energy

    @property
    def recurrence_time(self):
        """Until when finitely many atoms behave as infinitely many, ps: half of 2π over the spacing of frequencies."""
        return np.pi / (self.frequencies[1] - self.frequencies[0]) if self.n_atoms > 1 else 0.0

    @cached_property
    def frequencies(self):
        """ω_j, shape (n_atoms,), 1/ps."""
        spacing = HIGHEST / self.memory / self.n_atoms
        return spacing * (np.arange(self.n_atoms) + 0.5)

    @cached_property
    def stiffnesses(self):
        """c_j²/m̂ω_j², shape (n_atoms,), u/ps²: what each atom adds to the memory kernel at time zero."""
        spacing = HIGHEST / self.memory / self.n_atoms
        return 2.0 / np.pi * spacing * self.friction * np.exp(-0.5 * (self.frequencies * self.memory) ** 2)

    @cached_property
    def couplings(self):
        """c_j, shape (n_atoms,), u/ps²."""
        return self.frequencies * np.sqrt(self.typical_mass * self.stiffnesses)

    def kernel(self, time):
        """ζ(t) = Σ_j c_j²/m̂ω_j² cos ω_j t = ⟨δF(0)δF(t)⟩/k_BT with R held, u/ps²."""
        return np.cos(np.multiply.outer(np.asarray(time, dtype=float), self.frequencies)) @ self.stiffnesses

    def kernel_integral(self, time):
        """∫₀ᵗ of `kernel`, u/ps: the plateau is ζ."""
        waves = np.sin(np.multiply.outer(np.asarray(time, dtype=float), self.frequencies))
        return waves @ (self.stiffnesses / self.frequencies)

    # -- the exact solution ----------------------------------------------------------------------------

    @cached_property
    def _modes(self):
        """Frequencies Ω and vectors of the normal modes of all atoms, mass-weighted; the nanoparticle comes first."""
        hessian = np.diag(np.concatenate([[(self.trap + self.stiffnesses.sum()) / self.mass], self.frequencies**2]))
        hessian[0, 1:] = hessian[1:, 0] = -self.couplings / np.sqrt(self.mass * self.typical_mass)
        squares, vectors = np.linalg.eigh(hessian)
        # the free particle's own mode has frequency zero up to rounding
        return np.sqrt(np.clip(squares, 0.0, None)), vectors

    def rows(self, times):
        """R, P and F at ``times`` as linear functions of where the atoms were at time zero.

        Returns
        -------
        ndarray, shape (n_times, 3, 2 + 2 n_atoms)
            Coefficients of R(0), P(0), y_j(0), p_j(0), where y_j = q_j − c_j R/m̂ω_j² is the displacement of
            host atom j from where it rests for that R.
        """
        omega, vectors = self._modes
        times = np.atleast_1d(np.asarray(times, dtype=float))[:, None]
        cosine, sine = np.cos(omega * times), np.sin(omega * times)
        # sin(Ωt)/Ω, which is t for the mode of frequency zero
        swing = times * np.sinc(omega * times / np.pi)
        first = vectors[0]
        root, root_host = np.sqrt(self.mass), np.sqrt(self.typical_mass)
        by_position = np.stack([cosine / root, -root * omega * sine, -root * omega**2 * cosine], axis=1)
        by_momentum = np.stack([swing / root, root * cosine, -root * omega * sine], axis=1)
        of_position = (by_position * first) @ vectors.T
        of_momentum = (by_momentum * first) @ vectors.T
        rest = self.couplings / (self.typical_mass * self.frequencies**2)
        moved = root * of_position[..., 0] + root_host * (of_position[..., 1:] @ rest)
        return np.concatenate(
            [
                moved[..., None],
                of_momentum[..., :1] / root,
                root_host * of_position[..., 1:],
                of_momentum[..., 1:] / root_host,
            ],
            axis=-1,
        )

    @cached_property
    def _host_variances(self):
        """Of y_j and p_j at equilibrium for given R: ρ̂, equations (17) and (45)."""
        displacement = self.thermal_energy / (self.typical_mass * self.frequencies**2)
        return np.concatenate([displacement, np.full(self.n_atoms, self.typical_mass * self.thermal_energy)])

    def _start(self, mean, covariance):
        mean = np.asarray(mean, dtype=float)
        if covariance is None:
            covariance = np.diag([0.0, self.mass * self.thermal_energy])
        return mean, np.asarray(covariance, dtype=float)

    def evolve(self, times, mean=(0.0, 0.0), covariance=None, *, displacement=None):
        """The exact state of (R, P, F) of the atoms, from ρ(t=0) = ρ̂ W with W a Gaussian of (R, P).

        Parameters
        ----------
        times : array_like, ps
        mean : (float, float)
            ⟨R⟩ in nm and ⟨P⟩ in u nm/ps at time zero.
        covariance : array_like, shape (2, 2), optional
            Default: R sharp, P Maxwellian.
        displacement : array_like, shape (n_atoms,), nm, optional
            Mean of y_j at time zero: zero for ρ̂ W. Anything else is a first-order initial state Ā₁ that is not zero.

        Returns
        -------
        GaussianState
        """
        times = np.atleast_1d(np.asarray(times, dtype=float))
        mean, covariance = self._start(mean, covariance)
        rows = self.rows(times)
        slow, host = rows[..., :2], rows[..., 2:]
        means = slow @ mean
        if displacement is not None:
            means = means + host[..., : self.n_atoms] @ np.asarray(displacement, dtype=float)
        spread = (host * self._host_variances) @ host.swapaxes(1, 2)
        return GaussianState(times, means, slow @ covariance @ slow.swapaxes(1, 2) + spread)

    def fokker_planck(self, times, mean=(0.0, 0.0), covariance=None):
        """The Gaussian W̃(R, P, t) of equation (56) from the same start; a `GaussianState` of (R, P)."""
        drift = np.array([[0.0, 1.0 / self.mass], [-self.trap, -self.friction / self.mass]])
        return _ornstein_uhlenbeck(times, *self._start(mean, covariance), drift, np.diag([0.0, 2.0 * self.theta_raw]))

    def liouville(self, times, mean=(0.0, 0.0), covariance=None):
        """The Gaussian W(R, P, t) of equation (51): (56) without θ, motion in the mean force alone."""
        drift = np.array([[0.0, 1.0 / self.mass], [-self.trap, 0.0]])
        return _ornstein_uhlenbeck(times, *self._start(mean, covariance), drift, np.zeros((2, 2)))

    def smoluchowski(self, times, mean=0.0, variance=0.0):
        """The Gaussian W̃(R, t) of equation (29) with D = k_BT/ζ; a `GaussianState` of R."""
        drift, noise = np.array([[-self.trap / self.friction]]), np.array([[2.0 * self.diffusion]])
        return _ornstein_uhlenbeck(times, np.array([float(mean)]), np.array([[float(variance)]]), drift, noise)

    # -- data ------------------------------------------------------------------------------------------

    def sample(self, seed=0, n_replicas=10, n_frames=2000, timestep=0.02, *, held=False):
        """R, P and F of the atoms in equilibrium, three axes alike, without an integrator's error.

        Parameters
        ----------
        seed : int or numpy Generator
        n_replicas, n_frames : int
            Longer than the recurrence time the same motion comes again.
        timestep : float, ps
            Between frames.
        held : bool
            Hold R and P at zero, as e^{−𝓛₀t} does: then F alone is returned.

        Returns
        -------
        OrderParameters
            A free particle starts at R = 0.
        """
        rng = np.random.default_rng(seed)
        n = 3 * n_replicas
        host = rng.normal(size=(2 * self.n_atoms, n)) * np.sqrt(self._host_variances)[:, None]
        times = timestep * np.arange(n_frames)
        if held:
            phase = np.multiply.outer(times, self.frequencies)
            swing = np.sin(phase) / (self.typical_mass * self.frequencies)
            force = (self.couplings * np.cos(phase)) @ host[: self.n_atoms] + (self.couplings * swing) @ host[
                self.n_atoms :
            ]
            values = force[None]
        else:
            position = rng.normal(scale=np.sqrt(self.thermal_energy / self.trap), size=n) if self.trap else np.zeros(n)
            momentum = rng.normal(scale=np.sqrt(self.mass * self.thermal_energy), size=n)
            values = (self.rows(times) @ np.concatenate([position[None], momentum[None], host])).swapaxes(0, 1)
        shaped = values.reshape(len(values), n_frames, n_replicas, 3).swapaxes(1, 2)
        names = ("net_force",) if held else ("centre_of_mass", "momentum", "net_force")
        return OrderParameters.from_arrays(
            timestep=timestep,
            mass=self.mass,
            typical_mass=self.typical_mass,
            temperature=self.temperature,
            label="harmonic bath" + (", R held" if held else ""),
            **dict(zip(names, shaped)),
        )


def _ornstein_uhlenbeck(times, mean, covariance, drift, noise):
    """Moments of dx = drift x dt + noise at all times, exact: both obey linear equations with a constant term."""
    times = np.atleast_1d(np.asarray(times, dtype=float))
    d = len(drift)
    one = np.eye(d)
    # d cov/dt = drift cov + cov driftᵀ + noise, as one vector with a 1 at its end
    rate = np.zeros((d * d + 1, d * d + 1))
    rate[:-1, :-1] = np.kron(drift, one) + np.kron(one, drift)
    rate[:-1, -1] = noise.ravel()
    start = np.append(covariance.ravel(), 1.0)
    means = np.array([expm(drift * time) @ mean for time in times])
    covariances = np.array([(expm(rate * time) @ start)[:-1].reshape(d, d) for time in times])
    return GaussianState(times, means, covariances)

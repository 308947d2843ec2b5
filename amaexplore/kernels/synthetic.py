"""Exact steps of linear stochastic systems, and of the same with a quartic double well."""

import math

from .compile import kernel

__all__ = ["propagate", "propagate_double_well", "propagate_varying"]


@kernel
def propagate(state, step, noise, out):
    """x ← E x + ξ for every trajectory, recording x before each step.

    Parameters
    ----------
    state : ndarray, shape (n_trajectories, d)
        Changed in place.
    step : ndarray, shape (d, d)
        E, the propagator of one time step.
    noise : ndarray, shape (n_steps, n_trajectories, d)
        ξ, already with its covariance.
    out : ndarray, shape (n_trajectories, n_steps, d)
    """
    n_steps, n_trajectories, d = noise.shape
    for t in range(n_trajectories):
        for n in range(n_steps):
            for a in range(d):
                out[t, n, a] = state[t, a]
            for a in range(d):
                total = noise[n, t, a]
                for b in range(d):
                    total += step[a, b] * out[t, n, b]
                state[t, a] = total


@kernel
def propagate_double_well(state, step, noise, half_step, scale, inverse_square, n_inner, out):
    """The same between two half kicks of the force −dU/dR, U = B((R/a)² − 1)²; records every n_inner steps.

    Parameters
    ----------
    half_step : float
    scale : float
        4B/a².
    inverse_square : float
        1/a².
    """
    n_steps, n_trajectories, d = noise.shape
    for t in range(n_trajectories):
        for n in range(n_steps):
            if n % n_inner == 0:
                for a in range(d):
                    out[t, n // n_inner, a] = state[t, a]
            x = state[t, 0]
            state[t, 1] -= half_step * scale * x * (x * x * inverse_square - 1.0)
            first, second = state[t, 0], state[t, 1]
            for a in range(d):
                total = noise[n, t, a] + step[a, 0] * first + step[a, 1] * second
                for b in range(2, d):
                    total += step[a, b] * state[t, b]
                noise[n, t, a] = total
            for a in range(d):
                state[t, a] = noise[n, t, a]
            x = state[t, 0]
            state[t, 1] -= half_step * scale * x * (x * x * inverse_square - 1.0)


@kernel
def propagate_varying(state, timestep, noise, mass, trap, amplitude, decay, bath, contrast, width, n_inner, out):
    """One exponential mode whose coupling depends on R: dP = −kR + g s, ds = −g K₀P − s/τ + noise.

    g² = 1 + c tanh(R/w). Symmetric splitting: kick, drift, exact rotation of (P, s), exact decay of s, and back.

    Parameters
    ----------
    state : ndarray, shape (n_trajectories, 3)
        R, P, s.
    timestep : float
    noise : ndarray, shape (n_steps, n_trajectories)
        Standard normal.
    bath : float
        Equilibrium standard deviation of s.
    """
    n_steps, n_trajectories = noise.shape
    root = math.sqrt(amplitude)
    keep = math.exp(-timestep / decay)
    rest = bath * math.sqrt(1.0 - keep * keep)
    half = 0.5 * timestep
    for t in range(n_trajectories):
        x, p, s = state[t, 0], state[t, 1], state[t, 2]
        for n in range(n_steps):
            if n % n_inner == 0:
                out[t, n // n_inner, 0] = x
                out[t, n // n_inner, 1] = p
                out[t, n // n_inner, 2] = s * math.sqrt(1.0 + contrast * math.tanh(x / width)) - trap * x
            p -= half * trap * x
            x += half * p / mass
            angle = half * root * math.sqrt(1.0 + contrast * math.tanh(x / width))
            c, d = math.cos(angle), math.sin(angle)
            p, s = c * p + d / root * s, c * s - d * root * p
            s = keep * s + rest * noise[n, t]
            p, s = c * p + d / root * s, c * s - d * root * p
            x += half * p / mass
            p -= half * trap * x
        state[t, 0], state[t, 1], state[t, 2] = x, p, s

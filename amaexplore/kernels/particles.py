"""Steps of the Langevin equation for many independent particles, in one to three dimensions."""

import numpy as np

from .compile import kernel

__all__ = ["brownian", "brownian_varying", "langevin"]

REFLECTING, ABSORBING, PERIODIC = 0, 1, 2


@kernel
def _interpolate(table, axis, position, i_particle, lower, inverse_width):
    """Multilinear interpolation of table[axis] (nodes along three axes) at one particle; the nearest node outside."""
    d = position.shape[1]
    base = np.zeros(3, dtype=np.int64)
    following = np.zeros(3, dtype=np.int64)
    share = np.zeros(3)
    for a in range(d):
        size = table.shape[a + 1]
        s = (position[i_particle, a] - lower[a]) * inverse_width[a]
        s = min(max(s, 0.0), size - 1.0)
        base[a] = min(int(s), size - 2)
        following[a] = base[a] + 1
        share[a] = s - base[a]
    total = 0.0
    for corner in range(1 << d):
        weight = 1.0
        i, j, k = base[0], base[1], base[2]
        if corner & 1:
            i = following[0]
            weight *= share[0]
        else:
            weight *= 1.0 - share[0]
        if corner & 2:
            j = following[1]
            weight *= share[1]
        else:
            weight *= 1.0 - share[1]
        if d == 3:
            if corner & 4:
                k = following[2]
                weight *= share[2]
            else:
                weight *= 1.0 - share[2]
        total += weight * table[axis, i, j, k]
    return total


@kernel
def _line(table, axis, x, lower, inverse_width):
    size = table.shape[1]
    s = min(max((x - lower) * inverse_width, 0.0), size - 1.0)
    base = min(int(s), size - 2)
    share = s - base
    return (1.0 - share) * table[axis, base, 0, 0] + share * table[axis, base + 1, 0, 0]


@kernel
def _at_walls(x, lower, upper, ends, a):
    """New coordinate, whether the momentum turns, and whether the particle is lost."""
    low, high = ends[a, 0], ends[a, 1]
    if lower[a] <= x <= upper[a]:
        return x, False, False
    length = upper[a] - lower[a]
    if low == PERIODIC:
        return x - length * np.floor((x - lower[a]) / length), False, False
    turned = False
    for _ in range(64):
        if x < lower[a]:
            if low == ABSORBING:
                return lower[a], turned, True
            x = 2.0 * lower[a] - x
            turned = not turned
        elif x > upper[a]:
            if high == ABSORBING:
                return upper[a], turned, True
            x = 2.0 * upper[a] - x
            turned = not turned
        else:
            break
    return min(max(x, lower[a]), upper[a]), turned, False


@kernel
def langevin(
    position,
    momentum,
    alive,
    noise,
    step,
    mass,
    table,
    node_lower,
    inverse_width,
    lower,
    upper,
    ends,
    keep,
    kick,
    rate,
    noise_scale,
):
    """BAOAB: half kick, half drift, exact friction and noise, half drift, half kick; one row of ``noise`` per step.

    Parameters
    ----------
    position, momentum : ndarray, shape (n, d)
    alive : ndarray of bool, shape (n,)
    noise : ndarray, shape (n_steps, n, d)
        Standard normal.
    step, mass : float
    table : ndarray, shape (d, nodes, nodes or 1, nodes or 1)
        Force at nodes node_lower + i/inverse_width.
    lower, upper : ndarray, shape (d,)
    ends : ndarray of int, shape (d, 2)
    keep, kick : ndarray, shape (d, d)
        Of the exact step P ← keep P + kick ξ. Used where ``rate`` is empty.
    rate : ndarray, shape (1, nodes, 1, 1) or (0, ...)
        Friction over mass that varies along a line, at the nodes.
    noise_scale : float
        √(m k_BT).
    """
    n, d = position.shape
    half = 0.5 * step
    drift = half / mass
    mixed = np.empty(3)
    # the force at the end of a step is that at the start of the next
    force = np.empty((n, d))
    for i in range(n):
        for a in range(d):
            if d == 1:  # not a function of both cases: the call would cost more than the force
                force[i, a] = _line(table, 0, position[i, 0], node_lower[0], inverse_width[0])
            else:
                force[i, a] = _interpolate(table, a, position, i, node_lower, inverse_width)
    for s in range(noise.shape[0]):
        for i in range(n):
            if not alive[i]:
                continue
            for a in range(d):
                momentum[i, a] += half * force[i, a]
                position[i, a] += drift * momentum[i, a]
            if rate.shape[0] > 0:
                gamma = _line(rate, 0, position[i, 0], node_lower[0], inverse_width[0])
                c = np.exp(-gamma * step)
                momentum[i, 0] = c * momentum[i, 0] + noise_scale * np.sqrt(1.0 - c * c) * noise[s, i, 0]
            elif d == 1:
                momentum[i, 0] = keep[0, 0] * momentum[i, 0] + kick[0, 0] * noise[s, i, 0]
            else:
                for a in range(d):
                    total = 0.0
                    for b in range(d):
                        total += keep[a, b] * momentum[i, b] + kick[a, b] * noise[s, i, b]
                    mixed[a] = total
                for a in range(d):
                    momentum[i, a] = mixed[a]
            for a in range(d):
                x, turned, lost = _at_walls(position[i, a] + drift * momentum[i, a], lower, upper, ends, a)
                position[i, a] = x
                if turned:
                    momentum[i, a] = -momentum[i, a]
                if lost:
                    alive[i] = False
            for a in range(d):
                if d == 1:  # not a function of both cases: the call would cost more than the force
                    force[i, a] = _line(table, 0, position[i, 0], node_lower[0], inverse_width[0])
                else:
                    force[i, a] = _interpolate(table, a, position, i, node_lower, inverse_width)
                momentum[i, a] += half * force[i, a]


@kernel
def brownian(position, last, alive, noise, table, node_lower, inverse_width, lower, upper, ends, drift, spread):
    """Leimkuhler and Matthews: x ← x + drift F + spread (ξ_{k−1} + ξ_k)/2, for a constant D.

    Parameters
    ----------
    last : ndarray, shape (n, d)
        ξ of the step before; changed in place.
    drift, spread : ndarray, shape (d, d)
        βDτ and (2Dτ)^½.
    """
    n, d = position.shape
    force, mean = np.empty(3), np.empty(3)
    for s in range(noise.shape[0]):
        for i in range(n):
            if not alive[i]:
                continue
            for a in range(d):
                if d == 1:  # not a function of both cases: the call would cost more than the force
                    force[a] = _line(table, 0, position[i, 0], node_lower[0], inverse_width[0])
                else:
                    force[a] = _interpolate(table, a, position, i, node_lower, inverse_width)
                mean[a] = 0.5 * (last[i, a] + noise[s, i, a])
                last[i, a] = noise[s, i, a]
            for a in range(d):
                shift = 0.0
                for b in range(d):
                    shift += drift[a, b] * force[b] + spread[a, b] * mean[b]
                x, turned, lost = _at_walls(position[i, a] + shift, lower, upper, ends, a)
                position[i, a] = x
                if turned:
                    last[i, a] = -last[i, a]  # the noise carried over is mirrored with the particle
                if lost:
                    alive[i] = False


@kernel
def brownian_varying(position, alive, noise, step, table, node_lower, inverse_width, lower, upper, ends):
    """x ← x + (βDF + ∂D)τ + (2Dτ)^½ ξ along a line; table rows are βDF + ∂D and D at the nodes."""
    n = position.shape[0]
    for s in range(noise.shape[0]):
        for i in range(n):
            if not alive[i]:
                continue
            x = position[i, 0]
            drift = _line(table, 0, x, node_lower[0], inverse_width[0])
            diffusion = _line(table, 1, x, node_lower[0], inverse_width[0])
            x += drift * step + np.sqrt(2.0 * diffusion * step) * noise[s, i, 0]
            x, _, lost = _at_walls(x, lower, upper, ends, 0)
            position[i, 0] = x
            if lost:
                alive[i] = False

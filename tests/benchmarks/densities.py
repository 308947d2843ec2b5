"""How long the densities take, and how right they are, beside other solvers on the same work.

``python tests/benchmarks/densities.py`` prints one table. Times are the best of several repeats after compilation,
wall clock and processor time (on a shared machine the second is the fairer); errors are the largest difference over
all frames over the largest density, against exact or much finer solutions. Needs the extra ``benchmark``.
"""

import time

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.sparse import csc_matrix

from amaexplore import BrownianDynamics, FokkerPlanck, Grid, Langevin, Smoluchowski
from amaexplore.reduced_density.initial import initial_density
from amaexplore.reduced_density.phase_space_basis import project
from amaexplore.reduced_density.spectral import march_modes
from amaexplore.units import thermal_energy

TEMPERATURE = 300.0
KT = thermal_energy(TEMPERATURE)
DIFFUSION = 0.05
TIMES = np.linspace(0.0, 19.9, 200)
MEAN, STD = 1.5, 0.3
ROWS = []


def harmonic(x):
    return KT * x**2


def double_well(x):
    return 3.0 * KT * (x**2 - 1.0) ** 2


def timed(function, repeats=5):
    """Best wall and processor seconds, and the last result."""
    wall, cpu = np.inf, np.inf
    for _ in range(repeats):
        c, w = time.process_time(), time.perf_counter()
        result = function()
        wall, cpu = min(wall, time.perf_counter() - w), min(cpu, time.process_time() - c)
    return wall, cpu, result


def row(work, solver, wall, cpu, error=float("nan"), wanted=""):
    ROWS.append((work, solver, wall, cpu, error, wanted))
    print(f"{work:34} {solver:34} {1e3 * wall:11.2f} {1e3 * cpu:11.2f} {error:10.1e}  {wanted}", flush=True)


def ornstein_uhlenbeck(x, times):
    centre = MEAN * np.exp(-2.0 * DIFFUSION * times)[:, None]
    variance = (0.5 + (STD**2 - 0.5) * np.exp(-4.0 * DIFFUSION * times))[:, None]
    return np.exp(-0.5 * (x - centre) ** 2 / variance) / np.sqrt(2.0 * np.pi * variance)


def error_of(values, exact):
    return float(np.abs(values - exact).max() / exact.max())


def one_axis(name, potential, half, start, others):
    """400 cells × 200 times: ours, then others, against the exact or a four times finer solution."""
    grid = Grid(-half, half, 400)
    s = Smoluchowski(grid, DIFFUSION, potential=potential, temperature=TEMPERATURE)
    if potential is harmonic:
        exact = ornstein_uhlenbeck(grid.centres, TIMES)
    else:
        fine = Smoluchowski(Grid(-half, half, 3600), DIFFUSION, potential=potential, temperature=TEMPERATURE)
        exact = fine.evolve(start, TIMES, scheme="rational").values[:, 4::9]
    work = f"{name}, 400 cells × 200 times"
    s.evolve(start, TIMES)

    def ours():
        fresh = Smoluchowski(grid, DIFFUSION, potential=potential, temperature=TEMPERATURE)
        return fresh.evolve(start, TIMES).values

    wall, cpu, values = timed(ours, 20)
    row(work, "amaexplore, even frames", wall, cpu, error_of(values, exact), "≤ 5 ms, 2e-4")
    wall, cpu, values = timed(lambda: s.evolve(start, TIMES, scheme="rational").values, 10)
    row(work, "amaexplore, any times", wall, cpu, error_of(values, exact))
    initial = s.evolve(start, [0.0]).values[0]
    dense = s.generator.dense()

    def by_expm():
        step, out = expm(dense * TIMES[1]), [initial]
        for _ in TIMES[1:]:
            out.append(step @ out[-1])
        return np.array(out)

    wall, cpu, values = timed(by_expm, 3)
    row(work, "scipy expm of the same matrix", wall, cpu, error_of(values, exact))
    sparse = csc_matrix(dense)

    def by_ivp():
        return solve_ivp(
            lambda _, y: sparse @ y, (0.0, TIMES[-1]), initial, "BDF", TIMES, jac=sparse, rtol=1e-5, atol=1e-8
        ).y.T

    wall, cpu, values = timed(by_ivp, 2)
    row(work, "scipy solve_ivp BDF, sparse", wall, cpu, error_of(values, exact))
    for other in others:
        other(work, grid, potential, initial, exact)


def with_fplanck(work, grid, potential, initial, exact):
    # the last release of fplanck asks numpy for a name that numpy 2 no longer has
    np.__dict__["product"] = np.prod
    import fplanck
    from scipy.constants import k

    # in units where k_BT is one; fplanck's cells are centred on the origin as ours are
    model = fplanck.fokker_planck(
        temperature=1.0 / k,
        drag=1.0 / DIFFUSION,
        extent=grid.length,
        resolution=grid.width * (1.0 + 1e-12),
        potential=lambda x: potential(x) / KT,
        boundary=fplanck.boundary.reflecting,
    )
    wall, cpu, result = timed(lambda: model.propagate_interval(lambda x: initial, TIMES[-1], Nsteps=len(TIMES)), 1)
    row(work, "fplanck", wall, cpu, error_of(result[1] / grid.width, exact))


def with_pypde(work, grid, potential, initial, exact):
    import pde

    axis = pde.CartesianGrid([[grid.lower, grid.upper]], grid.n_cells)
    field = pde.ScalarField(axis, initial)
    equation = pde.PDE({"w": f"{DIFFUSION} * laplace(w) + {DIFFUSION} * d_dx(2 * x * w)"}, bc={"value": 0})

    def run():
        storage = pde.MemoryStorage()
        equation.solve(
            field,
            t_range=float(TIMES[-1]),
            dt=1e-4,
            adaptive=True,
            solver="runge-kutta",
            tracker=[storage.tracker(float(TIMES[1]))],
        )
        return np.array(storage.times), np.array([frame.data for frame in storage])

    run()
    wall, cpu, (times, values) = timed(run, 1)
    # at the times it kept, which need not be those asked for
    row(work, "py-pde, adaptive Runge-Kutta", wall, cpu, error_of(values, ornstein_uhlenbeck(grid.centres, times)))


def rates():
    s = Smoluchowski(Grid(-1.9, 1.9, 400), DIFFUSION, potential=double_well, temperature=TEMPERATURE)
    s.relaxation_rates(10)
    wall, cpu, values = timed(lambda: s.relaxation_rates(10), 20)
    symmetric = np.sort(np.linalg.eigvals(-s.generator.dense()).real)[1:11]
    row(
        "10 relaxation rates, 400 cells",
        "amaexplore",
        wall,
        cpu,
        float(np.abs(values / symmetric - 1.0).max()),
        "≤ 10 ms",
    )


def two_axes():
    times = np.linspace(0.0, 20.0, 101)[1:]
    grid = Grid(-4.0, 4.0, 200)

    def start(x, y):
        return np.exp(-0.5 * ((x - MEAN) ** 2 + (y - MEAN) ** 2) / STD**2)

    s = Smoluchowski((grid, grid), DIFFUSION, potential=lambda x, y: harmonic(x) + harmonic(y), temperature=TEMPERATURE)
    s.evolve(start, times)
    wall, cpu, w = timed(lambda: s.evolve(start, times), 5)
    along = ornstein_uhlenbeck(grid.centres, times)
    exact = np.einsum("ti,tj->tij", along, along)
    row("two axes, 200² cells × 100 times", "amaexplore", wall, cpu, error_of(w.values, exact), "≤ 50 ms")


def phase_space():
    """Double well, 3 k_BT, Γ = 0.5 thermal crossings, against more modes and shorter steps."""
    grid, mass = Grid(-2.0, 2.0, 200), 50.0
    velocity = np.sqrt(KT / mass)
    times = np.linspace(0.0, 20.0 / velocity, 101)[1:]
    f = FokkerPlanck(grid, mass, 0.5 * mass * velocity, potential=double_well, temperature=TEMPERATURE)
    start = ("gaussian", -1.0, 0.2)
    f.evolve(start, times)
    density, _ = initial_density((grid,), start)
    modes = f._position_modes(72)
    coefficients = np.zeros((48, modes.count))
    coefficients[0] = project(modes, density * grid.width)
    run = march_modes(modes, velocity, coefficients, times, 0.01 / velocity)
    fine = run.coefficients[:, 0] @ modes.even.T / grid.width
    wall, cpu, solved = timed(lambda: f._solve(density, times, None), 5)
    values = solved[0].coefficients[:, 0] @ solved[1].even.T / grid.width
    row("phase space, 100 times", "amaexplore, solved", wall, cpu, error_of(values, fine), "≤ 30 ms, 1e-3")
    wall, cpu, w = timed(lambda: f.evolve(start, times), 5)
    row(
        "phase space, 100 times",
        "amaexplore, with all frames",
        wall,
        cpu,
        error_of(w.marginal("position").values, fine),
    )


def particles():
    grid = Grid(-4.0, 4.0, 200)
    for model in (
        Langevin(grid, 50.0, 30.0, potential=harmonic, temperature=TEMPERATURE),
        BrownianDynamics(grid, DIFFUSION, potential=harmonic, temperature=TEMPERATURE),
    ):
        step, n_steps, n = 0.02, 20, 100_000
        model.sample(1000, [step], ("gaussian", MEAN, STD))

        def run(count, model=model, n=n, step=step):
            return model.sample(n, [count * step], ("gaussian", MEAN, STD), timestep=step)

        # two lengths, so that drawing the initial state is not counted
        long, short = timed(lambda run=run, k=n_steps: run(k), 3), timed(lambda run=run: run(1), 3)
        per_million = 1e6 / (n * (n_steps - 1))
        wall, cpu = ((a - b) * per_million for a, b in zip(long[:2], short[:2]))
        row("10⁶ particle steps", f"amaexplore, {type(model).__name__}", wall, cpu, wanted="≤ 40 ms")


def main():
    print(f"{'work':34} {'solver':34} {'wall / ms':>11} {'cpu / ms':>11} {'error':>10}  to reach")
    one_axis("harmonic well", harmonic, 4.0, ("gaussian", MEAN, STD), [with_fplanck, with_pypde])
    one_axis("double well, 3 k_BT", double_well, 2.0, ("gaussian", -1.0, 0.2), [with_fplanck])
    rates()
    two_axes()
    phase_space()
    particles()
    for work in dict.fromkeys(row[0] for row in ROWS):
        best = [row for row in ROWS if row[0] == work and row[1].startswith("amaexplore, even")]
        for other in [row for row in ROWS if row[0] == work and "amaexplore" not in row[1]]:
            print(f"{work}: {other[3] / best[0][3]:.0f} times the processor time of amaexplore in {other[1]}")


if __name__ == "__main__":
    main()

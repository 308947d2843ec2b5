"""The memory-kernel estimator over many seeded repeats: bias, scatter, and how often its error bars hold the truth."""

import numpy as np
import pytest

from amaexplore.synthetic import BEDS, bed
from amaexplore.transport import prepare


def repeats(system, seeds):
    """Relative deviations of ζ and D and their claimed errors, and ζ by the maximum of the plain integral."""
    rows = []
    for seed in seeds:
        bench = prepare(system.sample(seed=seed))
        theta, gamma = bench.theta(estimator="kernel"), bench.gamma(estimator="kernel")
        rows.append(
            (
                theta.friction / system.friction - 1,
                theta.friction_std / system.friction,
                gamma.diffusion / system.diffusion - 1,
                gamma.diffusion_std / system.diffusion,
                bench.theta(estimator="maximum").friction / system.friction - 1,
            )
        )
    return np.array(rows).T


def report(name, deviation, std):
    """A line to read with ``pytest -s``."""
    inside = [np.mean(np.abs(deviation) < k * std) for k in (1, 2)]
    print(
        f"\n{name}: bias {100 * deviation.mean():+.1f} %, rmse {100 * np.sqrt(np.mean(deviation**2)):.1f} %, "
        f"1σ {inside[0]:.2f}, 2σ {inside[1]:.2f}"
    )
    return inside


@pytest.mark.slow
@pytest.mark.parametrize("name", BEDS)
def test_bias_scatter_and_coverage(name):
    friction, friction_std, diffusion, diffusion_std, maximum = repeats(bed(name), range(1000, 1120))
    for what, deviation, std in (("ζ", friction, friction_std), ("D", diffusion, diffusion_std)):
        one, two = report(f"{name}, {what}", deviation, std)
        assert abs(deviation.mean()) < 0.02
        assert np.sqrt(np.mean(deviation**2)) < 0.08
        assert 0.58 < one < 0.80
        assert 0.90 <= two <= 0.99
    if name in ("free, one mode", "free, two modes"):
        assert maximum.mean() < -0.10


@pytest.mark.parametrize("name", ["free, two modes", "double well"])
def test_bias_and_scatter_in_short(name):
    friction, friction_std, *_, maximum = repeats(bed(name), range(8))
    # 8 repeats: the mean is known to rmse/√8 = 1.3 %
    assert abs(friction.mean()) < 0.04
    assert np.sqrt(np.mean(friction**2)) < 0.08
    assert np.sum(np.abs(friction) < 2 * friction_std) >= 6
    assert maximum.mean() < -0.08

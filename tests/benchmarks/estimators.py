"""Every estimator on the same data: bias, scatter, coverage, cost. Run it: ``python tests/benchmarks/estimators.py [repeats]``.

Beside our own there are STACIE (optional library) and a cepstral estimator (Ercole, Marcolongo and Baroni, 2017),
written out here for the comparison: the logarithm of the averaged periodogram, low-pass filtered in the cepstral domain, with
the number of coefficients by Akaike's criterion, on the lowest tenth of the frequencies.
"""

import argparse
import time

import numpy as np
from scipy.special import digamma, polygamma

from amaexplore.errors import AmaError
from amaexplore.green_kubo import ESTIMATORS
from amaexplore.synthetic import BEDS
from amaexplore.transport import prepare


def cepstral(series, share=0.1):
    """γ and its standard error from the periodogram of P, averaged over replicas and axes.

    Parameters
    ----------
    series : OrderParameters
    share : float
        Of the frequencies below Nyquist's, which are used.
    """
    momentum = series.replicas("momentum").transpose(0, 2, 1).reshape(-1, series.n_frames)
    n_series, n_frames = momentum.shape
    spectrum = np.fft.rfft(momentum, axis=1)
    periodogram = series.timestep / n_frames * np.mean(np.abs(spectrum) ** 2, axis=0)
    low = periodogram[1 : max(8, int(share * len(periodogram)))]
    # the mean of n_series exponentials: its logarithm is biased by ψ(n) − ln n, with variance ψ′(n)
    logs = np.log(low) - (digamma(n_series) - np.log(n_series))
    variance = float(polygamma(1, n_series))
    period = np.concatenate([logs, logs[::-1]])
    n = len(logs)
    # even about −½ of a sample, so half a sample of shift makes the coefficients real
    shift = np.exp(-1j * np.pi * np.arange(n + 1) / (2 * n))
    coefficients = (np.fft.rfft(period) / (2 * n) * shift).real
    left = np.cumsum(coefficients[::-1] ** 2)[::-1]
    kept = np.arange(1, min(n, 200))
    criterion = n * 2.0 * left[kept] / variance + 2.0 * kept
    best = int(kept[np.argmin(criterion)])
    at_zero = coefficients[0] + 2.0 * coefficients[1:best].sum()
    std = np.sqrt(variance * (4 * best - 2) / (2 * n))
    gamma = 0.5 * np.exp(at_zero)
    return gamma, gamma * std


def measure(system, name, seeds, n_frames):
    """Relative deviations of D, claimed errors and seconds, one row per seed."""
    rows = []
    for seed in seeds:
        series = system.sample(seed=seed, n_frames=n_frames)
        start = time.process_time()
        try:
            if name == "cepstral":
                value, std = cepstral(series)
            else:
                result = prepare(series).gamma(estimator=name)
                value, std = result.isotropic, result.isotropic_std
        except AmaError:
            value = std = np.nan
        rows.append((value / system.gamma - 1, std / system.gamma, time.process_time() - start))
    return np.array(rows)


def main(repeats=20, slow_repeats=4, n_frames=10_000):
    """Print one table per bed."""
    print(
        f"10 replicas × {n_frames} frames × 3 axes; D against the exact one, {repeats} seeds (stacie: {slow_repeats})"
    )
    for bed_name, system in BEDS.items():
        print(f"\n{bed_name}\n{'estimator':15s} {'bias %':>8s} {'rmse %':>8s} {'1σ':>6s} {'2σ':>6s} {'CPU ms':>9s}")
        for name in [*ESTIMATORS, "cepstral"]:
            count = slow_repeats if name == "stacie" else repeats
            deviation, std, seconds = measure(system, name, range(count), n_frames).T
            known = np.isfinite(deviation) & np.isfinite(std)
            if not known.any():
                print(f"{name:15s} no answer")
                continue
            d, s = deviation[known], std[known]
            print(
                f"{name:15s} {100 * d.mean():8.1f} {100 * np.sqrt(np.mean(d**2)):8.1f} {np.mean(np.abs(d) < s):6.2f} "
                f"{np.mean(np.abs(d) < 2 * s):6.2f} {1e3 * np.median(seconds):9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repeats", nargs="?", type=int, default=20, help="seeds per estimator (20)")
    parser.add_argument("slow_repeats", nargs="?", type=int, default=4, help="seeds for stacie (4)")
    parser.add_argument("n_frames", nargs="?", type=int, default=10_000, help="frames of each replica (10000)")
    main(**vars(parser.parse_args()))

"""How fast selections follow: one command prints the table that the README quotes.

    python tests/benchmarks/selections.py            # 20,000 atoms × 2,000 frames, about ten minutes, 6 GB
    python tests/benchmarks/selections.py --quick    # 4,000 × 500: to see that it runs

Every ratio is between two things timed in the same run, turn by turn, each at its smallest time of several; on a shared
machine only the ratios mean something. With ``--cpu`` processor time of one thread is taken instead of time by the clock,
for machines that are busy with other things (the store's two threads then count as one). "Bandwidth" is one thread summing the same numbers in order, nothing else.
"""

import argparse
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba
import numpy as np

import amaexplore as ama
from amaexplore.trajectory.store import build_store, ready_store
from amaexplore.trajectory.trajectory import plain_topology
from amaexplore.transport import prepare

RESIDUE = 20  # atoms
TIMESTEP = 0.01  # ps
clock = time.perf_counter


# -- what is measured against -------------------------------------------------------------------------


@numba.njit(nogil=True, fastmath=True)
def read_all(values):
    total = np.float32(0)
    for k in range(values.shape[0]):
        total += values[k]
    return total


def numpy_masks(fields, masses, chosen):
    """The three sums by boolean mask and einsum."""
    weights = masses[chosen]
    return (
        np.einsum("fai,a->fi", fields["positions"][:, chosen], weights) / weights.sum(),
        np.einsum("fai,a->fi", fields["velocities"][:, chosen], weights),
        fields["forces"][:, chosen].sum(axis=1, dtype=float),
    )


def mdanalysis_loop(universe, chosen):
    """The three sums frame by frame."""
    group = universe.atoms[np.flatnonzero(chosen)]
    masses = group.masses[:, None]
    centre, momentum, force = (np.empty((len(universe.trajectory), 3)) for _ in range(3))
    for frame, _ in enumerate(universe.trajectory):
        centre[frame] = group.center_of_mass()
        momentum[frame] = (masses * group.velocities).sum(axis=0)
        force[frame] = group.forces.sum(axis=0)
    return centre, momentum, force


def numpy_correlations(momentum, force, n_lags, n_blocks=10):
    """Both tensors, their integrals and jackknife errors over blocks, by numpy's FFT."""
    results = []
    for values in (momentum, force - force.mean(axis=0)):
        parts = np.array_split(values, n_blocks)
        curves = []
        for part in parts:
            spectrum = np.fft.rfft(part.T, 2 * len(part))
            curve = np.fft.irfft(spectrum.conj()[:, None] * spectrum[None], axis=-1)[..., :n_lags]
            curves.append(curve[..., : len(part)] / (len(part) - np.arange(min(n_lags, len(part)))))
        curves = np.stack(curves)
        left_out = (curves.sum(axis=0) - curves) / (n_blocks - 1)
        running = TIMESTEP * (np.cumsum(left_out, axis=-1) - 0.5 * (left_out + left_out[..., :1]))
        results.append((curves.mean(axis=0), running.mean(axis=0), running.std(axis=0) * np.sqrt(n_blocks - 1)))
    return results


def tidynamics_correlations(momentum, force, n_lags):
    """Both tensors by tidynamics; it gives no error bands."""
    import tidynamics

    return [
        np.array([[tidynamics.correlation(values[:, a], values[:, b])[:n_lags] for b in range(3)] for a in range(3)])
        for values in (momentum, force - force.mean(axis=0))
    ]


# -- data ---------------------------------------------------------------------------------------------


def write_trr(path, n_atoms, n_frames, box=8.0):
    """A wrapped TRR file: a liquid of independent Langevin atoms."""
    generator = np.random.default_rng(0)
    x = generator.random((n_atoms, 3)) * box
    v = generator.standard_normal((n_atoms, 3))
    header = struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file")
    size = 12 * n_atoms
    with open(path, "wb") as file:
        for frame in range(n_frames):
            v = 0.95 * v + 0.1 * generator.standard_normal((n_atoms, 3), dtype=np.float32)
            x = (x + TIMESTEP * v) % box
            f = 600.0 * generator.standard_normal((n_atoms, 3), dtype=np.float32)
            file.write(header + struct.pack(">13i", 0, 0, 36, 0, 0, 0, 0, size, size, size, n_atoms, frame, 0))
            file.write(struct.pack(">2f9f", frame * TIMESTEP, 0, box, 0, 0, 0, box, 0, 0, 0, box))
            for values in (x, v, f):
                file.write(values.astype(">f4").tobytes())


def selections(n_atoms, size, generator):
    """Contiguous, by whole residues, and random, of about one size."""
    contiguous = np.zeros(n_atoms, dtype=bool)
    start = (n_atoms - size) // 3
    contiguous[start : start + size] = True
    residues = generator.choice(n_atoms // RESIDUE, max(1, size // RESIDUE), replace=False)
    by_residue = np.isin(np.arange(n_atoms) // RESIDUE, residues)
    scattered = np.zeros(n_atoms, dtype=bool)
    scattered[generator.choice(n_atoms, size, replace=False)] = True
    return {"contiguous": contiguous, "by residue": by_residue, "random": scattered}


def best(work, repeats):
    times = []
    for _ in range(repeats):
        begin = clock()
        work()
        times.append(clock() - begin)
    return min(times)


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def ms(seconds):
    return f"{1e3 * seconds:.3g} ms"


# -- tables -------------------------------------------------------------------------------------------


def table_of_selections(store, fields, masses, universe, repeats):
    generator = np.random.default_rng(1)
    n_atoms, n_frames = store.n_atoms, store.n_frames
    print(f"\nR, P and F of a selection, {n_atoms} atoms × {n_frames} frames\n")
    row(
        "atoms",
        "kind",
        "rows read",
        "fresh",
        "of bandwidth",
        "× numpy",
        "× MDAnalysis",
        "Δ = 200",
        "× numpy",
        "× MDAnalysis",
    )
    row(*["---"] * 10)
    for size in (60, 2000, 10_000):
        size = min(size, n_atoms // 2)
        for kind, chosen in selections(n_atoms, size, generator).items():
            count = int(np.count_nonzero(chosen))
            # as many numbers of each field as the atoms have: x, y and z in every frame
            part = [store.blocks[0].rows[name].reshape(-1)[: 3 * count * n_frames] for name in store.fields]
            fresh, bandwidth, moved = np.inf, np.inf, np.inf
            now = chosen.copy()
            for _ in range(repeats):
                store.forget()
                rows_read = store.cost(chosen)
                fresh = min(fresh, best(lambda chosen=chosen: store.sums(chosen), 1))
                bandwidth = min(bandwidth, best(lambda part=part: [read_all(values) for values in part], 1))
                now = now.copy()
                now[generator.choice(n_atoms, 200, replace=False)] ^= True
                moved = min(moved, best(lambda now=now: store.sums(now), 1))
            by_mask = best(lambda chosen=chosen: numpy_masks(fields, masses, chosen), 3)
            by_loop = best(lambda chosen=chosen: mdanalysis_loop(universe, chosen), 2)
            row(
                count, kind, f"{rows_read:.0f}", ms(fresh), f"{bandwidth / fresh:.2f}", f"{by_mask / fresh:.0f}",
                f"{by_loop / fresh:.0f}", ms(moved), f"{by_mask / moved:.0f}", f"{by_loop / moved:.0f}",
            )  # fmt: skip


def table_of_others(store, trajectory, trr, universe_of_file, repeats):
    import mdtraj

    generator = np.random.default_rng(2)
    size = min(10_000, store.n_atoms // 2)
    chosen = selections(store.n_atoms, size, generator)["random"]
    fresh = np.inf
    for _ in range(repeats):
        store.forget()
        fresh = min(fresh, best(lambda: store.sums(chosen), 1))
    sliced = mdtraj.Trajectory(np.asarray(trajectory.positions), trajectory.topology)
    indices = np.flatnonzero(chosen)
    by_mdtraj = best(lambda: mdtraj.compute_center_of_mass(sliced.atom_slice(indices)), 2)
    from_file = best(lambda: mdanalysis_loop(universe_of_file, chosen), 1)
    print(f"\nThe same {size} random atoms by others\n")
    row("", "time", "× store")
    row("---", "---", "---")
    row("store, R, P and F", ms(fresh), 1)
    row("mdtraj compute_center_of_mass of a slice, R alone", ms(by_mdtraj), f"{by_mdtraj / fresh:.0f}")
    row("MDAnalysis loop over the TRR file, R, P and F", ms(from_file), f"{from_file / fresh:.0f}")


def table_of_slider(trajectory, repeats):
    print("\nSlider over a sphere's radius, 100 stops\n")
    begin = time.perf_counter()
    slider = ama.SelectionSlider.sphere(trajectory, 0, stops=100)
    slider.wait()
    made = time.perf_counter() - begin
    subsets = [slider.subset(k) for k in range(len(slider))]
    times = [best(lambda subset=subset: trajectory.order_parameters(subset), repeats) for subset in subsets]
    row("table made in", "a stop, median", "slowest stop")
    row("---", "---", "---")
    row(f"{made:.2f} s", ms(np.median(times)), ms(max(times)))
    slider.close()


def table_end_to_end(trajectory, fields, masses, universe, repeats):
    generator = np.random.default_rng(3)
    n_atoms = trajectory.n_atoms
    n_lags = 201 if trajectory.n_frames >= 2000 else 41
    window = (n_lags - 1) // 2 * TIMESTEP
    size = min(10_000, n_atoms // 2)
    store = ready_store(trajectory)

    def everything(subset):
        series = trajectory.order_parameters(subset)
        bench = prepare(series, max_lag=(n_lags - 1) * TIMESTEP, mean_force=None)
        return bench.momentum, bench.force, bench.gamma(window, "window"), bench.theta(window, "window")

    chosen = selections(n_atoms, size, generator)["random"]
    times = {"fresh": [], "moved": [], "known": []}
    for _ in range(3 * repeats):
        store.forget()
        subset = trajectory.select(chosen)
        times["fresh"].append(best(lambda subset=subset: everything(subset), 1))
        times["known"].append(best(lambda subset=subset: everything(subset), 1))
        moved = chosen.copy()
        moved[generator.choice(n_atoms, min(500, n_atoms // 8), replace=False)] ^= True
        moved = trajectory.select(moved)
        times["moved"].append(best(lambda subset=moved: everything(subset), 1))

    def with_numpy():
        _, momentum, force = numpy_masks(fields, masses, chosen)
        return numpy_correlations(momentum, force, n_lags)

    def with_mdanalysis():
        _, momentum, force = mdanalysis_loop(universe, chosen)
        return tidynamics_correlations(momentum, force, n_lags)

    by_numpy, by_mdanalysis = best(with_numpy, 3), best(with_mdanalysis, 2)
    print(f"\nEnd to end: R, P, F, both 3×3 correlation tensors over {n_lags} lags, γ and θ, all with error bands\n")
    row(f"{size} random atoms", "smallest", "median", "× numpy + FFT", "× MDAnalysis + tidynamics (no bands)")
    row(*["---"] * 5)
    for name, text in (("fresh", "fresh"), ("moved", "|Δθ| = 500"), ("known", "correlations alone")):
        low = min(times[name])
        row(text, ms(low), ms(np.median(times[name])), f"{by_numpy / low:.0f}", f"{by_mdanalysis / low:.0f}")


def table_of_ingest(folder, trr):
    """Into a file on the disk, and into one in memory where the system has such a place: the rest is the disk's."""
    print("\nIngest of a TRR file: images taken out, rows, prefix rows, checked and flushed to disk\n")
    size = os.path.getsize(trr)
    topology = folder / "topology.pdb"
    script = (
        "import resource, time, sys\nimport amaexplore as ama\nimport MDAnalysis, mdtraj\n"
        "from amaexplore.trajectory import checks, ingest, readers\nbegin = time.CLOCK()\n"
        "trajectory = ama.ingest(sys.argv[1], sys.argv[2], directory=sys.argv[3])\n"
        "print(time.CLOCK() - begin, trajectory.store().nbytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    loop = (
        "import MDAnalysis, sys, time\nuniverse = MDAnalysis.Universe.empty(int(sys.argv[2]))\nuniverse.load_new(sys.argv[1])\n"
        "begin = time.CLOCK()\nfor step in universe.trajectory: pass\nprint(time.CLOCK() - begin)\n"
    )
    name = "perf_counter" if clock is time.perf_counter else "process_time"
    script, loop = script.replace("CLOCK", name), loop.replace("CLOCK", name)
    row(
        "file",
        "sidecar",
        "ingest",
        "MDAnalysis loop that only reads",
        "ratio",
        "bare write and flush",
        "store",
        "peak memory",
    )
    row(*["---"] * 8)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as memory:
        for place, where in (("on disk", folder / "side"), ("in memory", Path(memory))):
            where.mkdir(exist_ok=True)
            ours, theirs, bare = [], [], []
            for _ in range(3):
                done = subprocess.run(
                    [sys.executable, "-c", script, trr, topology, where], capture_output=True, text=True, check=True
                )
                took, stored, peak = done.stdout.split()
                ours.append(float(took))
                ama.remove_sidecars(trr, where)
                n_atoms = str(universe_atoms(topology))
                done = subprocess.run(
                    [sys.executable, "-c", loop, trr, n_atoms], capture_output=True, text=True, check=True
                )
                theirs.append(float(done.stdout))
                bare.append(bare_write(where / "bare", int(stored)))
            row(
                f"{size / 1e6:.0f} MB", place, f"{min(ours):.2f} s", f"{min(theirs):.2f} s", f"{min(theirs) / min(ours):.1f}",
                f"{min(bare):.2f} s", f"{int(stored) / 1e6:.0f} MB", f"{int(peak) * 1024 / 1e6:.0f} MB",
            )  # fmt: skip


def bare_write(path, n_bytes):
    """Seconds to write that many bytes and flush them: what no program can do without."""
    piece = np.ones(1 << 24, dtype=np.uint8)
    begin = time.perf_counter()
    with open(path, "wb") as file:
        for start in range(0, n_bytes, len(piece)):
            file.write(piece[: n_bytes - start])
        file.flush()
        os.fsync(file.fileno())
    took = time.perf_counter() - begin
    path.unlink()
    return took


def universe_atoms(topology):
    import mdtraj

    return mdtraj.load_topology(str(topology)).n_atoms


def table_of_scaling(quick):
    """Time against N*, |Δθ| and T, and the exponent of a straight line through the logarithms."""
    generator = np.random.default_rng(4)
    n_atoms, n_frames = (2000, 400) if quick else (12_000, 1000)

    def store_of_frames(frames):
        velocities = generator.standard_normal((frames, n_atoms, 3), dtype=np.float32)
        masses = np.ones(n_atoms)
        trajectory = ama.Trajectory.from_arrays(
            velocities=velocities, masses=masses, timestep=1.0, topology=plain_topology(masses)
        )
        return build_store(trajectory)

    def scattered(size):
        # one atom in two of every block: no prefix row helps
        chosen = np.zeros(n_atoms, dtype=bool)
        chosen[:: max(2, n_atoms // size)] = True
        return chosen

    def fresh(store, chosen):
        times = []
        for _ in range(9):
            store.forget()
            times.append(best(lambda: store.sums(chosen), 1))
        return min(times)

    def moved(store, count):
        times, chosen = [], scattered(n_atoms // 2)
        store.forget()
        store.sums(chosen)
        for _ in range(9):
            chosen = chosen.copy()
            chosen[generator.choice(n_atoms, count, replace=False)] ^= True
            times.append(best(lambda chosen=chosen: store.sums(chosen), 1))
        return min(times)

    store = store_of_frames(n_frames)
    sizes = [n_atoms // k for k in (48, 24, 12, 6, 3, 2)]
    counts = [n_atoms // k for k in (192, 96, 48, 24, 12)]
    lengths = [n_frames // 4, n_frames // 2, n_frames, 2 * n_frames, 4 * n_frames]
    measured = {
        "N*, fresh and scattered": (sizes, [fresh(store, scattered(size)) for size in sizes]),
        "|Δθ|": (counts, [moved(store, count) for count in counts]),
        "T": (lengths, [fresh(store_of_frames(length), scattered(n_atoms // 2)) for length in lengths]),
    }
    print("\nCost against size\n")
    row("against", "sizes", "times", "exponent")
    row(*["---"] * 4)
    for name, (x, times) in measured.items():
        exponent = np.polyfit(np.log(x), np.log(times), 1)[0]
        row(name, ", ".join(map(str, x)), ", ".join(ms(t) for t in times), f"{exponent:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=20_000)
    parser.add_argument("--frames", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary one)")
    parser.add_argument("--cpu", action="store_true", help="processor time of one thread")
    options = parser.parse_args()
    if options.cpu:
        global clock
        clock = time.thread_time
        os.environ["AMAEXPLORE_THREADS"] = "1"
    if options.quick:
        options.atoms, options.frames, options.repeats = 4000, 500, 3
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        run(Path(folder), options)


def run(folder, options):
    import MDAnalysis
    import mdtraj
    from MDAnalysis.coordinates.memory import MemoryReader

    trr = str(folder / "md.trr")
    write_trr(trr, options.atoms, options.frames)
    masses = np.random.default_rng(5).choice([1.008, 12.011, 15.999], options.atoms)
    topology = plain_topology(masses)
    mdtraj.Trajectory(np.zeros((1, options.atoms, 3)), topology).save_pdb(str(folder / "topology.pdb"))
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    table_of_ingest(folder, trr)
    trajectory = ama.load(trr, topology=folder / "topology.pdb")
    begin = time.perf_counter()
    store = trajectory.store()
    print(f"\n{store!r}, made from memory in {time.perf_counter() - begin:.2f} s")
    read_all(np.zeros(16, dtype=np.float32))
    fields = {name: getattr(trajectory, name) for name in ("positions", "velocities", "forces")}
    masses = trajectory.masses
    universe = MDAnalysis.Universe.empty(options.atoms, trajectory=False)
    universe.add_TopologyAttr("masses", masses)
    universe.trajectory = MemoryReader(**_memory(fields))
    universe_of_file = MDAnalysis.Universe.empty(options.atoms)
    universe_of_file.add_TopologyAttr("masses", masses)
    universe_of_file.load_new(trr)
    table_of_selections(store, fields, masses, universe, options.repeats)
    table_of_slider(trajectory, 3)
    table_end_to_end(trajectory, fields, masses, universe, options.repeats)
    table_of_others(store, trajectory, trr, universe_of_file, options.repeats)
    del store, trajectory, fields, universe, universe_of_file
    table_of_scaling(options.quick)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"\nload {os.getloadavg()[0]:.1f} at the end; peak memory of this program {peak / 1e9:.1f} GB")


def _memory(fields):
    return {
        "coordinate_array": fields["positions"],
        "velocities": fields["velocities"],
        "forces": fields["forces"],
        "order": "fac",
    }


if __name__ == "__main__":
    main()

"""One factor, sign or exponent changed in each formula that matters: do the tests see it?

``python tests/mutations.py`` copies the package, changes one formula in the copy, runs the tests that should see it against the
copy, and prints what came of it; with names of formulas, only those. A change that no test sees is an error.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTATIONS = {
    # formula: file, what stands there, what is put in its place, the tests that see it
    "D = γ/m²": ("coefficients.py", "return self.isotropic / self.mass**2", "return self.isotropic / self.mass", "test_transport.py -k ornstein"),
    "ζ = εθ/k_BT": ("coefficients.py", "return self.tensor_raw / self.thermal_energy", "return self.tensor_raw * self.thermal_energy", "test_transport.py -k tensor"),
    "τ_P = m/ζ": ("coefficients.py", "return self.mass / self.friction if", "return self.effective_mass / self.friction if", "test_transport.py test_regime.py -k 'recoil or relaxation'"),
    "f = ε^-½ F": ("order_parameters.py", "self.net_force / root", "self.net_force * root", "test_order_parameters.py"),
    "μ = m(1 − m/m_tot)": ("order_parameters.py", "self.mass * (1.0 - self.mass / self.total_mass)", "self.mass * (1.0 + self.mass / self.total_mass)", "test_transport.py -k recoil"),
    "end correction of the Volterra solution": ("kernels/volterra.py", "- end * derivative[n]) / norm", "+ end * derivative[n]) / norm", "test_transport.py -k volterra"),
    "B(z) = z/(eᶻ − 1)": ("reduced_density/generator.py", "safe / np.expm1(safe)", "safe / np.exp(safe)", "test_smoluchowski.py"),
    "Itô noise √(2D dt)": ("kernels/particles.py", "np.sqrt(2.0 * diffusion * step) * noise[s, i, 0]", "np.sqrt(diffusion * step) * noise[s, i, 0]", "test_langevin.py"),
    "thermostat noise √(1 − c²)": ("kernels/particles.py", "noise_scale * np.sqrt(1.0 - c * c) * noise[s, i, 0]", "noise_scale * np.sqrt(1.0 - c) * noise[s, i, 0]", "test_langevin.py"),
    "passage time integral": ("kernels/passage.py", "width * np.expm1(rise) / rise", "width * np.expm1(rise)", "test_smoluchowski.py -k passage"),
    "thermal momentum √(m k_BT)": ("reduced_density/fokker_planck.py", "np.sqrt(self.mass * thermal_energy(self.temperature))", "np.sqrt(2.0 * self.mass * thermal_energy(self.temperature))", "test_fokker_planck.py"),
    "equilibrium added back": ("reduced_density/propagation.py", "values += equilibrium * (start.sum() * width)", "values += 0.999 * equilibrium * (start.sum() * width)", "test_smoluchowski.py"),
    "half of an MD step": ("trajectory/half_step.py", "float(np.sign(found.offset)) * 0.5 * step", "float(np.sign(found.offset)) * step", "test_checks.py"),
    "image carried by the box": ("trajectory/unwrap.py", "crossed, np.diff(box, axis=0))", "crossed, 0.9 * np.diff(box, axis=0))", "test_unwrap.py"),
    "k_BT ∂ ln ρ/∂R": ("force_matching.py", "BOLTZMANN * temperature * (np.log(safe / widths)[..., 2:] - np.log(safe / widths)[..., :-2]) / distance", "BOLTZMANN * temperature * (np.log(safe / widths)[..., :-2] - np.log(safe / widths)[..., 2:]) / distance", "test_mean_force.py"),
    "Boltzmann constant": ("units.py", "0.00831446261815324", "0.00831441261815324", "test_units.py"),
    "degrees of freedom 3N − 3": ("trajectory/degrees_of_freedom.py", "free -= 3.0 * masses / total_mass", "free -= 6.0 * masses / total_mass", "test_checks.py test_trajectory.py"),
    "Student's t for few groups": ("uncertainty.py", "float(special.stdtrit(dof, special.ndtr(1.0)))", "1.0", "test_uncertainty.py"),
    "Hermite functions": ("reduced_density/phase_space_basis.py", "values[1] = momentum", "values[1] = 2.0 * momentum", "test_fokker_planck.py"),
    "regimes: small is 0.15": ("regime.py", "SMALL = 0.15", "SMALL = 0.3", "test_regime.py"),
    "θ = (εθ)_raw/ε": ("coefficients.py", "factor = self.epsilon / epsilon\n        names = (\"tensor\", \"isotropic\", \"running\", \"running_isotropic\")", "factor = epsilon / self.epsilon\n        names = (\"tensor\", \"isotropic\", \"running\", \"running_isotropic\")", "test_transport.py -k variables"),
    "unwrapped: image counts": ("trajectory/unwrap.py", "stored[frame + 1, chosen] + counts[frame, chosen] @ boxes[rows[frame]]", "stored[frame + 1, chosen] - counts[frame, chosen] @ boxes[rows[frame]]", "test_unwrap.py"),
}  # fmt: skip


def survives(name, folder):
    """Whether the tests pass although the formula is wrong; and seconds."""
    file, old, new, tests = MUTATIONS[name]
    package = folder / "amaexplore"
    shutil.copytree(ROOT / "amaexplore", package, dirs_exist_ok=True)
    path = package / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{name}: {file} has {text.count(old)} times {old!r}; expected once"
    path.write_text(text.replace(old, new), encoding="utf-8")
    # what was compiled from the unchanged file must not be taken
    for cached in (package / "kernels" / "__pycache__").glob(f"{path.stem}*"):
        cached.unlink()
    files, _, options = tests.partition(" -k ")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    command += ["-c", str(ROOT / "pyproject.toml"), *(str(ROOT / "tests" / one) for one in files.split())]
    command += ["-k", options.strip("'")] if options else []
    begin = time.monotonic()
    own = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "tests")])}
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True)
    path.write_text(text, encoding="utf-8")
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{name}: the tests did not run: {done.stdout[-1500:]}{done.stderr[-500:]}")
    return done.returncode == 0, time.monotonic() - begin


def main():
    names = sys.argv[1:] or list(MUTATIONS)
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            missed_it, took = survives(name, Path(folder))
            print(f"{'NOT SEEN' if missed_it else 'seen':9} {took:5.0f} s  {name}  ({MUTATIONS[name][3]})", flush=True)
            missed += [name] if missed_it else []
    print(f"{len(names) - len(missed)} of {len(names)} changes were seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

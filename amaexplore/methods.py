"""What to write and whom to cite: a methods paragraph and BibTeX, true to what was computed."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import __version__
from .results import format_value
from .thermal_force import axis_direction
from .trajectory.trajectory import Trajectory

__all__ = ["PAPER", "bibtex", "methods_paragraph"]

PAPER = """@misc{pankavich2010multiscaling,
  author  = {Pankavich, S. and Shreif, Z. and Ortoleva, P.},
  title   = {Multiscaling for Classical Nanosystems: Derivation of Smoluchowski \\& {Fokker-Planck} Equations},
  year    = {2010},
  eprint  = {1001.1216},
  archiveprefix = {arXiv}
}"""

_ENTRIES = {
    "amaexplore": f"@software{{amaexplore,\n  author  = {{{{The amaexplore developers}}}},\n"
    "  title   = {{amaexplore: all-atom multiscale analysis, live}},\n"
    f"  version = {{{__version__}}}\n}}",
    "numpy": """@article{harris2020array,
  author  = {Harris, C. R. and Millman, K. J. and van der Walt, S. J. and others},
  title   = {Array programming with {NumPy}},
  journal = {Nature},
  volume  = {585},
  pages   = {357--362},
  year    = {2020},
  doi     = {10.1038/s41586-020-2649-2}
}""",
    "scipy": """@article{virtanen2020scipy,
  author  = {Virtanen, P. and Gommers, R. and Oliphant, T. E. and others},
  title   = {{SciPy} 1.0: fundamental algorithms for scientific computing in {Python}},
  journal = {Nature Methods},
  volume  = {17},
  pages   = {261--272},
  year    = {2020},
  doi     = {10.1038/s41592-019-0686-2}
}""",
    "numba": """@inproceedings{lam2015numba,
  author    = {Lam, S. K. and Pitrou, A. and Seibert, S.},
  title     = {Numba: a {LLVM}-based {Python} {JIT} compiler},
  booktitle = {Proceedings of the Second Workshop on the LLVM Compiler Infrastructure in HPC},
  year      = {2015},
  doi       = {10.1145/2833157.2833162}
}""",
    "openmm": """@article{eastman2024openmm,
  author  = {Eastman, P. and Galvelis, R. and Pel{\\'a}ez, R. P. and others},
  title   = {{OpenMM} 8: molecular dynamics simulation with machine learning potentials},
  journal = {The Journal of Physical Chemistry B},
  volume  = {128},
  pages   = {109--116},
  year    = {2024},
  doi     = {10.1021/acs.jpcb.3c06662}
}""",
    "mdanalysis": """@article{michaud2011mdanalysis,
  author  = {Michaud-Agrawal, N. and Denning, E. J. and Woolf, T. B. and Beckstein, O.},
  title   = {{MDAnalysis}: a toolkit for the analysis of molecular dynamics simulations},
  journal = {Journal of Computational Chemistry},
  volume  = {32},
  pages   = {2319--2327},
  year    = {2011},
  doi     = {10.1002/jcc.21787}
}""",
    "mdtraj": """@article{mcgibbon2015mdtraj,
  author  = {McGibbon, R. T. and Beauchamp, K. A. and Harrigan, M. P. and others},
  title   = {{MDTraj}: a modern open library for the analysis of molecular dynamics trajectories},
  journal = {Biophysical Journal},
  volume  = {109},
  pages   = {1528--1532},
  year    = {2015},
  doi     = {10.1016/j.bpj.2015.08.015}
}""",
    "bokeh": "@software{bokeh,\n  author = {{Bokeh Development Team}},\n"
    "  title  = {Bokeh: Python library for interactive visualization},\n  url    = {https://bokeh.org}\n}",
}
_NAMES = {"numpy": "NumPy", "scipy": "SciPy", "numba": "Numba", "openmm": "OpenMM", "mdanalysis": "MDAnalysis",
          "mdtraj": "MDTraj", "bokeh": "Bokeh"}  # fmt: skip
_READ_BY_MDANALYSIS = {".trr", ".dcd", ".tpr", ".prmtop", ".parm7", ".psf", ".top", ".tng", ".nc", ".ncdf"}


def _software(analysis, source, topology):
    """Names of what was used, in the order in which it is cited."""
    used = ["numpy", "scipy", "numba"]
    if isinstance(source, Trajectory):
        # topology and selections
        used.append("mdtraj")
        if source.metadata.get("engine") == "OpenMM":
            used.append("openmm")
    files = [*analysis.input["files"], *([topology] if topology else [])]
    if any(Path(str(file)).suffix.lower() in _READ_BY_MDANALYSIS for file in files):
        used.append("mdanalysis")
    return [*used, "bokeh"]


def bibtex(analysis, source=None, topology=None):
    """The theory, this program and the libraries behind an analysis.

    Parameters
    ----------
    analysis : Analysis
    source : Trajectory or OrderParameters, optional
        What it came from: tells which readers and engine to name.
    topology : str or Path, optional

    Returns
    -------
    str
        BibTeX.
    """
    names = ["amaexplore", *_software(analysis, source, topology)]
    return "\n\n".join([PAPER, *(_ENTRIES[name] for name in names)]) + "\n"


def methods_paragraph(analysis, predictions=(), source=None, topology=None):
    """What was computed and how, as the sentences of a methods section.

    Parameters
    ----------
    analysis : Analysis
    predictions : sequence of Prediction
        Densities that are reported.
    source, topology
        As for `bibtex`.

    Returns
    -------
    str
    """
    sentences = [_data_sentence(analysis), _temperature_sentence(analysis)]
    for result, name, equation in ((analysis.gamma, "γ", "28"), (analysis.theta, "θ", "55")):
        if result is not None:
            sentences.append(_coefficient_sentence(result, name, equation))
    if analysis.mean_force is not None and len(analysis.mean_force.positions):
        sentences.append(
            f"The thermal-average force along {analysis.mean_force.axis} was fitted to the forces by a spline, with errors "
            f"from a delete-one jackknife over {analysis.mean_force.n_groups} groups."
        )
    sentences += [_density_sentence(prediction) for prediction in predictions]
    libraries = ", ".join(f"{_NAMES[name]} {_version(name)}" for name in _software(analysis, source, topology))
    sentences.append(f"All was done with amaexplore {__version__} ({libraries}).")
    return " ".join(sentence for sentence in sentences if sentence)


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        # used, but not installed as a package that tells its version
        return "(version unknown)"


def _data_sentence(analysis):
    series = analysis.series
    runs = f"{series.n_replicas} runs of " if series.n_replicas > 1 else ""
    atoms = "" if series.n_atoms is None else f", {series.n_atoms} atoms"
    return (
        "Order parameters of the nanoparticle "
        f"({series.label or 'given series'}{atoms}, m = {series.mass:.6g} u, ε = {series.epsilon:.4g}) were taken from {runs}"
        f"{series.n_frames} frames every {series.timestep:.4g} ps, and analysed by the all-atom multiscale theory of "
        "Pankavich, Shreif and Ortoleva (arXiv:1001.1216)."
    )


def _temperature_sentence(analysis):
    if analysis.temperature is None:
        return ""
    value = format_value(analysis.temperature, analysis.temperature_std, "K")
    return f"The temperature, {value}, was {analysis.temperature_source}."


def _coefficient_sentence(result, name, equation):
    value = format_value(result.isotropic_raw, result.isotropic_raw_std, result.unit)
    symbol = "εθ" if name == "θ" else name
    how = "a plateau was found" if result.plateau else "no plateau was found"
    return (
        f"{name} (equation {equation}) was read at t₀ = {result.window:.4g} ps with the estimator “{result.estimator}” "
        f"({result.window_reason}; {how}), giving {symbol} = {value} per axis, with the error from {result.n_groups} groups."
    )


def _density_sentence(prediction):
    number = "29" if prediction.regime == "smoluchowski" else "56"
    density, grid = prediction.density, prediction.equation.grid
    scheme = density.diagnostics.get("scheme", "")
    boundary = grid.boundary if isinstance(grid.boundary, str) else " and ".join(grid.boundary)
    return (
        f"The reduced density along {axis_direction(prediction.axis)[1]} was evolved by equation ({number}) to {density.times[-1]:.4g} ps on "
        f"{grid.n_cells} cells from {grid.lower:.4g} to {grid.upper:.4g} nm with {boundary} ends (scheme “{scheme}”), "
        f"with D = {prediction.diffusion:.4g} nm²/ps, ζ = {prediction.friction:.4g} u/ps and the mean force "
        f"{prediction.force_used}."
    )

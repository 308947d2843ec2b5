"""The command line: ``amaexplore``, ``explore``, ``lab``, ``analyze``, ``check``, ``ingest``, ``recipe``, ``simulate``.

Exit code 0: fine. 2: bad input, one sentence on stderr, nothing written. 130: interrupted.
"""

import argparse
import json
import sys

from . import __version__
from .errors import AmaError, InputError

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """argparse, but a wrong call gets one sentence instead of the usage block."""

    def error(self, message):
        raise InputError(f"{message[0].upper()}{message[1:]}; see '{self.prog} --help'.")


def main(arguments=None):
    """Run the command line; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return options.run(options) or 0
    except AmaError as error:
        print(f"amaexplore: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("amaexplore: interrupted; nothing half-written is kept.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `amaexplore ... | head`
        sys.stderr.close()
        return 0


def _parser():
    parser = _Parser(prog="amaexplore", description="All-atom multiscale analysis: from atoms to reduced densities.")
    parser.add_argument("--version", action="version", version=f"amaexplore {__version__}")
    parser.set_defaults(run=_explore, files=[], topology=None, port=None, no_browser=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    explore = commands.add_parser("explore", help="open the explorer in the browser (default: on the embedded demo)")
    _files(explore, required=False)
    _server(explore)
    explore.set_defaults(run=_explore)

    lab = commands.add_parser("lab", help="open JupyterLab with the notebooks")
    _server(lab)
    lab.set_defaults(run=_lab)

    analyze = commands.add_parser("analyze", help="γ, θ, f^th and the regime of a selection, as text, JSON and HTML")
    _input(analyze)
    analyze.add_argument("--select", metavar="S", help="the nanoparticle, in mdtraj's selection language")
    analyze.add_argument("--regime", choices=["smoluchowski", "fokker-planck", "both"], default="both")
    analyze.add_argument("--window", type=float, metavar="PS", help="correlation window t0, ps (default: proposed)")
    analyze.add_argument("--estimator", metavar="NAME", help="default: the memory kernel where the data allows it")
    analyze.add_argument("--temperature", type=float, metavar="K", help="default: measured from the velocities")
    analyze.add_argument("--axis", choices=["x", "y", "z"], default="x", help="axis of f^th(R) and of the density")
    analyze.add_argument(
        "--total-mass", type=float, metavar="U", help="of everything simulated, where the total momentum is zero"
    )
    analyze.add_argument("--json", metavar="FILE", help="write the numbers as JSON ('-': to standard output)")
    analyze.add_argument("--report", metavar="FILE", help="write one HTML page with the plots, readable offline")
    analyze.set_defaults(run=_analyze)

    check = commands.add_parser("check", help="what is in the files, and what is wrong with them")
    _input(check)
    check.add_argument("--select", metavar="S", help="also check these atoms as the nanoparticle")
    check.set_defaults(run=_check)

    ingest = commands.add_parser("ingest", help="make the fast store of large trajectories on disk, once")
    _input(ingest)
    ingest.add_argument("--cluster", metavar="ADDRESS", help="of a Dask scheduler, such as tcp://host:8786")
    ingest.add_argument("--directory", metavar="DIR", help="where to (default: beside the trajectory)")
    ingest.add_argument("--remove", action="store_true", help="delete what was made of these files instead")
    ingest.set_defaults(run=_ingest)

    recipe = commands.add_parser("recipe", help="input lines that make an engine write R, P, F of a group")
    recipe.add_argument("engine", metavar="ENGINE", help="gromacs, lammps, openmm or plumed")
    recipe.add_argument("--select", metavar="S", help="the nanoparticle; with --topology in any selection")
    recipe.add_argument("--topology", metavar="T")
    recipe.add_argument("--every", type=int, metavar="STEPS", help="MD steps between rows (default: 5)")
    recipe.set_defaults(run=_recipe)

    simulate = commands.add_parser("simulate", help="run an embedded simulation and write it as H5MD")
    simulate.add_argument("demo", metavar="DEMO", nargs="?", help="its name; without one, the list is printed")
    simulate.add_argument("--output", metavar="FILE", help="an .h5md file")
    simulate.add_argument("--seed", type=int, default=None)
    simulate.set_defaults(run=_simulate)
    return parser


def _files(command, required=True):
    command.add_argument("files", nargs="+" if required else "*", metavar="FILE", help="trajectory or series files")
    command.add_argument("--topology", metavar="T", help="TPR, GRO, PDB, PRMTOP, PSF, ... of the same atoms")
    command.add_argument("--units", metavar="U", help="LAMMPS units where the file does not say (real, metal, lj, ...)")
    command.add_argument("--timestep", type=float, metavar="PS", help="time between frames where the file does not say")
    command.add_argument("--mass", type=float, metavar="M", help="of the group in series files that do not say, u")


def _input(command):
    _files(command)
    command.add_argument("--frames", type=_slice, metavar="A:B[:C]", help="only these frames, counted from 0")
    command.add_argument("--integrator", metavar="I", help="leapfrog or velocity-verlet, where the data misleads")


def _slice(text):
    """``A:B[:C]`` as a slice."""
    parts = text.split(":")
    try:
        bounds = [int(part) if part.strip() else None for part in parts]
    except ValueError:
        bounds = []
    if len(bounds) not in (2, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of frames such as 0:500 or 100::2")
    return slice(*bounds)


def _server(command):
    command.add_argument("--port", type=int, help="default: the first free one from 8888")
    command.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")


def _explore(options):
    from .explorer.serve import open_app

    facts = {name: getattr(options, name) for name in ("units", "timestep", "mass")}
    return open_app(
        options.files, topology=options.topology, port=options.port, browser=not options.no_browser, **facts
    )


def _lab(options):
    from .explorer.serve import open_lab

    return open_lab(port=options.port, browser=not options.no_browser)


def _load(options, progress=None):
    """The trajectory, or the series, that the files hold."""
    from .trajectory.readers import load
    from .trajectory.series_files import is_series_file, load_series

    if all(is_series_file(path) for path in options.files):
        for name in ("topology", "integrator", "select"):
            if getattr(options, name, None) is not None:
                raise InputError(
                    f"--{name} does not apply to series files, which hold R, P and F of one nanoparticle; leave it out."
                )
        files = options.files if len(options.files) > 1 else options.files[0]
        series = load_series(files, units=options.units, timestep=options.timestep, mass=options.mass)
        return series if options.frames is None else series.frames(options.frames)
    if options.mass is not None:
        raise InputError("--mass is for series files; masses of a trajectory come from its files or its topology.")
    return load(
        options.files,
        topology=options.topology,
        units=options.units,
        timestep=options.timestep,
        frames=options.frames,
        integrator=options.integrator,
        progress=progress,
    )


def _analyze(options):
    from .analysis import analyze
    from .files import writable_target, write_text

    for target in (options.json, options.report):
        if target is not None and target != "-":
            writable_target(target)
    with _progress() as progress:
        source = _load(options, progress)
    analysis = analyze(
        source,
        select=options.select,
        regime=options.regime,
        window=options.window,
        estimator=options.estimator,
        temperature=options.temperature,
        axis=options.axis,
        total_mass=options.total_mass,
    )
    document = json.dumps(analysis.to_dict(), indent=1, ensure_ascii=False) + "\n"
    if options.report is not None:
        analysis.report(options.report)
    if options.json == "-":
        sys.stdout.write(document)
        return
    if options.json is not None:
        write_text(options.json, document)
    print(analysis.text())


def _check(options):
    from .trajectory.checks import check

    with _progress() as progress:
        source = _load(options, progress)
    print(check(source, subset=options.select).text())


def _ingest(options):
    from .trajectory.cluster import ingest_on
    from .trajectory.sidecar import remove_sidecars

    if options.remove:
        removed = [path for file in options.files for path in remove_sidecars(file, options.directory)]
        print("\n".join(f"{path}: deleted" for path in removed) or f"There is no store of {', '.join(options.files)}.")
        return
    settings = {
        "units": options.units,
        "timestep": options.timestep,
        "frames": options.frames,
        "integrator": options.integrator,
        "directory": options.directory,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    with _progress() as progress:
        store = ingest_on(options.cluster, options.files, options.topology, progress=progress, **given)
    print(store)


def _recipe(options):
    from .trajectory.recipes import recipe

    every = {} if options.every is None else {"every": options.every}
    print(recipe(options.engine, options.select, options.topology, **every))


def _simulate(options):
    from .files import writable_target
    from .simulate.demo import demo, demos

    if options.demo is None:
        print(demos())
        return
    if options.output is None:
        raise InputError(f"Say where to write: amaexplore simulate {options.demo} --output run.h5md.")
    writable_target(options.output)
    with _progress() as progress:
        settings = {} if options.seed is None else {"seed": options.seed}
        trajectory = demo(options.demo, cache=False, progress=progress, **settings)
    trajectory.save(options.output)
    print(f"{options.output}: {trajectory}")


class _progress:
    """A progress bar on stderr, shown only to a person."""

    def __enter__(self):
        from tqdm import tqdm

        self._bar = tqdm(
            total=1.0, leave=False, disable=not sys.stderr.isatty(), bar_format="{l_bar}{bar}| {elapsed}<{remaining}"
        )
        return self._update

    def _update(self, fraction, text=""):
        self._bar.n = min(max(fraction, 0.0), 1.0)
        self._bar.set_description(text)

    def __exit__(self, *error):
        self._bar.close()


if __name__ == "__main__":
    sys.exit(main())

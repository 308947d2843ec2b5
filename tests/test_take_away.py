"""What leaves the page: Python that gives the same numbers, methods, BibTeX, HDF5, tables; and numbers that explain themselves."""

import json
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from explorer_systems import brownian_particle, write_series

import amaexplore as ama
from amaexplore.errors import InputError
from amaexplore.explorer.code import reproduce
from amaexplore.explorer.explanations import EXPLANATIONS
from amaexplore.explorer.pictures import initial_of, simulated_histogram
from amaexplore.methods import bibtex, methods_paragraph
from amaexplore.plots.tables import csv_of


@pytest.fixture(scope="module")
def particle():
    return brownian_particle(n_frames=3000)


@pytest.fixture(scope="module")
def explorer(particle):
    explorer = ama.explore(particle, fan=True, target=4.0, what_if=True)
    assert explorer.session.wait(120)
    yield explorer
    explorer.session.stop()


# -- Python ----------------------------------------------------------------------------------------------------

PROBE = """
import hashlib, json, numpy as np
def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, dtype=float).tobytes() for a in arrays)).hexdigest()
found = {"analysis": hashlib.sha256(json.dumps(analysis.to_dict()).encode()).hexdigest()}
for name in ("smoluchowski", "fokker_planck"):
    if name in globals():
        found[name] = digest(globals()[name].density.values)
if "modes" in globals():
    found["modes"] = digest(rates, modes)
if "passage" in globals():
    found["passage"] = digest(passage.times, passage.mean)
if "fans" in globals():
    found["fans"] = digest(*(fan.values_std for fan in fans.values()))
if "masses" in globals():
    found["masses"] = digest(masses.distance)
if "gibbs" in globals():
    found["gibbs"] = digest(gibbs.running, gibbs.running_std)
print("PROBE" + json.dumps(found))
"""


def probe(session):
    """What `PROBE` prints, from the session itself."""
    latest = session.latest
    values = {"analysis": session.analysis()}
    names = {name: latest(name) for name in ("smoluchowski", "fokker_planck", "passage", "fans", "masses", "gibbs")}
    values |= {name: value for name, value in names.items() if value is not None}
    if latest("modes") is not None:
        values["rates"], values["modes"] = latest("modes")
    text = PROBE.replace('print("PROBE" + json.dumps(found))', "")
    exec(compile(text, "probe.py", "exec"), values)
    return values["found"]


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"regime": "smoluchowski", "axis": [1.0, 1.0, 0.0], "window": 1.5, "estimator": "window", "target": 5.0},
        {
            "fan": True,
            "what_if": True,
            "horizon": 30.0,
            "initial": {"kind": "drawn", "points": [[-1.0, 0.0], [0.5, 2.0], [2.0, 0.0]]},
        },
        {"regime": "fokker-planck", "initial": {"kind": "data"}, "temperature": 250.0, "boundary": "periodic"},
    ],
    ids=["as it opens", "direction and target", "drawn, fan, masses", "from data"],
)
def test_a_fresh_process_gets_the_same_numbers(tmp_path, choices):
    file = write_series(tmp_path / "particle.csv")
    session = ama.Session(source={"kind": "files", "files": [str(file)]}, **choices)
    assert session.wait(120)
    script = tmp_path / "page.py"
    script.write_text(reproduce(session) + PROBE)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.rpartition("PROBE")[2])
    # to the last bit
    assert printed == probe(session)
    session.stop()


# -- methods and BibTeX ----------------------------------------------------------------------------------------


def test_the_methods_paragraph_is_true_to_what_was_computed(explorer):
    session = explorer.session
    text = explorer.take_away.made("methods")["text"]
    gamma, theta, prediction = session.latest("gamma"), session.latest("theta"), session.latest("smoluchowski")
    for words in (
        f"t₀ = {gamma.window:.4g} ps with the estimator “{gamma.estimator}”",
        f"error from {theta.n_groups} groups",
        f"{session.latest('series').n_frames} frames every 0.1 ps",
        f"to {prediction.density.times[-1]:.4g} ps on {prediction.equation.grid.n_cells} cells",
        f"scheme “{session.latest('fokker_planck').density.diagnostics['scheme']}”",
        f"NumPy {np.__version__}",
        f"amaexplore {ama.__version__}",
    ):
        assert words in text
    assert "OpenMM" not in text
    assert "MDAnalysis" not in text
    shorter = methods_paragraph(ama.analyze(session.latest("series"), window=2.0, estimator="window"))
    assert "t₀ = 2 ps with the estimator “window”" in shorter
    assert "equation (29) to" not in shorter


def test_bibtex_names_the_paper_and_what_was_used(explorer, rng):
    text = explorer.take_away.made("bibtex")["text"]
    assert text.count("@") == len(set(re.findall(r"@\w+\{(\w+),", text)))
    assert text.count("{") == text.count("}")
    assert "1001.1216" in text
    assert "openmm" not in text.lower()
    velocities = rng.normal(size=(300, 6, 3))
    traj = ama.Trajectory.from_arrays(
        positions=np.cumsum(velocities, axis=0) * 0.01, velocities=velocities, forces=rng.normal(size=velocities.shape),
        masses=np.full(6, 40.0), timestep=0.01,
    )  # fmt: skip
    analysis = ama.analyze(traj, "index 0 to 2")
    assert "mdtraj" in bibtex(analysis, traj)
    assert "MDAnalysis" in bibtex(analysis, traj, topology="topol.tpr")
    traj.metadata["engine"] = "OpenMM"
    assert "OpenMM" in bibtex(analysis, traj)


def test_the_citation_file_and_the_bibtex_agree():
    from pathlib import Path

    from amaexplore.methods import PAPER

    text = (Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    for pattern, entry in {r"^ +year: (\d+)$": "year    = {%s}", r'"arXiv:([\d.]+)"$': "eprint  = {%s}"}.items():
        assert entry % re.search(pattern, text, re.MULTILINE).group(1) in PAPER
    title = re.search(r'title: "(Multiscaling.*)"', text).group(1)
    assert title == re.search(r"title += \{(.*)\},", PAPER).group(1).replace("\\", "").replace("{", "").replace("}", "")
    for name in re.findall(r"family-names: (\w+)", text):
        assert name in PAPER


def test_the_report_shows_the_densities_of_the_page_and_says_how(explorer):
    session = explorer.session
    session.horizon = 12.5
    assert session.wait(60)
    page = explorer.take_away.made("report")["text"]
    assert "to 12.5 ps on" in page
    assert "1001.1216" in page
    assert not re.search(r"<(script|link)[^>]+(src|href)=[\"']http", page.split("</script>")[0])
    session.horizon = None
    assert session.wait(60)


# -- HDF5 and CSV ----------------------------------------------------------------------------------------------


def test_the_archive_holds_every_number_with_its_unit(explorer, tmp_path):
    made = explorer.take_away.made("h5")
    path = tmp_path / made["name"]
    path.write_bytes(made["data"])
    session = explorer.session
    with h5py.File(path) as file:
        assert json.loads(file.attrs["analysis"]) == json.loads(json.dumps(session.analysis().to_dict()))
        np.testing.assert_array_equal(file["order_parameters/momentum"], session.latest("series").momentum)
        np.testing.assert_array_equal(file["theta/tensor_raw"], session.latest("theta").tensor_raw)
        np.testing.assert_array_equal(
            file["gamma/running_isotropic_std"], session.latest("gamma").running_isotropic_std
        )
        np.testing.assert_array_equal(file["correlation/force/values"], session.latest("curves")["force"].values)
        space = session.latest("fokker_planck").phase_space
        np.testing.assert_array_equal(file["density/fokker_planck/phase_space"], space.values)
        np.testing.assert_array_equal(file["masses/distance"], session.latest("masses").distance)
        np.testing.assert_array_equal(file["modes/rates"], session.latest("modes")[0])
        assert file["passage/mean"][()] == session.latest("passage").mean
        assert file["fans/smoluchowski/values_std"].shape == session.latest("smoluchowski").density.values.shape
        lacking = []
        file.visititems(
            lambda name, item: isinstance(item, h5py.Dataset) and "unit" not in item.attrs and lacking.append(name)
        )
        assert lacking == []
        dimensionless = {"factors", "epsilon", "distance", "chi_square", "p_value"}
        bare = []
        file.visititems(
            lambda name, item: isinstance(item, h5py.Dataset) and not item.attrs["unit"] and bare.append(name)
        )
        assert {name.split("/")[-1] for name in bare} <= dimensionless


def test_an_archive_that_cannot_be_written_leaves_nothing(explorer, tmp_path):
    from amaexplore.archive import write_archive

    with pytest.raises(InputError, match="does not exist"):
        write_archive(tmp_path / "no" / "x.h5", explorer.session.analysis())
    with pytest.raises(AttributeError):
        write_archive(tmp_path / "x.h5", explorer.session.analysis(), curves={"force": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_plot_as_a_table(explorer):
    dashboard, session = explorer.dashboard, explorer.session
    lines = csv_of(dashboard.running.root).splitlines()
    assert lines[0].startswith("# γ(t₀)")
    assert "window t₀ (ps)" in lines[0]
    header, first = lines[1].split(","), lines[2].split(",")
    value = float(first[next(k for k, name in enumerate(header) if name.endswith(": value"))])
    assert value == next(v for v in session.latest("gamma").running_isotropic if np.isfinite(v))
    image = csv_of(dashboard.heat.root).splitlines()
    rows = [row for row in image if row.count(",") == len(session.latest("smoluchowski").density.times)]
    assert len(rows) == 1 + session.latest("smoluchowski").equation.grid.n_cells
    assert csv_of(dashboard.lines.root).splitlines()[1].lower().count("multiline") >= 5


def test_a_page_that_asks_for_a_table_gets_it(explorer):
    view, sent = explorer.dashboard.views["running"], []
    view.send = lambda content, buffers=None: sent.append(content)
    view._answer(view, {"kind": "table", "view": "v"}, [])
    assert sent[0]["text"].startswith("# γ")


# -- numbers explain themselves --------------------------------------------------------------------------------


def _explained(text):
    return re.findall(r"data-explains='([\w-]+)'", text)


def test_every_number_says_what_it_is(explorer):
    pages = [explorer.numbers.box.value, explorer.regime.lights.value, explorer.regime.other.value]
    pages += [explorer.density.facts.value, explorer.window.unit.value, explorer.window.reason.value]
    for text in pages:
        found = _explained(text)
        assert found, text
        # as many can be reached with the keyboard, and each has its explanation
        assert text.count("tabindex='0'") == text.count("role='tooltip'") == len(found)
        for key in found:
            assert EXPLANATIONS[key].symbol.split()[0] in text
        assert "made-up particle: 3000 frames every 0.1 ps" in text
    assert set(_explained(pages[0])) == {"gamma", "diffusion", "theta", "friction", "tau_momentum", "consistency"}
    assert {"mean", "slowest", "passage"} <= set(_explained(pages[3]))
    # whatever digits are left outside explanations belong to one
    bare = re.sub(r"<span class='ama-explain'.*?</span>", "", explorer.density.facts.value)
    for piece in bare.split(" · "):
        assert "data-explains" in piece


def test_the_times_shown_are_those_of_the_diagnosis(explorer):
    diagnosis = explorer.session.latest("diagnosis")
    for value in (diagnosis.tau_force, diagnosis.tau_momentum, diagnosis.tau_position):
        assert f"{value:.3g} ps" in explorer.regime.lights.value


# -- choices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [{"mean": 1.0}, {"kind": "drawn"}, {"kind": "elsewhere"}, {"mean": "x", "std": 1}])
def test_an_initial_state_that_is_none_is_refused(choice):
    with pytest.raises(InputError, match="initial state"):
        initial_of(choice)


def test_the_histogram_is_shown_only_where_it_can_be_compared(particle):
    analysis = ama.analyze(particle)
    prediction = analysis.predict("smoluchowski", horizon=20.0, n_times=3)
    assert simulated_histogram(particle, prediction, {}, False, 1.0) is None
    edges, heights, words = simulated_histogram(particle, prediction, {}, True, 1.0)
    assert (heights * np.diff(edges)).sum() == pytest.approx(1.0)
    assert "all times" in words
    many = np.stack([particle.centre_of_mass[k * 100 : k * 100 + 50] for k in range(25)])
    ensemble = ama.OrderParameters.from_arrays(
        timestep=0.1, mass=100.0, momentum=many, centre_of_mass=many, temperature=240.0
    )
    assert simulated_histogram(ensemble, prediction, {}, False, 1.0) is None
    edges, _, words = simulated_histogram(ensemble, prediction, {"kind": "data"}, False, 2.0)
    assert words == "25 replicas"
    assert edges[0] == many[:, 20, 0].min()
    assert simulated_histogram(ensemble, prediction, {"kind": "data"}, False, 1000.0) is None

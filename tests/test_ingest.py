"""Stores on disk: equal to loading, never stale, never half-written, made by anyone in any order."""

import os
import pickle
import struct
import subprocess
import sys
from itertools import count, pairwise

import h5py
import mdtraj
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import Cancelled, FormatError, InputError, MissingFieldError
from amaexplore.trajectory import ingest as room
from amaexplore.trajectory import sidecar
from amaexplore.trajectory.store import ready_store
from amaexplore.trajectory.trr import index_trr

FIELDS = ("positions", "velocities", "forces")


def write_trr(path, times, boxes, fields, double=False):
    """A TRR file as GROMACS writes it; ``fields`` by name, NaN frames are left out."""
    kind, size = (">f8", 8) if double else (">f4", 4)
    n_atoms = next(iter(fields.values())).shape[1]
    with open(path, "wb") as file:
        for frame, moment in enumerate(times):
            held = [
                values[frame] if (values := fields.get(name)) is not None and np.isfinite(values[frame, 0, 0]) else None
                for name in FIELDS
            ]
            sizes = [0 if values is None else 3 * size * n_atoms for values in held]
            file.write(struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file"))
            file.write(struct.pack(">13i", 0, 0, 9 * size, 0, 0, 0, 0, *sizes, n_atoms, 5 * frame, 0))
            for values in (np.array([moment, 0.0]), boxes[frame], *held):
                if values is not None:
                    file.write(np.asarray(values).astype(kind).tobytes())


def molecules(n_molecules, size=5):
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in range(n_molecules):
        residue = topology.add_residue("MOL", chain)
        atoms = [topology.add_atom(f"C{k}", mdtraj.element.carbon, residue) for k in range(size)]
        for first, second in pairwise(atoms):
            topology.add_bond(first, second)
    return topology


@pytest.fixture
def run(rng, tmp_path):
    """A wrapped trajectory of molecules in a tilted, breathing box: the files, and what it was before wrapping."""
    n_frames, n_molecules = 150, 40
    topology = molecules(n_molecules)
    n_atoms = topology.n_atoms
    centres = rng.uniform(0, 3, (n_molecules, 1, 3)) + np.cumsum(
        rng.normal(0, 0.12, (n_frames, n_molecules, 1, 3)), axis=0
    )
    shape = np.cumsum(rng.uniform(-0.08, 0.08, (n_molecules, 5, 3)), axis=1)
    true = (centres + shape).reshape(n_frames, n_atoms, 3)
    tilted = np.array([[3.0, 0, 0], [0.6, 2.9, 0], [-0.5, 0.7, 3.1]])
    boxes = tilted * (1 + 1e-4 * rng.standard_normal(n_frames))[:, None, None]
    fractions = np.einsum("fai,fij->faj", true, np.linalg.inv(boxes))
    wrapped = np.einsum("fai,fij->faj", fractions - np.floor(fractions), boxes).astype(np.float32)
    fields = {
        "positions": wrapped,
        "velocities": rng.normal(0, 0.4, wrapped.shape).astype(np.float32),
        "forces": rng.normal(0, 700, wrapped.shape).astype(np.float32),
    }
    times = 0.25 * np.arange(n_frames)
    path, pdb = tmp_path / "md.trr", tmp_path / "md.pdb"
    write_trr(path, times, boxes, fields)
    mdtraj.Trajectory(wrapped[:1], topology).save_pdb(str(pdb))
    return path, pdb, true, fields, times, boxes


def assert_equals_loading(trajectory, loaded):
    for name in FIELDS:
        np.testing.assert_array_equal(np.asarray(getattr(trajectory, name)), getattr(loaded, name))
    np.testing.assert_array_equal(trajectory.times, loaded.times)
    np.testing.assert_array_equal(trajectory.box, loaded.box)
    np.testing.assert_array_equal(trajectory.masses, loaded.masses)
    assert trajectory.topology == loaded.topology
    for fact in ("velocity_offset", "md_timestep", "complete_system", "masses_source", "files"):
        assert getattr(trajectory, fact) == getattr(loaded, fact)


def test_ingest_equals_load(run):
    path, pdb, true, *_ = run
    trajectory = ama.ingest(path, pdb)
    assert_equals_loading(trajectory, ama.load(path, topology=pdb))
    # molecules whole, and displacements those before wrapping: to single precision of wrapped coordinates
    moved = np.asarray(trajectory.positions) - np.asarray(trajectory.positions[0])
    # images follow a box that breathes by 1e-4 per frame: an atom n boxes away moves by n·1e-4 of its width
    assert np.abs(moved - (true - true[0])).max() < 5e-3
    bonds = np.linalg.norm(np.diff(np.asarray(trajectory.positions).reshape(150, 40, 5, 3), axis=2), axis=-1)
    assert bonds.max() < 0.2
    assert ready_store(trajectory).path.parent == path.parent


@pytest.mark.parametrize("memory", ["300K", "1G"])
def test_blocks_change_nothing(run, monkeypatch, memory):
    path, pdb, *_ = run
    monkeypatch.setenv("AMAEXPLORE_MEMORY", memory)
    trajectory = ama.ingest(path, pdb)
    loaded = ama.load(path, topology=pdb)
    store = ready_store(trajectory)
    assert (len(store.blocks) > 1) == (memory == "300K")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(trajectory, name)[:], getattr(loaded, name))
    subset = trajectory.select("index 3 to 77")
    found, expected = trajectory.order_parameters(subset), loaded.order_parameters(subset)
    np.testing.assert_allclose(found.centre_of_mass, expected.centre_of_mass, rtol=1e-12)
    np.testing.assert_allclose(found.momentum, expected.momentum, atol=1e-11)
    np.testing.assert_allclose(found.net_force, expected.net_force, atol=1e-9)
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-12)


def test_a_field_in_blocks_is_indexed_like_an_array(run, monkeypatch):
    path, pdb, *_ = run
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "300K")
    field = ama.ingest(path, pdb).velocities
    assert isinstance(field, sidecar.StoredField)
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "1G")
    whole = ama.load(path, topology=pdb).velocities
    assert field.shape == whole.shape
    assert len(field) == len(whole)
    assert field.dtype == whole.dtype
    assert field.nbytes == whole.nbytes
    for key in (
        0,
        -1,
        np.int64(70),
        slice(60, 140, 7),
        slice(None, None, -1),
        [5, 149, 64, 64, 0],
        np.arange(150) % 11 == 0,
        (slice(None), 0, 0),
        (slice(10, 90), [3, 1, 7]),
        (70, slice(2, 9), 1),
        (slice(0, 0),),
        (),
    ):
        np.testing.assert_array_equal(field[key], whole[key])
    np.testing.assert_array_equal(np.asarray(field), whole)
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "100K")
    with pytest.raises(MissingFieldError, match=r"All velocities together take .* more than the memory budget"):
        np.asarray(field)


def test_frames_that_lack_fields(run, tmp_path):
    _, pdb, _, fields, times, boxes = run
    fields = {name: values.copy() for name, values in fields.items()}
    for name, stride in (("positions", 2), ("velocities", 3), ("forces", 5)):
        fields[name][np.arange(150) % stride != 0] = np.nan
    path = tmp_path / "strides.trr"
    write_trr(path, times, boxes, fields)
    trajectory, loaded = ama.ingest(path, pdb), ama.load(path, topology=pdb)
    assert_equals_loading(trajectory, loaded)
    assert {notice.message for notice in trajectory.notices} == {notice.message for notice in loaded.notices}
    assert "Forces are in 30 of 150 frames; the others count as missing." in {n.message for n in trajectory.notices}


def test_several_files_are_one_run_and_repeated_frames_are_left_out(run, tmp_path):
    _, pdb, _, fields, times, boxes = run
    parts = []
    for number, part in enumerate((slice(0, 60), slice(59, 100), slice(100, 150))):
        parts.append(tmp_path / f"part{number}.trr")
        write_trr(parts[-1], times[part], boxes[part], {name: values[part] for name, values in fields.items()})
    trajectory = ama.ingest(parts, pdb)
    assert trajectory.n_frames == 150
    assert_equals_loading(trajectory, ama.load(parts, topology=pdb))
    some = ama.ingest(parts, pdb, frames=slice(10, 130, 4))
    assert_equals_loading(some, ama.load(parts, topology=pdb, frames=slice(10, 130, 4)))
    with pytest.raises(FormatError, match=r"Times go back .* in the order of time"):
        ama.ingest(parts[::-1], pdb)


def test_other_formats_and_double_precision(run, tmp_path):
    path, pdb, _, fields, times, boxes = run
    loaded = ama.load(path, topology=pdb)
    h5md = tmp_path / "md.h5md"
    loaded.save(h5md)
    from_h5md = ama.load(h5md)
    trajectory = ama.ingest(h5md)
    np.testing.assert_array_equal(trajectory.positions, from_h5md.positions)
    np.testing.assert_array_equal(trajectory.forces, from_h5md.forces)
    double = tmp_path / "double.trr"
    write_trr(double, times, boxes, fields, double=True)
    assert index_trr(double) is None
    assert_equals_loading(ama.ingest(double, pdb), ama.load(double, topology=pdb))


def test_double_precision_stays_double(rng, tmp_path):
    """What another program stored in double precision is kept so, to the last bit."""
    file = tmp_path / "double.h5md"
    arrays = {name: rng.normal(size=(7, 5, 3)) for name in ("positions", "velocities", "forces")}
    ama.Trajectory.from_arrays(masses=np.full(5, 12.0), timestep=0.5, **arrays).save(file)
    loaded, ingested = ama.load(file), ama.ingest(file, directory=tmp_path)
    assert loaded.positions.dtype == float
    for name in arrays:
        np.testing.assert_array_equal(getattr(ingested, name), getattr(loaded, name))
    one, other = loaded.order_parameters([0, 2]), ingested.order_parameters([0, 2])
    np.testing.assert_allclose(other.momentum, one.momentum, rtol=1e-12)


# -- never stale, never half-written ------------------------------------------------------------------


def sidecars(path):
    return sorted(path.parent.glob(f"{path.name}.*.ama.h5"))


def test_a_sidecar_is_made_once_and_anew_when_the_file_or_a_setting_changes(run, monkeypatch):
    path, pdb, _, fields, times, boxes = run
    ama.ingest(path, pdb)
    (first,) = sidecars(path)
    made = first.stat().st_mtime_ns
    monkeypatch.setattr(room, "write_store", None)  # would fail if called
    ama.ingest(path, pdb)
    assert first.stat().st_mtime_ns == made
    monkeypatch.undo()
    ama.ingest(path, pdb, frames=slice(0, 50))
    assert len(sidecars(path)) == 2
    write_trr(path, times[:90], boxes, fields)
    assert ama.ingest(path, pdb).n_frames == 90
    # the old one for all frames has gone, the one for other settings has not been asked for yet
    assert first not in sidecars(path)
    assert len(sidecars(path)) == 2
    os.utime(path, ns=(1, 1))
    assert ama.ingest(path, pdb).n_frames == 90
    assert len(ama.remove_sidecars(path)) == 2
    assert sidecars(path) == []


def test_a_clock_that_is_wrong_changes_nothing(run, monkeypatch):
    """A file counts as changed where its time is another one, later or earlier; how old the sidecar is does not count."""
    path, pdb, _, fields, times, boxes = run
    future, past = 4_000_000_000, 1_000_000_000
    os.utime(path, (future, future))
    ama.ingest(path, pdb)
    (made,) = sidecars(path)
    for moment in (past, future + past):
        os.utime(made, (moment, moment))
        with monkeypatch.context() as patch:
            patch.setattr(room, "write_store", None)  # would fail if called
            assert ama.ingest(path, pdb).n_frames == 150
    # written again after the clock was set back: as many bytes, other numbers
    write_trr(path, times, boxes, fields | {"forces": 2 * fields["forces"]})
    os.utime(path, (past, past))
    np.testing.assert_array_equal(ama.ingest(path, pdb).forces, 2 * fields["forces"])
    assert made not in sidecars(path)


def test_a_damaged_sidecar_is_made_again(run):
    path, pdb, *_ = run
    ama.ingest(path, pdb)
    (found,) = sidecars(path)
    with h5py.File(found, "r+") as file:
        file.attrs["complete"] = False
    assert_equals_loading(ama.ingest(path, pdb), ama.load(path, topology=pdb))
    (found,) = sidecars(path)
    found.write_bytes(b"not HDF5")
    assert_equals_loading(ama.ingest(path, pdb), ama.load(path, topology=pdb))


def test_stopped_or_failed_ingest_leaves_nothing(run, monkeypatch):
    path, pdb, *_ = run
    before = set(path.parent.iterdir())

    def stop(fraction, text):
        if fraction > 0.3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        ama.ingest(path, pdb, progress=stop)
    assert set(path.parent.iterdir()) == before
    true_pwrite = os.pwrite

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(InputError, match=r"Cannot write the sidecar .*No space left on device"):
        ama.ingest(path, pdb)
    # a disk that lies is found out before the sidecar gets its name
    calls = count()
    lying = lambda handle, data, place: true_pwrite(handle, bytes(len(data)) if next(calls) % 2 else data, place)  # noqa: E731
    monkeypatch.setattr(os, "pwrite", lying)
    with pytest.raises(InputError, match="does not hold what was written"):
        ama.ingest(path, pdb)
    assert set(path.parent.iterdir()) == before


def test_killed_half_way_it_is_cleared_away_next_time(run):
    path, pdb, *_ = run
    program = (
        "import os, amaexplore as ama\n"
        f"ama.ingest({str(path)!r}, {str(pdb)!r}, progress=lambda part, text: os.kill(os.getpid(), 9) if part > 0.3 else None)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert sidecars(path) == []
    assert len(list(path.parent.glob(".*.part"))) == 1
    assert_equals_loading(ama.ingest(path, pdb), ama.load(path, topology=pdb))
    assert list(path.parent.glob(".*.part")) == []


def test_progress_goes_from_nought_to_one(run):
    path, pdb, *_ = run
    told = []
    ama.ingest(path, pdb, progress=lambda fraction, text: told.append((fraction, text)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.5
    assert 0.5 < fractions[-1] <= 1.0
    assert "of 150" in told[-1][1]


def test_where_the_data_cannot_be_written_the_cache_directory_is_used(run, monkeypatch, tmp_path):
    path, pdb, *_ = run
    monkeypatch.setattr(sidecar, "_cache_directory", lambda: tmp_path / "cache" / "stores")
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    trajectory = ama.ingest(path, pdb)
    assert ready_store(trajectory).path.parent == tmp_path / "cache" / "stores"
    assert len(ama.remove_sidecars(path)) == 1


def test_bad_input_is_one_sentence(run, monkeypatch, tmp_path):
    path, pdb, _, fields, times, boxes = run
    with pytest.raises(FormatError, match="There is no file"):
        ama.ingest(tmp_path / "none.trr", pdb)
    with pytest.raises(InputError, match="at least one trajectory file"):
        ama.ingest([])
    data = path.read_bytes()
    path.write_bytes(data[:-1000])
    with pytest.raises(FormatError, match="truncated"):
        ama.ingest(path, pdb)
    with pytest.raises(FormatError, match="truncated or damaged after frame 148"):
        index_trr(path)
    bad = {name: values.copy() for name, values in fields.items()}
    bad["forces"][120, 17] = np.nan
    write_trr(path, times, boxes, bad)
    with pytest.raises(InputError, match=r"forces are not finite .* in frame 120"):
        ama.ingest(path, pdb)
    # also when it is not among the frames that are looked at first
    monkeypatch.setattr(room, "FACT_BYTES", 0)
    with pytest.raises(InputError, match=r"forces are not finite .* in 1 frames, first in frame 120"):
        ama.ingest(path, pdb)
    assert sidecars(path) == []
    pdb_of_others = tmp_path / "others.pdb"
    mdtraj.Trajectory(np.zeros((1, 10, 3)), molecules(2)).save_pdb(str(pdb_of_others))
    with pytest.raises(FormatError, match="10 atoms"):
        ama.ingest(path, pdb_of_others)


def test_a_topology_survives_as_json():
    topology = molecules(3)
    topology.add_atom("M", mdtraj.element.virtual, topology.residue(2))
    other = sidecar.topology_from_document(sidecar.topology_document(topology))
    assert other == topology
    assert other.atom(15).element is mdtraj.element.virtual
    assert [tuple(a.index for a in bond) for bond in other.bonds] == [tuple(a.index for a in b) for b in topology.bonds]


# -- on a cluster -------------------------------------------------------------------------------------


def rows_of(path):
    with h5py.File(path, "r") as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.fixture(scope="module")
def cluster():
    import dask
    import distributed

    with (
        dask.config.set({"distributed.worker.daemon": False, "distributed.admin.tick.limit": "1h"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


def test_a_cluster_makes_the_same_bytes_even_when_a_worker_is_killed(run, cluster, monkeypatch, tmp_path):
    path, pdb, *_ = run
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "300K")
    ama.ingest(path, pdb, directory=tmp_path / "serial")
    processes = cluster.run(os.getpid)
    killed = []

    def kill_one(fraction, text):
        if fraction > 0.4 and not killed:
            killed.append(next(iter(processes.values())))
            os.kill(killed[0], 9)

    ama.ingest(path, pdb, directory=tmp_path / "cluster", client=cluster, progress=kill_one)
    assert killed
    (serial,), (together,) = sidecars(tmp_path / "serial" / path.name), sidecars(tmp_path / "cluster" / path.name)
    expected, found = rows_of(serial), rows_of(together)
    assert expected.keys() == found.keys()
    assert sum(name.startswith("blocks/") for name in found) > 12
    for name, values in expected.items():
        assert np.asarray(values).tobytes() == np.asarray(found[name]).tobytes(), name


def test_series_from_files_alone(run, cluster, monkeypatch):
    path, pdb, *_ = run
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "300K")
    told = []
    series = ama.stream_series(path, pdb, select="index 3 to 77", progress=lambda part, text: told.append(part))
    assert told == sorted(told)
    loaded = ama.load(path, topology=pdb).order_parameters("index 3 to 77")
    np.testing.assert_allclose(series.centre_of_mass, loaded.centre_of_mass, rtol=1e-12)
    np.testing.assert_allclose(series.momentum, loaded.momentum, atol=1e-11)
    np.testing.assert_allclose(series.net_force, loaded.net_force, atol=1e-9)
    np.testing.assert_array_equal(series.time, loaded.time)
    for fact in ("mass", "n_atoms", "label", "momentum_offset", "total_mass"):
        assert getattr(series, fact) == getattr(loaded, fact)
    together = ama.stream_series(path, pdb, select="index 3 to 77", client=cluster)
    for name in ("centre_of_mass", "momentum", "net_force"):
        assert getattr(together, name).tobytes() == getattr(series, name).tobytes()
    with pytest.raises(InputError, match="needs a selection"):
        ama.stream_series(path, pdb)


def test_a_cluster_that_sees_other_disks_is_told(run, cluster, monkeypatch, tmp_path):
    from amaexplore.trajectory import cluster as cluster_room

    path, pdb, *_ = run
    monkeypatch.setattr(cluster_room, "_sees", lambda place: None)
    with pytest.raises(InputError, match=r"[12] of [12] workers .* do not see"):
        ama.ingest(path, pdb, directory=tmp_path / "x", client=cluster)
    assert list((tmp_path / "x").iterdir()) == []


def test_nobody_at_the_address():
    from amaexplore.trajectory.cluster import connect

    with pytest.raises(InputError, match="No Dask scheduler answers"):
        connect("no such address")


def test_a_field_of_a_store_behaves_as_an_array(tmp_path, rng):
    """Views stay behind the check of the file; what no longer shares its memory is an ordinary array."""
    positions = rng.normal(size=(20, 6, 3))
    ama.Trajectory.from_arrays(positions=positions, masses=np.ones(6), timestep=1.0).save(tmp_path / "run.h5md")
    stored = ama.ingest(tmp_path / "run.h5md").positions
    single = positions.astype(stored.dtype)
    for name, take in {
        "a frame": lambda a: a[3],
        "a number": lambda a: a[3, 2, 1],
        "an atom": lambda a: a[:, 2],
        "chosen frames": lambda a: a[[1, 5]],
        "a mask": lambda a: a[np.arange(20) % 3 == 0],
        "a view of a view": lambda a: a[2:9][::2, 1:3],
        "a sum": lambda a: a + a[::-1],
        "an average": lambda a: a.mean(axis=0),
        "a copy": lambda a: a.copy(),
        "another type": lambda a: a.astype(np.float16),
        "a product": lambda a: a[:, 0] @ np.eye(3),
        "into another": lambda a: np.multiply(a, 2.0, out=np.empty(a.shape, a.dtype)),
        "an array": np.array,
        "differences": lambda a: np.diff(a, axis=0),
        "pickled": lambda a: pickle.loads(pickle.dumps(a)),
    }.items():
        found, expected = take(stored), take(single)
        # atoms lie in another order in memory, in which an average is summed
        np.testing.assert_allclose(found, expected, rtol=1e-13 if name == "an average" else 0, atol=1e-15, err_msg=name)
        assert found.dtype == expected.dtype, name
        shared = np.may_share_memory(found, stored)
        assert shared == (name in ("a frame", "an atom", "a view of a view")), name
        assert type(found) is (sidecar.MappedField if shared else type(expected)), name

"""A few hundred of the inputs of `fuzzing.py` for every reader; ``python tests/fuzzing.py --inputs 100000`` tries as many as you like."""

import re
from pathlib import Path

import fuzzing
import h5py
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import FormatError
from amaexplore.trajectory.hdf5_damage import contents, refuse_impossible_texts
from amaexplore.trajectory.sidecar import open_sidecar


@pytest.mark.parametrize("parser", fuzzing.PARSERS)
def test_damaged_input_ends_in_a_result_or_a_sentence(parser):
    found = fuzzing.run(parser, 150)
    assert found["inputs"] == 150
    assert not found["faults"], found["faults"][:3]
    assert not found["left"]
    assert found["slowest"] < fuzzing.PATIENCE


@pytest.mark.slow
@pytest.mark.parametrize("parser", fuzzing.PARSERS)
def test_many_damaged_inputs(parser):
    found = fuzzing.run(parser, 20_000, first=1_000_000)
    assert not found["faults"], found["faults"][:3]
    assert not found["left"]


def test_what_would_be_a_fault_is_seen(monkeypatch, tmp_path):
    """The harness itself: a crash, a hang, a file opened elsewhere and a bare exception are all told."""
    broken = tmp_path / "broken.py"
    text = Path(fuzzing.__file__).read_text(encoding="utf-8").replace("if __name__", BROKEN + "\n\nif __name__")
    broken.write_text(text, encoding="utf-8")
    monkeypatch.setattr(fuzzing, "__file__", str(broken))
    monkeypatch.setitem(fuzzing.PARSERS, "broken", fuzzing.PARSERS["selection"])
    found = fuzzing.run("broken", 6)
    told = " ".join(fault for _, fault in found["faults"])
    assert len(found["faults"]) == 5
    for words in (
        "longer than",
        "in _break",
        "Timeout",
        "/etc/passwd",
        "ZeroDivisionError",
        "the process ended with -6",
    ):
        assert words in told


BROKEN = """
def _break(path, count=[-1]):
    count[0] += 1
    number = int((path.parent / "progress").read_text() or -1) if count[0] else -1
    if number == 0:
        while True:
            pass
    if number == 1:
        open("/etc/passwd")
    if number == 2:
        1 / 0
    if number == 3:
        os.abort()
    if number == 4:
        sum(range(10**13))


PARSERS["broken"] = (selection, damaged_words, "txt", _break)
"""


@pytest.mark.parametrize("kind", ["external link", "external storage", "virtual dataset"])
@pytest.mark.parametrize("ending", ["h5md", "h5"])
def test_hdf5_files_that_lead_to_other_files_are_refused(tmp_path, kind, ending):
    """Otherwise a file that somebody sends would read, and show, what lies elsewhere on this machine."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["value"] = np.ones((6, 4, 3) if ending == "h5md" else (5, 6, 3))
    path = tmp_path / f"sent.{ending}"
    path.write_bytes((fuzzing.h5md if ending == "h5md" else fuzzing.mdtraj_hdf5)(np.random.default_rng(0)))
    place = "particles/trajectory/force/value" if ending == "h5md" else "coordinates"
    with h5py.File(path, "r+") as file:
        if place not in file:
            place = next(name for name in ("particles/trajectory/position/value", "coordinates") if name in file)
        shape = file[place].shape
        del file[place]
        if kind == "external link":
            file[place] = h5py.ExternalLink(str(secret), "/value")
        elif kind == "external storage":
            file.create_dataset(place, shape, "f8", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        else:
            layout = h5py.VirtualLayout(shape, "f8")
            layout[:] = h5py.VirtualSource(str(secret), "value", shape)
            file.create_virtual_dataset(place, layout)
    with pytest.raises(FormatError, match=r"(an)?other file"):
        ama.load(path)


def test_numbers_of_an_impossible_type_are_refused(tmp_path):
    """An exponent with another bias, by one flipped bit in what HDF5 says of a dataset."""
    path = tmp_path / "damaged.h5md"
    whole, double = fuzzing.h5md(np.random.default_rng(0)), bytes.fromhex("11203f000800000000004000340b0034ff030000")
    places, refused = [found.start() for found in re.finditer(re.escape(double), whole)], []
    for place in places:
        end = place + len(double)
        path.write_bytes(whole[: end - 1] + b"\x01" + whole[end:])
        try:
            ama.load(path)
        except FormatError as error:
            refused += ["laid out as H5MD" in str(error) and "(Insufficient precision" in str(error)]
    # positions, velocities, forces; some of the others are read as other numbers
    assert sum(refused) >= 3


def test_texts_of_an_unknown_kind_are_refused(tmp_path):
    """HDF5 reads behind its memory where a text is neither a text nor a row, by one flipped bit in an attribute's type."""
    path = tmp_path / "damaged.h5md"
    whole, text = fuzzing.h5md(np.random.default_rng(0)), bytes.fromhex("19010100100000001000000001000000")
    places = [found.start() for found in re.finditer(re.escape(text), whole)]
    assert len(places) > 10
    refused = []
    for place in places:
        path.write_bytes(whole[: place + 1] + b"\x09" + whole[place + 2 :])
        try:
            ama.load(path)
        except FormatError as error:
            refused.append("is neither a number nor a text" in str(error))
    assert all(refused)
    assert len(refused) > 5


def test_texts_of_impossible_size_are_refused(tmp_path):
    """HDF5 would go round in a circle for ever where a text has the size 0, in C, where nothing stops it."""
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        file["numbers"], file["text"] = np.zeros(5), "a" * 300
    whole = path.read_bytes()
    heap = whole.index(b"GCOL")
    refuse_impossible_texts(path)
    free = heap + 16 + 16 + 304
    assert int.from_bytes(whole[free + 8 : free + 16], "little") == 4096 - (free - heap)
    for place, size in ((free, 0), (heap + 16, 2**64 - 16)):
        path.write_bytes(whole[: place + 8] + size.to_bytes(8, "little") + whole[place + 16 :])
        with pytest.raises(FormatError, match=r"impossible size"):
            refuse_impossible_texts(path)
    whole = fuzzing.sidecar(np.random.default_rng(0))
    place = whole.rindex(b"GCOL") + 16 + 8
    path.write_bytes(whole[:place] + (2**64 - 16).to_bytes(8, "little") + whole[place + 8 :])
    with pytest.raises(FormatError, match=rf"{path.name} is damaged: the texts in it, at byte \d+"):
        open_sidecar(path)


@pytest.mark.parametrize("block", [0, 512])
def test_texts_longer_than_what_they_are_kept_in_are_refused(tmp_path, block):
    """HDF5 would take the memory that a text claims, up to 4 GiB, before it looks whether the text is there."""
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w", userblock_size=block) as file:
        file["text"] = "a" * 300
        file["text"].attrs["unit"] = "nm of no use"
    whole = path.read_bytes()
    heap = (whole.index(b"GCOL") - block).to_bytes(8, "little")
    places = [found.start() - 4 for found in re.finditer(re.escape(heap), whole)]
    assert sorted(int.from_bytes(whole[place : place + 4], "little") for place in places) == [12, 300]
    refuse_impossible_texts(path)
    for place in places:
        # what HDF5 finds out in no time is left to it
        for length, refused in ((1000, False), (2**26, False), (2**26 + 1, True), (2**32 - 1, True)):
            path.write_bytes(whole[:place] + length.to_bytes(4, "little") + whole[place + 4 :])
            if refused:
                with pytest.raises(FormatError, match=rf"the text that byte {place} refers to claims {length:,} bytes"):
                    refuse_impossible_texts(path)
            else:
                refuse_impossible_texts(path)


def test_what_looks_like_a_heap_is_looked_at_wherever_it_lies(tmp_path):
    """In what a program put before the format it is not one; within another it is."""
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["text"] = "a" * 300
    whole = path.read_bytes()
    for size in (32, 64):  # with an end, and without one
        fake = b"GCOL\x01\x00\x00\x00" + size.to_bytes(8, "little") + (1).to_bytes(8, "little") + bytes(40)
        path.write_bytes(fake + whole[len(fake) :])
        refuse_impossible_texts(path)
        with h5py.File(path) as file:
            assert contents(file["text"]) == b"a" * 300
    # the text itself holds what would be a heap of one object after which no step leads on
    place = whole.index(b"a" * 300)
    endless = fake[:16] + (0).to_bytes(16, "little")
    path.write_bytes(whole[:place] + endless + whole[place + len(endless) :])
    with pytest.raises(FormatError, match=rf"at byte {place}, have an impossible size"):
        refuse_impossible_texts(path)


def test_texts_that_refer_to_nowhere_are_refused(tmp_path):
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        file["text"] = ["a" * 300, "b"]
        file.create_dataset("empty", shape=(2,), dtype=h5py.string_dtype())
        place = file["text"].id.get_offset()
        assert list(contents(file["text"])) == [b"a" * 300, b"b"]
        assert contents(file["text"], 1) == b"b"
        assert list(contents(file["empty"])) == [b"", b""]
    whole = path.read_bytes()
    second = place + 16
    path.write_bytes(whole[:second] + bytes.fromhex("ffffff7f ffffff00") + whole[second + 8 :])
    refuse_impossible_texts(path)
    with h5py.File(path) as file, pytest.raises(ValueError, match="a text of /text is said to be longer than the file"):
        contents(file["text"])
    # where the data are said to begin with the file, its first bytes would be a length of 1.2 GB
    layout = whole.index(place.to_bytes(8, "little") + (32).to_bytes(8, "little"))
    path.write_bytes(whole[:layout] + bytes(8) + whole[layout + 8 :])
    with h5py.File(path) as file, pytest.raises(ValueError, match="/text stands where the file itself begins"):
        contents(file["text"])

"""stream_series(): R, P and F of a selection straight from the files, where not even a store on disk is wanted."""

import os
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..kernels.store import accumulate
from ..order_parameters import OrderParameters
from .ingest import BlockJob, Unwrapper, block_bounds, first_positions, in_turn, open_source, slabs_of
from .store import FIELDS, atom_edges, padded
from .unwrap import true_path, with_images

__all__ = ["stream_series"]


def stream_series(files, topology=None, select=None, *, client=None, progress=None, **settings):
    """Order parameters of a selection in one pass over the files, which keeps nothing but the series.

    Parameters
    ----------
    files : path or sequence of paths
    topology : path, optional
        As for `amaexplore.load`.
    select : str, sequence of int or bool
        The nanoparticle, as for `Trajectory.select`.
    client : dask.distributed.Client, optional
        Its workers read blocks of the files, which they must see. The result is the same to the last bit.
    progress : callable (fraction, text), optional
        May raise `Cancelled` to stop.
    **settings
        As for `amaexplore.load`: ``units``, ``timestep``, ``frames`` (a slice), ...

    Returns
    -------
    OrderParameters
        Without a temperature: that is a matter of all atoms; give it to what needs it.

    Raises
    ------
    InputError
        No selection was given.
    """
    files = [files] if isinstance(files, str | os.PathLike) else list(files)
    if select is None:
        raise InputError("stream_series needs a selection, such as select='protein'; none was given.")
    source, facts = open_source(files, topology, **settings)
    subset = _select(facts, select)
    bounds = block_bounds(source)
    wrapped = "positions" in source.fields and not facts["is_unwrapped"]
    unwrapper = Unwrapper.of(source, facts["topology"]) if wrapped else None
    layout = _Blocks(str(files[0]), tuple(bounds), atom_edges(facts["topology"]))
    job = SeriesJob(layout, source, facts["masses"], unwrapper, subset.indices)
    if client is None:
        pieces = in_turn(job, bounds, progress)
    else:
        from .cluster import on_cluster

        pieces = on_cluster(client, job, bounds, progress)
    times = np.concatenate([piece[0] for piece in pieces])
    sums = {name: np.concatenate([piece[1][name] for piece in pieces]) for name in source.fields}
    if "positions" in sums:
        boxes = [piece[1]["box"] for piece in pieces]
        box = None if any(one is None for one in boxes) else np.concatenate(boxes)
        here = first_positions(source, unwrapper)[subset.indices]
        centre = with_images(sums["positions"] / subset.mass, here, box, subset, facts["topology"])
        sums["positions"] = true_path(centre, box)
    return OrderParameters(
        time=times,
        mass=subset.mass,
        centre_of_mass=sums.get("positions"),
        momentum=sums.get("velocities"),
        net_force=sums.get("forces"),
        momentum_offset=facts["velocity_offset"],
        total_mass=float(np.sum(facts["masses"])) if facts["complete_system"] else None,
        label=subset.selection,
        n_atoms=subset.n_atoms,
        warnings=tuple(facts["notices"]),
    )


def _select(facts, select):
    """The atoms that are chosen, from what the topology says."""
    from ..subset import select as chosen
    from .trajectory import Trajectory

    masses = facts["masses"]
    names = Trajectory(
        times=np.zeros(1), masses=masses, topology=facts["topology"], positions=np.zeros((1, len(masses), 3))
    )
    return chosen(names, select)


@dataclass(frozen=True)
class _Blocks:
    """What a job without a sidecar knows of its blocks."""

    path: str
    bounds: tuple
    edges: np.ndarray


@dataclass(frozen=True, eq=False)
class SeriesJob(BlockJob):
    """A block job that sums the rows of some atoms and keeps the sums."""

    chosen: np.ndarray | None = None

    def write(self, block, images, progress=None):
        """Times, sums by field (n_frames, 3) with the boxes, and the images of the block's last frame."""
        first, past = self.layout.bounds[block]
        frames = self.source.block(first, past)
        images = None if images is None else images.copy()
        edges, stride = self.layout.edges, padded(past - first)
        sums = {name: np.zeros(3 * stride) for name in FIELDS if name in self.source.fields}
        slabs = slabs_of(edges, past - first)
        for step, (begin, end) in enumerate(slabs):
            if progress is not None:
                progress(step / len(slabs))
            low, high = edges[begin], edges[end]
            here = self.chosen[(self.chosen >= low) & (self.chosen < high)]
            if len(here) == 0:
                continue
            for name, total in sums.items():
                rows = np.zeros((high - low, 3, stride), dtype=self.source.dtype)
                frames.fill(name, low, rows)
                if name == "positions" and images is not None:
                    images.advance(rows, frames.boxes, low, apply=True)
                weights = np.ones(len(here)) if name == "forces" else self.masses[here]
                rows = rows.reshape(high - low, -1)
                rows.flags.writeable = False
                accumulate(rows, here - low, weights, total, 0, len(total))
        series = {name: total.reshape(3, -1)[:, : past - first].T.copy() for name, total in sums.items()}
        return frames.times, series | {"box": frames.boxes}, images

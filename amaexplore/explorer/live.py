"""A simulation as the data of a session while it goes on; without a single widget.

The session's source names a demo. While that demo is being simulated, the data of the session are the frames so far,
handed on about twice a second, and only when what was made of the last ones is there. When it has ended, the same
source, with the length it came to, gives the same data from the cache, here and anywhere else.
"""

import threading
import time

from ..errors import AmaError, Cancelled, InputError

__all__ = ["LiveSource"]

INTERVAL = 0.5  # seconds between two handings-on
FIRST_FRAMES = 250  # before which correlations say nothing
FOLLOWED = ("data", "series", "correlations", "gamma", "theta", "curves")
"""Results that must be there before newer frames are handed on; slower ones follow when they can."""


class LiveSource:
    """The simulation behind a session, if there is one.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session):
        self._session = session
        self.run = None
        """The `LiveRun`, or None."""
        self.source = None
        """The source of the session that it answers for."""
        self._wanted = None
        self._result = None
        self._shown = 0
        self._paused_early = False
        self._lock = threading.Lock()
        self._listeners = []
        session.observe(self._source_changed, "source")

    # -- what one can do -------------------------------------------------------------------------------

    def begin(self, name, duration=None, seed=None):
        """Simulate a demo and work on it from the first picoseconds on; returns at once.

        Parameters
        ----------
        name : str
            See `amaexplore.demos`.
        duration : float, ps, optional
        seed : int, optional

        Raises
        ------
        InputError
            No such demo, or a length that is none.
        """
        from ..simulate.demo import find_demo

        entry = find_demo(name)
        if duration is not None and not 0.0 < float(duration) < float("inf"):
            raise InputError(f"The length must be a positive number of ps; got {duration!r}.")
        source = {"kind": "demo", "name": name}
        if duration is not None and float(duration) != entry.duration:
            source["duration"] = float(duration)
        if seed is not None:
            source["seed"] = int(seed)
        self.leave()
        self._wanted = source
        if self._session.source == source:
            self._session.graph.touch("live")
        else:
            self._session.choose(source=source, selection="")

    def pause(self):
        """Hold on after the present step."""
        if self.run is not None:
            self.run.pause()
            self._tell()

    def resume(self):
        """Go on after a pause."""
        if self.run is not None:
            self.run.resume()
            self._tell()

    def stop(self):
        """End it; what was simulated stays as the session's data. Returns at once."""
        if self.run is not None:
            self.run.stop(timeout=0.0)
            self._tell()

    def extend(self, duration):
        """Move the end to ``duration`` ps, never back."""
        if self.going and duration > self.run.duration:
            self.run.extend(duration - self.run.duration)
            self._tell()

    def leave(self):
        """End it and forget it."""
        with self._lock:
            run, self.run, self.source, self._result = self.run, None, None, None
            self._wanted = None
        if run is not None:
            run.stop(timeout=0.0)
        self._tell()

    def save(self, path):
        """Write the frames so far, and R, P and F at every step, as H5MD.

        Raises
        ------
        InputError
            Nothing was simulated, or the file cannot be written.
        """
        if self.run is None:
            raise InputError("Nothing was simulated here yet: press Run first.")
        self.run.save(path)

    # -- how it goes -----------------------------------------------------------------------------------

    @property
    def going(self):
        """Whether a simulation is running or paused."""
        return self.run is not None and (self.run.alive or self.run.state == "ready")

    def more_needed(self, goal=0.1):
        """About how many ps more give θ to a relative error of ``goal``; 0 when reached, None when not known."""
        from ..simulate.live import more_needed

        theta, series = self._session.latest("theta"), self._session.latest("series")
        if theta is None or series is None:
            return None
        return more_needed(series.duration, theta.relative_error, goal)

    def on_change(self, listener):
        """Call ``listener()`` when the state of the run has changed."""
        self._listeners.append(listener)

    def _tell(self):
        for listener in self._listeners:
            self._session.deliver(listener)

    # -- what the session asks -------------------------------------------------------------------------

    def data(self, source, progress):
        """The frames so far of the demo that ``source`` names, or None where it is not simulated here.

        Called in the session's worker; waits for the first frames.
        """
        with self._lock:
            wanted = self._wanted == source
            if not wanted and self.source == source:
                if self._result is not None:
                    return self._result
                wanted = self.run is None or (self.run.state == "stopped" and self.run.n_steps == 0)
        if wanted:
            self._start(source, progress)
        if self.source != source or self.run is None:
            return None
        return self._frames(progress)

    def _start(self, source, progress):
        from ..simulate.demo import demo

        progress(0.0, f"preparing {source.get('name', '')}")
        run = demo(source.get("name", ""), live=True, cache=False, **_settings(source))
        with self._lock:
            self.run, self.source, self._result, self._shown = run, dict(source), None, 0
            # not before: what is overtaken while it prepares is asked for again
            self._wanted = None
        run.start()
        threading.Thread(target=self._follow, args=(run,), name="amaexplore-live", daemon=True).start()
        self._tell()

    def _frames(self, progress):
        run = self.run
        enough = min(FIRST_FRAMES, max(2, round(0.2 * run.duration / (run.system.timestep * run.recording.stride))))
        try:
            while run.recording.n_frames < enough and run.alive:
                doing = "bringing the system to its temperature" if run.state == "equilibrating" else run.state
                progress(run.fraction, f"{run.system.name}: {doing}")
                time.sleep(0.05)
        except Cancelled:
            # a newer choice goes on with the same run; who pressed Stop does not want it
            if self._session.state("data").status == "cancelled":
                run.stop(timeout=0.0)
            raise
        if run.state == "failed":
            raise AmaError(f"The simulation failed: {run.error}")
        self._shown = run.recording.n_frames
        return run.trajectory()

    def _source_changed(self, change):
        if change["new"] != self._wanted:
            self._wanted = None
        if self.source is not None and change["new"] != self.source:
            self.leave()

    # -- its own thread --------------------------------------------------------------------------------

    def _follow(self, run):
        """Hand on new frames until the run has ended, then what it came to."""
        state = run.state
        while not run.wait(INTERVAL):
            if self.run is not run:
                return
            if run.state != state or run.state == "running":
                state = run.state
                self._tell()
            if self._shown and run.recording.n_frames > self._shown and self._drawn():
                self._session.graph.touch("live")
        if self.run is run:
            self._ended(run)

    def _drawn(self):
        return all(self._session.state(name).status not in ("stale", "working") for name in FOLLOWED)

    def _ended(self, run):
        from ..simulate.demo import remember_part

        if run.state == "failed":
            self._session.graph.touch("live")
            self._tell()
            return
        try:
            trajectory, duration = remember_part(run)
        except AmaError:
            # stopped before there was anything
            self._tell()
            return
        self._session.deliver(lambda: self._settle(run, trajectory, duration))

    def _settle(self, run, trajectory, duration):
        """The session goes on with what was simulated, under a source that says how to have it again."""
        from ..simulate.demo import find_demo

        with self._lock:
            if self.run is not run:
                return
            source = {name: value for name, value in self.source.items() if name != "duration"}
            if abs(duration - find_demo(source["name"]).duration) > 1e-6:
                source["duration"] = duration
            self.source, self._result = source, trajectory
        self._session.rename_source(source)
        self._tell()


def _settings(source):
    return {name: source[name] for name in ("seed", "duration", "stride") if source.get(name) is not None}

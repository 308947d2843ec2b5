"""A simulation in a background thread, to be watched, paused, continued, stopped and saved while it runs.

OpenMM lets other threads run while it computes, so a notebook or a page stays responsive. Nothing here draws: a plot asks
for `LiveRun.series` and `LiveRun.estimate` as often as it likes.
"""

import threading
from dataclasses import dataclass

import numpy as np

from ..errors import AmaError, Cancelled, InputError, InsufficientDataError
from ..results import Result, format_value
from .dynamics import DYNAMICS, Engine, begin
from .recording import Recording

__all__ = ["LiveEstimate", "LiveRun", "more_needed"]

STATES = ("ready", "equilibrating", "running", "paused", "finished", "stopped", "failed")
GOAL = 0.1  # relative error a live run aims at


@dataclass(frozen=True, eq=False, repr=False)
class LiveEstimate(Result):
    """ζ from what has been simulated so far, and how much more would make it good.

    Parameters
    ----------
    duration : float, ps
        Simulated so far.
    friction, friction_std : float, u/ps
    relative_error : float
    more : float, ps
        About how much more simulation gives ``goal``: errors fall as the root of the time. 0 when it is reached.
    goal : float
        Relative error aimed at.
    theta : Theta
        The coefficient itself, with its running integral.
    """

    duration: float
    friction: float
    friction_std: float
    relative_error: float
    more: float
    goal: float
    theta: object

    @property
    def sentence(self):
        """What to tell the user."""
        value = format_value(self.friction, self.friction_std, "u/ps")
        if self.more <= 0.0:
            return f"ζ = {value} after {self.duration:.0f} ps: known to {100 * self.relative_error:.0f} %"
        return f"ζ = {value} after {self.duration:.0f} ps: about {self.more:.2g} ps more for {100 * self.goal:.0f} %"

    def summary(self):
        return [("ζ", self.sentence), ("window", f"{self.theta.window:.4g} ps")]


def more_needed(duration, relative_error, goal=GOAL):
    """About how many ps more give a relative error of ``goal``: errors fall as the root of the time."""
    if not np.isfinite(relative_error):
        return float("inf")
    return max(0.0, duration * ((relative_error / goal) ** 2 - 1.0))


class LiveRun:
    """A molecular system being simulated in a thread of its own.

    Parameters
    ----------
    system : MolecularSystem
    duration : float, ps
        Where it ends by itself; `extend` moves the end.
    stride : int
        Steps between kept frames of all atoms.
    equilibration : float, ps
    dynamics : str
        "free", "held" (R and P of the particle, and the host's momentum, pinned) or "host held".
    seed : int
    platform : str, optional
    threads : int
    atoms : ndarray of int, optional
        Those in the kept frames; default all.
    metadata : dict, optional
        Goes into the trajectory's.
    when_finished : callable, optional
        Called in the background thread with the `Recording` when the run ended by itself.
    recorder : object, optional
        Gets every snapshot too: a `recorder.H5MDRecorder`.

    Examples
    --------
    A run is started, watched and saved::

        run = ama.demo("argon-nanoparticle", live=True)
        run.start()
        print(run.state, run.time, run.estimate().sentence)
        run.pause(); run.resume(); run.stop()
        run.save("run.h5md")
    """

    def __init__(
        self,
        system,
        *,
        duration,
        stride=1,
        equilibration=20.0,
        dynamics="free",
        seed=2026,
        platform=None,
        threads=1,
        atoms=None,
        metadata=None,
        when_finished=None,
        recorder=None,
    ):
        if not (np.isfinite(duration) and duration > 0):
            raise InputError(f"duration must be a positive number of ps; got {duration!r}.")
        if dynamics not in DYNAMICS:
            raise InputError(f"Dynamics {dynamics!r} is not known; there are: {', '.join(DYNAMICS)}.")
        self.system = system
        self.dynamics = dynamics
        self.recording = Recording(system, stride, atoms)
        self.error = None
        self._n_steps = max(1, round(duration / system.timestep))
        self._equilibration = float(equilibration)
        self._engine_options = {"seed": int(seed), "platform": platform, "threads": threads}
        self.metadata = dict(metadata or {})
        self._when_finished = when_finished
        self._recorder = recorder
        self._state = "ready"
        self._equilibrated = 0.0
        self._going = threading.Event()  # cleared: pause
        self._going.set()
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._thread = None

    # -- how it goes ----------------------------------------------------------------------------------

    @property
    def state(self):
        """One of "ready", "equilibrating", "running", "paused", "finished", "stopped", "failed"."""
        return self._state

    @property
    def alive(self):
        """Whether there is something that may still go on."""
        return self._state in ("equilibrating", "running", "paused")

    @property
    def time(self):
        """Simulated so far, ps (equilibration not counted)."""
        return self.recording.duration

    @property
    def duration(self):
        """Where it ends, ps."""
        return self._n_steps * self.system.timestep

    @property
    def n_steps(self):
        """Steps recorded so far: compare with an earlier value to see whether there is something new."""
        return self.recording.n_steps

    @property
    def fraction(self):
        """How much is done, 0 to 1, equilibration included."""
        whole = self._equilibration + self.duration
        return (self._equilibration * self._equilibrated + self.time) / whole

    def __repr__(self):
        return f"LiveRun({self.system.name}, {self.state}, {self.time:.4g} of {self.duration:.4g} ps)"

    # -- what one can do ------------------------------------------------------------------------------

    def start(self):
        """Begin; returns at once.

        Raises
        ------
        AmaError
            It was started before.
        """
        if self._state != "ready":
            raise AmaError(
                f"This run is {self._state}; it cannot be started again. Make a new one, or resume() a paused one."
            )
        self._set_state("equilibrating")
        self._thread = threading.Thread(target=self._work, name=f"simulation of {self.system.name}", daemon=True)
        self._thread.start()
        return self

    def pause(self):
        """Hold on after the present step; does nothing to a run that is not going on."""
        self._going.clear()
        self._switch("running", "paused")

    def resume(self):
        """Go on after a pause."""
        self._switch("paused", "running")
        self._going.set()

    def stop(self, timeout=10.0):
        """End for good; what was recorded stays. Waits until the thread has ended."""
        self._stop.set()
        self._going.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def extend(self, more):
        """Move the end by ``more`` ps, before it is reached.

        Parameters
        ----------
        more : float, ps

        Raises
        ------
        AmaError
            The run has ended.
        """
        if not self.alive and self._state != "ready":
            raise AmaError(f"This run is {self._state} and cannot be extended; start a new one with a longer duration.")
        self._n_steps += max(0, round(float(more) / self.system.timestep))

    def wait(self, timeout=None):
        """Block until it has ended (or the timeout, s); whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state in ("finished", "stopped", "failed"), timeout)

    # -- what there is so far -------------------------------------------------------------------------

    def series(self):
        """R, P and F at every step so far: an `OrderParameters`.

        Raises
        ------
        InsufficientDataError
            Nothing is recorded yet.
        """
        self._need_steps(1)
        return self.recording.series()

    def trajectory(self):
        """The frames of all atoms so far: a `Trajectory`."""
        self._need_steps(1)
        return self.recording.trajectory(**self.metadata)

    def estimate(self, window=None, goal=GOAL):
        """ζ from the run so far: a `LiveEstimate`.

        Parameters
        ----------
        window : float, ps, optional
        goal : float
            Relative error to aim at.

        Returns
        -------
        LiveEstimate

        Raises
        ------
        InsufficientDataError
            Fewer than 100 steps.
        """
        from ..transport import prepare

        self._need_steps(100)
        series = self.recording.series()
        # with the momentum held the plain integral has the plateau, and F is not dP/dt
        estimator = "window" if self.dynamics == "held" else None
        theta = prepare(series, isotropic=True).theta(window, estimator)
        duration = series.duration
        relative = theta.relative_error
        more = more_needed(duration, relative, goal)
        return LiveEstimate(duration, theta.friction, theta.friction_std, relative, more, goal, theta)

    def save(self, path):
        """Write an H5MD file: the frames so far, and R, P and F at every step (`amaexplore.load_series` reads them)."""
        from .recorder import write_series

        self._need_steps(2)
        series = self.series()
        self.trajectory().save(path)
        write_series(path, series)

    def _need_steps(self, n_steps):
        if self.recording.n_steps < n_steps:
            raise InsufficientDataError(
                f"The run is {self._state} and has {self.recording.n_steps} steps; at least {n_steps} are needed. Wait a little."
            )

    # -- the thread -----------------------------------------------------------------------------------

    def _work(self):
        try:
            engine = Engine(self.system, **self._engine_options)
            begin(engine, self._recorder, self._equilibration, self.dynamics, self._equilibrating)
            self._set_state("running" if self._going.is_set() else "paused")
            self._record(engine)
        except Cancelled:
            self._set_state("stopped")
        except Exception as error:  # whatever it is, the user must learn it and not wait for ever
            self.error = error
            self._set_state("failed")
        else:
            self._set_state("stopped" if self._stop.is_set() else "finished")
        finally:
            if self._recorder is not None:
                self._recorder.close()

    def _record(self, engine):
        while self.recording.n_steps < self._n_steps:
            self._going.wait()
            if self._stop.is_set():
                return
            snapshot = engine.step()
            temperature = engine.kinetic_temperature(snapshot.velocities)
            self.recording.take(snapshot, temperature)
            if self._recorder is not None:
                self._recorder.take(snapshot, temperature, engine)
        if self._when_finished is not None:
            self._when_finished(self.recording)

    def _equilibrating(self, fraction, text):
        self._equilibrated = fraction
        self._going.wait()
        if self._stop.is_set():
            raise Cancelled("The run was stopped.")

    def _switch(self, before, after):
        with self._changed:
            if self._state == before:
                self._state = after
                self._changed.notify_all()

    def _set_state(self, state):
        with self._changed:
            self._state = state
            self._changed.notify_all()

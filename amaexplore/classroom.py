"""Exercises for a class: data of one's own for every student, a prediction first, then an automatic check.

>>> from amaexplore.classroom import EXERCISES
>>> task = EXERCISES["plateau"].variant("ada")
>>> task.data.n_replicas
10

`Exercise.variant` makes the data from the student's name or number, so that everyone has other numbers and nobody
needs a server. A student first predicts (`Task.predict`), then works, then hands in (`Task.check`). For teachers:
`Exercise.solution` computes the answer from the same data and the exact one, and `grade` a whole class.
"""

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from .errors import InputError
from .synthetic import GeneralizedLangevin, MemoryMode
from .units import BOLTZMANN

__all__ = ["EXERCISES", "Exercise", "Feedback", "Task", "grade"]

TEMPERATURE = 240.0


@dataclass(frozen=True)
class Feedback:
    """What a hand-in got.

    Parameters
    ----------
    exercise, student : str
    score : float
        Share of the questions answered rightly, 0 to 1.
    right : dict
        Question -> bool.
    comments : dict
        Question -> a sentence; it does not give the answer away where the answer was wrong.
    """

    exercise: str
    student: str
    score: float
    right: dict
    comments: dict

    def __str__(self):
        lines = [f"{self.exercise}, {self.student}: {sum(self.right.values())} of {len(self.right)} right"]
        lines += [f"  {'✓' if self.right[name] else '✗'} {name}: {text}" for name, text in self.comments.items()]
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True)
class Question:
    """One thing to hand in.

    Parameters
    ----------
    asks : str
    unit : str
    tolerance : float
        Relative, of a number. Wide enough for three standard errors of a good estimate from the data.
    choices : tuple of str
        Of a word, instead of a number.
    hint : str
        For those who missed it.
    """

    asks: str
    unit: str = ""
    tolerance: float = 0.0
    choices: tuple = ()
    hint: str = ""

    def judge(self, answer, truth):
        """Whether an answer is right, and a sentence."""
        if self.choices:
            word = str(answer).strip().lower()
            if word not in self.choices:
                return False, f"{answer!r} is none of {', '.join(self.choices)}."
            return (True, "right") if word == truth else (False, f"not so. {self.hint}")
        try:
            number = float(answer)
        except (TypeError, ValueError):
            return False, f"a number in {self.unit or 'plain units'} is wanted; got {answer!r}."
        if not np.isfinite(number):
            return False, "the number is not finite."
        off = number / truth - 1.0
        if abs(off) <= self.tolerance:
            return True, f"right, within {100 * self.tolerance:.0f} %"
        direction = "too large" if off > 0 else "too small"
        return False, f"{direction} by more than {100 * self.tolerance:.0f} %. {self.hint}"


@dataclass(eq=False)
class Task:
    """An exercise with a student's own data.

    Parameters
    ----------
    exercise : Exercise
    student : str
    data : OrderParameters, or dict of them
        Nothing in it says what the answer is.
    predictions : dict
        What `predict` noted.
    """

    exercise: "Exercise"
    student: str
    data: object
    predictions: dict = field(default_factory=dict)

    def predict(self, **answers):
        """Say what you expect before computing anything; compared with the outcome by `check`, not graded."""
        self._known(answers)
        self.predictions = dict(answers)
        return (
            f"Noted, {self.student}: {', '.join(f'{name} = {value}' for name, value in answers.items())}. Now find out."
        )

    def check(self, **answers):
        """Hand in.

        Parameters
        ----------
        **answers
            By the names of the questions; what is missing counts as wrong.

        Returns
        -------
        Feedback

        Raises
        ------
        InputError
            No prediction was made yet, or an answer to a question that was not asked.
        """
        self._known(answers)
        if not self.predictions:
            raise InputError("Predict first: task.predict(...) with what you expect, right or wrong. Then check.")
        truth = self.exercise.truth(self.student)
        right, comments = {}, {}
        for name, question in self.exercise.questions.items():
            if name not in answers:
                right[name], comments[name] = False, "not handed in."
                continue
            right[name], comments[name] = question.judge(answers[name], truth[name])
            if name in self.predictions and right[name]:
                foreseen = question.judge(self.predictions[name], truth[name])[0]
                comments[name] += ", as you predicted" if foreseen else "; your prediction was another"
        return Feedback(self.exercise.name, self.student, sum(right.values()) / len(right), right, comments)

    def _known(self, answers):
        unknown = sorted(set(answers) - set(self.exercise.questions))
        if unknown:
            raise InputError(
                f"{self.exercise.name} asks for {', '.join(self.exercise.questions)}; got also {', '.join(unknown)}."
            )

    def __repr__(self):
        lines = [f"{self.exercise.title} ({self.exercise.minutes} minutes), for {self.student}", self.exercise.story]
        lines += [
            f"  {name}: {q.asks}"
            + (f" [{q.unit}]" if q.unit else "")
            + (f" One of {', '.join(q.choices)}." if q.choices else "")
            for name, q in self.exercise.questions.items()
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise, the same for all, from which every student gets a variant.

    Parameters
    ----------
    name, title, goal, story : str
        ``goal``: what the student can do afterwards.
    minutes : int
    questions : dict
        Name -> `Question`.
    make : callable
        Random generator -> (what was made, right answers).
    sample : callable
        (what was made, seed) -> data.
    solve : callable
        Data -> answers, by the program.
    explanation : str
        For teachers: why the answer is so, and what students get wrong.
    """

    name: str
    title: str
    goal: str
    story: str
    minutes: int
    questions: dict
    make: object = field(repr=False)
    sample: object = field(repr=False)
    solve: object = field(repr=False)
    explanation: str = ""

    def _seed(self, student):
        text = f"{self.name}:{str(student).strip().lower()}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    def _made(self, student):
        if not str(student).strip():
            raise InputError("A variant needs the student's name or number.")
        return self.make(np.random.default_rng(self._seed(student)))

    def variant(self, student):
        """A student's `Task`; the same name gives the same data, on every machine.

        Parameters
        ----------
        student : str or int

        Returns
        -------
        Task
        """
        made, _ = self._made(student)
        return Task(self, str(student), self.sample(made, self._seed(student)))

    def truth(self, student):
        """The exact answers of a student's variant (for teachers)."""
        return self._made(student)[1]

    def solution(self, student):
        """Exact answers, what the program finds in the same data, and why (for teachers).

        Returns
        -------
        dict
            Keys truth, found, explanation.
        """
        task = self.variant(student)
        return {"truth": self.truth(student), "found": self.solve(task.data), "explanation": self.explanation}


def grade(exercise, hand_ins):
    """Feedback for a class.

    Parameters
    ----------
    exercise : str or Exercise
    hand_ins : dict
        Student -> dict of answers.

    Returns
    -------
    dict
        Student -> `Feedback`.
    """
    exercise = find(exercise)
    out = {}
    for student, answers in hand_ins.items():
        # data are not needed to judge
        task = Task(exercise, str(student), None, predictions={"": None})
        out[student] = task.check(**answers)
    return out


def find(exercise):
    """An exercise by name.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if isinstance(exercise, Exercise):
        return exercise
    try:
        return EXERCISES[exercise]
    except (KeyError, TypeError):
        raise InputError(f"There is no exercise {exercise!r}; there are {', '.join(EXERCISES)}.") from None


# -- the exercises ------------------------------------------------------------------------------------------


def _blind(series):
    """The same data without the words that tell where they came from."""
    return replace(series, label="blind")


def _make_plateau(rng):
    mass, rate, decay = rng.uniform(300, 900), rng.uniform(0.4, 0.7), rng.uniform(0.1, 0.16)
    system = GeneralizedLangevin(modes=(MemoryMode(rate, decay),), mass=mass, temperature=TEMPERATURE)
    return system, {"friction": system.friction, "maximum": "too small"}


def _sample_plateau(system, seed):
    return _blind(system.sample(seed=seed))


def _solve_plateau(series):
    from .transport import theta

    true, top = theta(series, isotropic=True), theta(series, estimator="maximum")
    return {"friction": true.friction, "maximum": "too small" if top.friction < true.friction else "too large"}


def _make_trap(rng):
    tau_ratio = rng.uniform(3.0, 8.0)
    mass, rate = rng.uniform(300, 900), rng.uniform(0.8, 1.2)
    friction = mass * rate
    trap = friction * rate / tau_ratio
    system = GeneralizedLangevin(modes=(MemoryMode(rate, 0.06),), mass=mass, trap=trap, temperature=TEMPERATURE)
    return system, {"stiffness": trap, "friction": friction, "time": friction / trap, "diffusion_by_msd": "no"}


def _sample_trap(system, seed):
    return _blind(system.sample(seed=seed))


def _solve_trap(series):
    from .thermal_force import mean_force
    from .transport import theta

    stiffness = []
    for axis in "xyz":
        profile = mean_force(series, axis, intervals=1)
        inner = slice(len(profile.positions) // 4, -(len(profile.positions) // 4))
        stiffness.append(-np.polyfit(profile.positions[inner], profile.combined[inner], 1)[0])
    k, zeta = float(np.mean(stiffness)), theta(series, isotropic=True).friction
    return {"stiffness": k, "friction": zeta, "time": zeta / k, "diffusion_by_msd": "no"}


_CORNERS = {
    # mass in u, stiffness in kJ/mol/nm², with ζ = 333 u/ps and τ_K = 0.15 ps
    "smoluchowski": (100.0, 18.0),
    "both": (1200.0, 10.0),
    "fokker-planck": (1500.0, 300.0),
    "neither": (100.0, 2000.0),
}
_LETTERS = "ABCD"


def _make_regimes(rng):
    order = [list(_CORNERS)[k] for k in rng.permutation(4)]
    scale = rng.uniform(0.92, 1.08, size=4)
    systems = {}
    for letter, label, factor in zip(_LETTERS, order, scale):
        mass, trap = _CORNERS[label]
        mass *= factor
        systems[letter] = GeneralizedLangevin(
            modes=(MemoryMode(333.0 / mass, 0.15),), mass=mass, trap=trap, temperature=TEMPERATURE
        )
    return systems, dict(zip(_LETTERS, order))


def _sample_regimes(systems, seed):
    data = {}
    for k, (letter, system) in enumerate(systems.items()):
        series = system.sample(seed=seed + k, n_frames=12_000, timestep=0.01 if system.trap > 1000 else 0.02)
        # ε would tell the mass; the mass is needed, ε is not
        data[letter] = replace(_blind(series), typical_mass=series.mass)
    return data


def _solve_regimes(data):
    from .regime import diagnose

    return {letter: diagnose(series, temperature=TEMPERATURE).label for letter, series in data.items()}


def _make_barrier(rng):
    barrier = rng.uniform(2.5, 4.5) * BOLTZMANN * TEMPERATURE
    half = rng.uniform(0.4, 0.7)
    diffusion = rng.uniform(0.003, 0.008)
    facts = {"barrier": barrier, "half_distance": half, "diffusion": diffusion, "temperature": TEMPERATURE}
    return facts, {"passage": _passage(**facts), "twice_the_barrier": _verdict(facts)}


def _passage(barrier, half_distance, diffusion, temperature):
    from .reduced_density.grid import Grid
    from .reduced_density.smoluchowski import Smoluchowski

    a = half_distance
    equation = Smoluchowski(
        Grid(-2.2 * a, 2.2 * a, 600),
        diffusion=diffusion,
        potential=lambda R: barrier * ((R / a) ** 2 - 1.0) ** 2,
        temperature=temperature,
    )
    return equation.mean_first_passage_time(a, start=-a)


def _verdict(facts):
    ratio = _passage(**(facts | {"barrier": 2.0 * facts["barrier"]})) / _passage(**facts)
    return "more than five times" if ratio > 5 else "less than five times"


def _solve_barrier(facts):
    return {"passage": _passage(**facts), "twice_the_barrier": _verdict(facts)}


EXERCISES = {
    exercise.name: exercise
    for exercise in [
        Exercise(
            name="plateau",
            title="Where does one cut the integral?",
            goal="You can tell the friction of a free particle from ⟨FF⟩, and why the maximum of its integral is not it.",
            story="task.data holds ten free runs of R, P and F at 240 K. Use ama.theta, ama.force_correlation, .plot().",
            minutes=30,
            questions={
                "friction": Question(
                    "The friction ζ.",
                    "u/ps",
                    # three standard errors of the kernel; the maximum of ∫⟨FF⟩, 8-18 % low here, must not pass
                    0.1,
                    hint="Is there a plateau in what you integrated? See notebook 03.",
                ),
                "maximum": Question(
                    "How is ζ, read at the maximum of ∫⟨FF⟩?",
                    choices=("too small", "right", "too large"),
                    hint="What does F = dP/dt say about the whole integral?",
                ),
            },
            make=_make_plateau,
            sample=_sample_plateau,
            solve=_solve_plateau,
            explanation="F = dP/dt, so ∫⟨FF⟩ falls to zero over τ_P and its maximum is 8-18 % low at these masses. The memory "
            "kernel's integral has a plateau. Common error: choosing the window by the first zero of ⟨FF⟩, which is the maximum.",
        ),
        Exercise(
            name="trap",
            title="A particle in an unknown trap",
            goal="You can get stiffness, friction and relaxation time from one data set, and say which routes fail when confined.",
            story="task.data holds ten runs in a harmonic trap at 240 K. Use ama.mean_force, ama.theta.",
            minutes=45,
            questions={
                "stiffness": Question(
                    "k of f^th = −kR.", "kJ/mol/nm²", 0.15, hint="Equipartition gives it too: k_BT/⟨R²⟩."
                ),
                "friction": Question("The friction ζ.", "u/ps", 0.2, hint="Not by ∫⟨PP⟩: the particle comes back."),
                "time": Question("The relaxation time of ⟨R⟩, ζ/k.", "ps", 0.3, hint="It follows from the other two."),
                "diffusion_by_msd": Question(
                    "Does the slope of the mean squared displacement give D here?",
                    choices=("yes", "no"),
                    hint="Plot it.",
                ),
            },
            make=_make_trap,
            sample=_sample_trap,
            solve=_solve_trap,
            explanation="f^th by force matching, ζ by the kernel after f^th is taken off. ∫⟨PP⟩ → 0 and the MSD saturates at "
            "2k_BT/k. Common error: subtracting the mean of F instead of f^th(R).",
        ),
        Exercise(
            name="regimes",
            title="Which of these is in the Smoluchowski regime?",
            goal="You can decide between (29), (56), both and neither, from data alone.",
            story="task.data holds four blind data sets A to D at 240 K, one of each kind.",
            minutes=40,
            questions={
                letter: Question(
                    f"Which equations hold for data set {letter}?",
                    choices=tuple(_CORNERS),
                    hint="Compare τ_K with τ_P, and the larger of them with τ_R: ama.diagnose, and notebook 06.",
                )
                for letter in _LETTERS
            },
            make=_make_regimes,
            sample=_sample_regimes,
            solve=_solve_regimes,
            explanation="Light and weakly trapped: (29) alone; heavy and weakly: both; heavy and stiffly: (56) alone; light and "
            "stiffly: neither. Common error: judging by |P| or by the width of the density.",
        ),
        Exercise(
            name="barrier",
            title="How long does it take?",
            goal="You can predict a slow time from D and a potential, and estimate what a higher barrier costs.",
            story="task.data holds barrier (kJ/mol), half_distance (nm), diffusion (nm²/ps) and temperature (K) of "
            "U = b[(R/a)² − 1]². Use ama.Smoluchowski.",
            minutes=30,
            questions={
                "passage": Question(
                    "Mean first passage time from one minimum to the other.", "ps", 0.05, hint="Is your grid wide?"
                ),
                "twice_the_barrier": Question(
                    "How long does it take with a barrier twice as high?",
                    choices=("less than five times", "more than five times"),
                    hint="Kramers: the exponential of the barrier.",
                ),
            },
            make=_make_barrier,
            sample=lambda facts, _seed: dict(facts),
            solve=_solve_barrier,
            explanation="Quadrature or spectrum; Kramers' formula alone is 10-25 % short at 3 k_BT. Common error: a reflecting wall "
            "too close to the minimum.",
        ),
    ]
}
"""Name -> `Exercise`."""

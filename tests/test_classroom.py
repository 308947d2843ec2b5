"""Exercises: everyone's own data, right answers found by the program, wrong ones noticed, nothing given away."""

import numpy as np
import pytest

from amaexplore import InputError, theta
from amaexplore.classroom import EXERCISES, Exercise, grade


@pytest.mark.parametrize("name", EXERCISES)
def test_the_program_solves_what_it_asks(name):
    exercise = EXERCISES[name]
    for student in ("ada",) if name == "regimes" else ("ada", "emmy"):
        task = exercise.variant(student)
        with pytest.raises(InputError, match="Predict first"):
            task.check()
        solution = exercise.solution(student)
        task.predict(**{next(iter(exercise.questions)): 1.0})
        assert task.check(**solution["found"]).score == 1.0, (student, solution)
        assert task.check(**solution["truth"]).score == 1.0


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_says_what_it_is_for(name):
    exercise = EXERCISES[name]
    assert exercise.goal.startswith("You can")
    assert 10 <= exercise.minutes <= 90
    assert exercise.explanation
    text = repr(exercise.variant("ada"))
    assert all(question.asks in text for question in exercise.questions.values())


def test_variants_differ_and_are_remembered():
    exercise = EXERCISES["plateau"]
    truths = {student: exercise.truth(student)["friction"] for student in ("ada", "emmy", "lise", "Ada ")}
    assert truths["ada"] == truths["Ada "]
    assert len(set(truths.values())) == 3
    one, two = exercise.variant("ada"), exercise.variant("ada")
    np.testing.assert_array_equal(one.data.momentum, two.data.momentum)
    orders = {tuple(EXERCISES["regimes"].truth(student).values()) for student in range(20)}
    assert len(orders) > 5


def test_data_are_blind():
    task = EXERCISES["regimes"].variant("ada")
    assert {series.label for series in task.data.values()} == {"blind"}
    assert {series.epsilon for series in task.data.values()} == {1.0}


def test_wrong_answers_are_noticed_and_not_told():
    task = EXERCISES["plateau"].variant("ada")
    task.predict(friction=100)
    truth = EXERCISES["plateau"].truth("ada")["friction"]
    feedback = task.check(friction=0.8 * truth, maximum="right")
    assert feedback.score == 0.0
    assert "too small" in feedback.comments["friction"]
    assert f"{truth:.0f}" not in str(feedback)
    assert task.check(friction="much", maximum="blue").score == 0.0
    assert "not handed in" in task.check(friction=truth).comments["maximum"]
    assert task.check(friction=float("nan"), maximum="too small").score == 0.5


def test_guessing_does_not_pass():
    # the width of the answer is small against the spread of the variants
    exercise = EXERCISES["plateau"]
    truths = np.array([exercise.truth(student)["friction"] for student in range(200)])
    guess = np.median(truths)
    assert np.mean(np.abs(guess / truths - 1.0) < exercise.questions["friction"].tolerance) < 0.5


def test_the_common_error_does_not_pass():
    # reading ζ at the maximum of ∫⟨FF⟩ is what the exercise warns of
    exercise = EXERCISES["plateau"]
    passed = 0
    for student in range(6):
        task = exercise.variant(student)
        task.predict(maximum="right")
        top = theta(task.data, estimator="maximum").friction
        passed += task.check(friction=top).right["friction"]
    assert passed <= 1


def test_a_class_is_graded():
    exercise = EXERCISES["barrier"]
    answers = {student: exercise.truth(student) for student in ("ada", "emmy")}
    answers["emmy"] = answers["ada"]  # copied
    feedback = grade("barrier", answers)
    assert feedback["ada"].score == 1.0
    assert not feedback["emmy"].right["passage"]


def test_mistakes_get_a_sentence():
    with pytest.raises(InputError, match="plateau"):
        grade("unknown", {})
    with pytest.raises(InputError, match="asks for"):
        EXERCISES["barrier"].variant("ada").predict(time=3)
    with pytest.raises(InputError, match="name or number"):
        EXERCISES["barrier"].variant("  ")
    assert isinstance(EXERCISES["trap"], Exercise)

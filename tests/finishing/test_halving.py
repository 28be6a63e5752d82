"""Successive halving: who goes on, who stops, and that nothing decides but the data."""

import collections
import dataclasses
import io
import itertools
import pathlib
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.data import loaders
from rlnas.data.metrics import Metric
from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.finishing.choice import Prefer, dominates, may_be_chance
from rlnas.finishing.evaluator import Finishing, Training
from rlnas.finishing.finalists import Finalist, Stop
from rlnas.finishing.halving import halved, has_gained, rung_epochs
from rlnas.finishing.judge import Judge
from rlnas.finishing.plan import Plan, Teaching, Tools, run_plan
from rlnas.finishing.recipe import Recipe
from rlnas.finishing.winner import Winner, finish_best
from rlnas.progress import WAITING, Step, tell, told_to
from rlnas.reports.progress_bar import Bar
from rlnas.search.loop import SearchError
from rlnas.tflite.inference import int8_accuracy
from rlnas.trial import Measurement, Status
from tests.finishing.test_choice import LABELS, answers, chosen, finalist, some_finalists
from tests.finishing.test_finalists import BUDGET, trial, without_times

DIGITS = loaders.take(loaders.digits(), 300)


def test_rungs_double_and_end_with_all_epochs():
  assert rung_epochs(4, 60) == (9, 26, 60)
  assert rung_epochs(3, 60) == (9, 26, 60)
  assert rung_epochs(2, 60) == (20, 60)
  assert rung_epochs(1, 60) == (60,)
  assert rung_epochs(8, 60) == (4, 12, 28, 60)
  assert rung_epochs(4, 20) == (3, 9, 20)
  assert rung_epochs(4, 8) == (3, 8)  # too few for three rungs
  assert rung_epochs(4, 2) == (2,)
  with pytest.raises(ValueError, match='epochs=0: must be at least 1'):
    rung_epochs(1, 0)


@given(st.integers(1, 40), st.integers(1, 300))
def test_parts_grow_and_halving_costs_little(count, epochs):
  rungs = rung_epochs(count, epochs)
  parts = np.diff((0, *rungs))
  assert rungs[-1] == epochs
  assert (parts > 0).all()
  assert (len(rungs) == 1) == (count == 1 or round(epochs / 3) < 3)
  # Each part is about twice the one before, for half as many networks.
  assert all(later >= 1.5 * part - 1 for part, later in itertools.pairwise(parts))
  if len(rungs) == (count - 1).bit_length() + 1 and count in (4, 8, 16, 32):
    spent = sum(int(part) * (count >> rung) for rung, part in enumerate(parts))
    assert spent <= 0.55 * count * epochs


@pytest.mark.slow
@given(some_finalists(), st.sampled_from(list(Prefer)))
def test_halving_keeps_what_the_preference_would_choose(made, prefer):
  """What wins among those that go on is what would win among all: no accuracy is lost.

  Of what stops, some may be more accurate than the winner, but by no more than the preference gives
  up: its difference from the winner may be chance, or is at most .002.
  """
  metric, made = made
  choice = chosen(made, prefer, metric=metric)
  going, stopped = halved(choice)
  assert {f.name for f in going} | {f.name for f, _ in stopped} == {one.name for one, _ in made}
  assert 1 <= len(going) <= (len(made) + 1) // 2
  winner = choice.finalists[0]
  assert going[0] is winner
  given_answers = {one.name: answered for one, answered in made}
  again = chosen([(f, given_answers[f.name]) for f in going], prefer, metric=metric)
  assert again.finalists[0] is winner
  for f, why in stopped:
    others = [one for one, _ in made]
    assert (why is Stop.DOMINATED) == any(dominates(other, f) for other in others)
    behind = f.score[0] - winner.score[0]
    if behind > 0 and prefer is Prefer.SMALLEST:
      best = max(others, key=lambda one: one.score[0])
      pair = given_answers[best.name], given_answers[winner.name]
      assert may_be_chance(LABELS, *pair, metric)
    elif behind > 0:
      assert prefer is Prefer.BALANCED
      assert behind <= 0.002 + 1e-9


def test_a_part_gains_by_accuracy_or_by_loss():
  (better, _), (worse, _) = (finalist(i, range(i), 1, 1, 1) for i in (2, 3))
  same = dataclasses.replace(worse, name='same')
  losses = {better.name: 0.3, worse.name: 0.2, 'same': 0.2}

  def gained(before, after, *, is_last=False):
    return has_gained(before, after, lambda f: losses[f.name], is_last=is_last)

  assert gained(worse, better)  # more accuracy, though more loss
  assert not gained(worse, same)
  assert gained(better, worse)  # less loss, though less accuracy
  assert not gained(better, worse, is_last=True)
  losses['same'] = 0.19
  assert gained(worse, same)
  assert gained(worse, same, is_last=True)


class Formula:
  """Stands for the training: wrong answers, as a table says for each trial and epochs so far.

  Attributes:
    asked: (trial, first epoch, last epoch) of each part that was trained.
    heard: the finalists that were said to be stopped.
  """

  def __init__(self, wrong, *, flash=(4, 3, 2, 1), prefer=Prefer.ACCURACY, losses=None):
    self.wrong, self.flash, self.prefer, self.losses = wrong, flash, prefer, losses
    self.asked, self.heard, self.teachers = [], [], []

  def finish_all(self, candidates, trainings, teachers):
    self.teachers.extend(teachers)
    found = []
    for candidate, training in zip(candidates, trainings, strict=True):
      index, until = candidate.trial, training.until
      self.asked.append((index, training.before, until))
      assert (training.start == '') == (training.before == 0)
      wrong = self.wrong[index][until]
      measured = Measurement(Status.FAILED, detail='diverged')
      if wrong is not None:
        flash = 1000 * self.flash[index]
        one, _ = finalist(index, range(wrong), flash, 1000, 1000)
        measured = one.measurement
      stopped = Stop.ALL if training.is_last else None
      name = f'{index}/{until}' + f'/{candidate.note}' * bool(candidate.note)
      found.append(Finalist(candidate, name, measured, until, stopped))
    return found

  def wrong_of(self, f):
    index, until = f.name.split('/')[:2]
    return self.wrong[int(index)][int(until)]

  def judge(self, finalists):
    made = [(f, answers(range(self.wrong_of(f)))) for f in finalists]
    return chosen(made, self.prefer)

  def loss(self, f):
    return float(self.wrong_of(f) if self.losses is None else self.losses[f.name])

  def run(self, *, top=4, teaching=None, **recipe):
    tools = Tools(
      finish_all=self.finish_all,
      prune=lambda *_: None,
      judge=self.judge,
      loss=self.loss,
      on_stopped=self.heard.append,
    )
    plan = Plan(Recipe(60, **recipe), top=top, teaching=teaching)
    trials = [
      trial(i, accuracy=0.9 - i / 100, flash=9_000 - 500 * i) for i in range(len(self.wrong))
    ]
    found = run_plan(trials, BUDGET, plan, seed=0, tools=tools)
    return {f.candidate.trial: (f.epochs, f.stopped) for f in found if not f.candidate.note}


def test_the_better_half_goes_on_until_one_is_left():
  wrong = [{9: w, 26: w - 1, 60: w - 2} for w in (4, 6, 8, 10)]
  formula = Formula(wrong)
  assert formula.run() == {
    0: (60, Stop.ALL),
    1: (26, Stop.HALVED),
    2: (9, Stop.HALVED),
    3: (9, Stop.HALVED),
  }
  parts = [(0, 9), (9, 26), (26, 60)]
  asked = {i: [(a, b) for index, a, b in formula.asked if index == i] for i in range(4)}
  assert asked == {0: parts, 1: parts[:2], 2: parts[:1], 3: parts[:1]}
  assert [f.candidate.trial for f in formula.heard] == [2, 3, 1]


def test_a_dominated_finalist_gets_no_further_epochs():
  """The last one is the smallest and the best; it trains the rest in one piece."""
  formula = Formula([{9: w, 26: 0, 60: 0} for w in (7, 6, 5, 4)])
  assert formula.run() == {
    3: (60, Stop.ALL),
    **dict.fromkeys(range(3), (9, Stop.DOMINATED)),
  }
  assert formula.asked[4:] == [(3, 9, 60)]


def test_what_would_win_after_all_gets_its_epochs():
  """What dominated trial 0 has less loss after the second rung, but more errors than it had."""
  wrong = [{9: 5, 60: 3}, {9: 4, 26: 12, 60: 12}, {9: 50, 26: 49}, {9: 60}]
  losses = {'1/9': 3.0, '1/26': 2.0, '1/60': 1.0, '2/9': 9.0, '2/26': 8.0, '0/9': 3.0, '0/60': 1.0}
  formula = Formula(wrong, losses=losses)
  found = formula.run()
  assert formula.asked[-2:] == [(1, 26, 60), (0, 9, 60)]
  assert found[0] == found[1] == (60, Stop.ALL)
  assert list(found)[:2] == [0, 1]


def test_a_larger_finalist_of_equal_accuracy_may_go_on():
  formula = Formula([{9: 5, 26: w, 60: 0} for w in (5, 4, 1, 2)])
  found = formula.run()
  assert [part[0] for part in formula.asked if part[1:] == (9, 26)] in ([3, 2], [3, 1], [3, 0])
  assert list(found.values()).count((9, Stop.DOMINATED)) == 2


def test_teachers_are_trained_fully():
  formula = Formula([{9: w, 20: w, 26: w - 1, 60: w - 2} for w in (4, 6, 8, 10)])
  formula.run(teaching=Teaching.ENSEMBLE)
  assert {(f.candidate.trial, f.epochs) for f in formula.teachers} == {(0, 60), (1, 60), (2, 60)}


def test_a_part_without_gain_is_left_out():
  wrong = [{9: 4, 26: 6, 60: 0}, {9: 20, 26: 8, 60: 0}, {9: 50}, {9: 60}]
  formula = Formula(wrong)
  found = formula.run()
  assert found[0] == (26, Stop.NO_GAIN)  # with the four wrong answers of its first part
  assert found[1] == (60, Stop.ALL)
  # More errors after the last part are worse, whatever the loss.
  formula = Formula([{9: 8, 26: 4, 60: 6}, {9: 20, 26: 19}, {9: 50}, {9: 60}])
  formula.losses = {'0/9': 3.0, '0/26': 2.0, '0/60': 1.0, '1/9': 3.0, '1/26': 2.0}
  assert formula.run()[0] == (60, Stop.NO_GAIN)
  # Further trainings belong to the last part, so they are not left out.
  formula = Formula(wrong)
  assert formula.run(further_epochs=2)[0] == (60, Stop.ALL)


def test_what_fails_later_keeps_what_it_reached_and_early_failures_are_replaced():
  wrong = [{9: None}, {9: 4, 26: None}, {9: 5, 26: 4, 60: 3}, {9: 60}, {9: 70}]
  formula = Formula(wrong, flash=(5, 4, 3, 2, 1))
  found = formula.run()
  assert found[1] == (9, Stop.FAILED)
  assert found[2] == (60, Stop.ALL)
  assert set(found) == {1, 2, 3, 4}


TRIALS = [
  trial(index, accuracy=0.9 - index / 100, flash=9_000 - 500 * index, filters=filters)
  for index, filters in enumerate((12, 10, 8, 6))
]
PLAN = Plan(Recipe(21, learning_rate=0.02), top=4)


def halving(folder, *, plan=PLAN, **options):
  return finish_best(TRIALS, DIGITS, BUDGET, plan=plan, seed=1, folder=folder, **options)


class Counting(InProcess):
  """Counts the epochs that are trained, and may be killed before a part begins."""

  trained: ClassVar = []
  most: ClassVar = None

  def collect(self, timeout):
    if Counting.most is not None and len(Counting.trained) >= Counting.most:
      raise KeyboardInterrupt
    Counting.trained.append(self._queue[0].value)
    return super().collect(timeout)


@pytest.fixture(name='counted')
def _counted(monkeypatch):
  monkeypatch.setattr(Counting, 'trained', [])
  monkeypatch.setattr(Counting, 'most', None)
  return Counting


@dataclasses.dataclass(frozen=True)
class Run:
  """A finishing with all that was trained and told."""

  folder: pathlib.Path
  winner: Winner
  trained: tuple[Training, ...]
  heard: list[Finalist]
  steps: list[Step]


@pytest.fixture(scope='module', name='run')
def _run(tmp_path_factory):
  folder, heard, steps = tmp_path_factory.mktemp('halving'), [], []
  Counting.trained.clear()
  with told_to(steps.append):
    found = halving(folder, executor_factory=Counting, on_finished=heard.append)
  return Run(folder, found, tuple(Counting.trained), heard, steps)


@pytest.fixture(name='winner')
def _winner(run):
  return run.winner


@pytest.mark.slow
def test_only_the_better_half_goes_on(run):
  found, heard, trained = run.winner, run.heard, run.trained
  waited = [step.done for step in run.steps if step.unit == WAITING]
  assert waited == [t.until for t in trained if not t.is_last]
  first, *others = found.finalists
  assert len(heard) == len(found.finalists) == 4
  assert first.stopped in (Stop.ALL, Stop.NO_GAIN)
  assert sum(f.epochs for f in found.finalists) <= 0.6 * 4 * 21
  assert {f.epochs for f in found.finalists} <= {3, 9, 21}
  assert sum(f.epochs for f in found.finalists) == sum(t.epochs for t in trained)
  for f in others:
    assert f.stopped is not None
  # Each part continues from the weights of the one before.
  by_start = [t for t in trained if t.before]
  assert by_start
  for training in by_start:
    assert (run.folder / f'{training.start}.npz').exists()
  x, y = DIGITS.x_test, DIGITS.y_test
  assert found.int8_test_accuracy == int8_accuracy(found.model, x, y, scaling=DIGITS.scaling)
  result = [f.figures() for f in found.finalists]
  assert [r['epochs'] for r in result] == [f.epochs for f in found.finalists]
  assert {r['stopped'] for r in result} <= {stop.value for stop in Stop}


@pytest.mark.nightly
def test_who_goes_on_as_a_teacher_ends_twice_and_counts_once(tmp_path):
  """So that the bar shows what runs: with two networks one is stopped, and teaches after all."""
  plan = Plan(Recipe(9, learning_rate=0.02), top=2, teaching=Teaching.ENSEMBLE)
  heard = []
  with Bar(plan.finalists, 'finish', stream=io.StringIO()) as bar, told_to(bar.on_step):

    def on_finished(finalist):
      heard.append((finalist.candidate.title, finalist.epochs))
      bar.end(finalist.candidate.title, text='')
      assert bar.end_step(finalist.candidate.title) is False, 'nothing of it runs'

    halving(tmp_path, plan=plan, on_finished=on_finished)
    assert bar.done == plan.finalists == 4
  ends = collections.Counter(title for title, _ in heard)
  assert sorted(ends.values())[-1] == 2
  twice = next(title for title, count in ends.items() if count == 2)
  assert [epochs for title, epochs in heard if title == twice] == [3, 9]


def test_a_part_that_fails_is_not_shown_any_longer(monkeypatch, tmp_path):
  def diverge(self, training, *, seed):
    tell(Step(1, training.total))
    raise FloatingPointError('the loss is not finite')

  monkeypatch.setattr(Finishing, 'evaluate', diverge)
  steps = []
  with told_to(steps.append), pytest.raises(SearchError):
    halving(tmp_path)
  last = {step.name: step for step in steps}
  assert len(last) == 4
  assert {(step.unit, step.done) for step in last.values()} == {(WAITING, 3)}


@pytest.mark.nightly
def test_a_kill_within_a_rung_loses_only_the_part_that_ran(winner, counted, tmp_path):
  counted.most = 5  # four begin; the second rung has one of its two parts
  with pytest.raises(KeyboardInterrupt):
    halving(tmp_path, executor_factory=counted)
  before = list(counted.trained)
  assert len(before) == 5
  counted.trained.clear()
  counted.most = None
  resumed = halving(tmp_path, executor_factory=counted)
  assert not set(counted.trained) & set(before)
  assert resumed.model == winner.model
  assert without_times(resumed.finalists) == without_times(winner.finalists)
  counted.trained.clear()
  assert halving(tmp_path, executor_factory=counted).model == winner.model
  assert not counted.trained


@pytest.mark.nightly
def test_worker_processes_change_nothing(winner):
  other = halving(None, executor_factory=lambda e: WorkerPool(e, workers=2))
  assert other.model == winner.model
  assert without_times(other.finalists) == without_times(winner.finalists)


@pytest.mark.nightly
def test_without_halving_all_get_all_epochs(counted, tmp_path):
  plan = dataclasses.replace(PLAN, recipe=Recipe(3), halving=False)
  found = halving(tmp_path, plan=plan, executor_factory=counted)
  assert [(t.epochs, t.before, t.start) for t in counted.trained] == [(3, 0, '')] * 4
  assert {(f.epochs, f.stopped) for f in found.finalists} == {(3, Stop.ALL)}


@pytest.mark.slow
def test_patience_counts_the_epochs_that_were_trained(tmp_path):
  recipe = Recipe(30, learning_rate=0.3, patience=1)
  found = halving(tmp_path, plan=Plan(recipe, top=1))
  (one,) = found.finalists
  assert one.epochs == len(one.measurement.curve) < 30
  assert one.stopped is Stop.PATIENCE
  assert max(one.measurement.curve) == one.measurement.validation_accuracy


@pytest.mark.slow
def test_the_loss_is_that_of_the_logits(winner, tmp_path):
  (tmp_path / 'a.tflite').write_bytes(winner.model)
  judge = Judge(
    *(DIGITS, Prefer.ACCURACY),
    metric=Metric.ACCURACY,
    model_path=lambda name: tmp_path / f'{name}.tflite',
  )
  one = dataclasses.replace(winner.finalists[0], name='a')
  loss = judge.loss(one)
  wrong = 1 - one.measurement.int8_validation_accuracy
  # A wrong answer costs at least log 2; a network better than chance costs less than log 10.
  assert wrong * np.log(2) <= loss < np.log(10)

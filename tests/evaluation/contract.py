"""What every evaluator owes. A new one is added to EVALUATORS in test_contract.py."""

import concurrent.futures
import dataclasses
import multiprocessing
import pickle
from collections.abc import Sequence

from rlnas.architecture import Architecture
from rlnas.interfaces import Evaluator
from rlnas.trial import Measurement, Proposal, Status, Trial


def timeless(measurement: Measurement) -> Measurement:
  return dataclasses.replace(measurement, seconds=0.0)


def evaluate_all(
  evaluator: Evaluator, architectures: Sequence[Architecture], seed: int
) -> list[Measurement]:
  return [timeless(evaluator.evaluate(a, seed=seed)) for a in architectures]


def check_measurement_is_whole(evaluator: Evaluator, architecture: Architecture):
  """A complete measurement has every figure, in its range and of a type that JSON returns."""
  measurement = evaluator.evaluate(architecture, seed=1)
  assert measurement.status is Status.COMPLETE
  assert measurement.detail == ''
  assert type(measurement.seconds) is float
  assert measurement.seconds >= 0
  for name in ('validation_accuracy', 'int8_validation_accuracy'):
    value = getattr(measurement, name)
    assert type(value) is float
    assert 0 <= value <= 1
  for name in ('flash_bytes', 'sram_bytes', 'macs', 'parameters'):
    value = getattr(measurement, name)
    assert type(value) is int
    assert value > 0
  assert measurement.sram_source in ('tflm', 'analytic')
  trial = Trial(0, 0, 1, Proposal((0,), architecture), measurement, 0.5)
  assert Trial.from_json(trial.to_json()) == trial


def check_same_arguments_same_result(evaluator: Evaluator, architectures: Sequence[Architecture]):
  """Whatever was evaluated before, and by which copy of the evaluator."""
  first = evaluate_all(evaluator, architectures, 1)
  copy = pickle.loads(pickle.dumps(evaluator))  # noqa: S301 (made in this line)
  assert evaluate_all(copy, architectures[::-1], 1)[::-1] == first


def check_the_seed_reaches_the_result(evaluator: Evaluator, architecture: Architecture):
  """For evaluators that train: one seed in five differing from the first is enough."""
  accuracies = (evaluator.evaluate(architecture, seed=s).validation_accuracy for s in range(6))
  first = next(accuracies)
  assert any(other != first for other in accuracies)


def check_same_in_every_process(evaluator: Evaluator, architectures: Sequence[Architecture]):
  """Here, and first or last in a spawned process."""
  here = evaluate_all(evaluator, architectures, 1)
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
    assert pool.submit(evaluate_all, evaluator, architectures[::-1], 1).result() == here[::-1]

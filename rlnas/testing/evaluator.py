"""The rules that every evaluator must keep (`rlnas.interfaces.Evaluator`)."""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
from collections.abc import Hashable, Sequence

from rlnas.evaluation.shared_memory import Shared, attach
from rlnas.interfaces import Evaluator
from rlnas.testing.rules import require, timeless
from rlnas.trial import Measurement, Proposal, Status, Trial

_ACCURACIES = ('validation_accuracy', 'int8_validation_accuracy')
_COUNTS = ('flash_bytes', 'sram_bytes', 'macs', 'parameters')
_PURE = 'equal architecture and seed give an equal measurement'


def check_evaluator(
  evaluator: Evaluator,
  architectures: Sequence[Hashable],
  *,
  measures_all: bool = True,
  uses_seed: bool = True,
  processes: bool = True,
) -> None:
  """Runs the whole suite; it needs some five evaluations of each architecture.

  Args:
    evaluator: must be picklable, so its class must be in a module.
    architectures: at least two, the first of which can be measured; the others may be infeasible.
    measures_all: whether it measures every figure of a network. Benchmarks lack some.
    uses_seed: whether the seed changes the result, as in a training. If not, the suite checks that
      it does not.
    processes: whether to compare results with those of a spawned process; a script must then call
      this under `if __name__ == '__main__':`.

  Raises:
    AssertionError: a rule is broken; the message names it.
    ValueError: there are fewer than two architectures.
  """
  if len(architectures) < 2:
    raise ValueError(f'architectures: {len(architectures)} given: must be at least 2')
  # This check is first: before any evaluation, the evaluator's copy cannot have stored a result.
  measured = check_same_arguments_same_result(evaluator, architectures)
  if measures_all:
    check_measurement_is_whole(measured[0])
  check_figures_are_in_range(measured, architectures)
  if uses_seed:
    check_the_seed_reaches_the_result(evaluator, architectures[0], measured[0])
  else:
    check_the_seed_decides_nothing(evaluator, architectures, measured)
  if processes:
    check_same_in_every_process(evaluator, architectures, measured)


def check_measurement_is_whole(measurement: Measurement) -> None:
  """A complete measurement has every figure. Raises AssertionError."""
  rule = 'the network is measured: its status is complete'
  require(measurement.status is Status.COMPLETE, rule, measurement=measurement)
  for name in (*_ACCURACIES, *_COUNTS):
    rule = f'a complete measurement has {name}'
    require(getattr(measurement, name) is not None, rule, measurement=measurement)


def check_figures_are_in_range(
  measured: Sequence[Measurement], architectures: Sequence[Hashable]
) -> None:
  """Each figure is in its range and of a type that JSON keeps. Raises AssertionError."""
  for measurement, architecture in zip(measured, architectures, strict=True):
    _check_figures(measurement, architecture)


def _check_figures(measurement: Measurement, architecture: Hashable) -> None:
  status = measurement.status
  rule = 'an evaluator returns complete or infeasible measurements, and raises if it fails'
  require(status in (Status.COMPLETE, Status.INFEASIBLE), rule, status=status)
  explained = status is Status.COMPLETE or measurement.detail != ''
  require(explained, 'an infeasible measurement says in `detail` why')
  for name in _ACCURACIES:
    value = getattr(measurement, name)
    in_range = value is None or (type(value) is float and 0 <= value <= 1)
    require(in_range, f'{name} is a Python float in [0, 1]', **{name: value})
  for value in measurement.curve:
    in_range = type(value) is float and 0 <= value <= 1
    require(in_range, 'curve holds Python floats in [0, 1]', curve=measurement.curve)
  for name in (*_COUNTS, 'instructions'):
    value = getattr(measurement, name)
    least = 0 if name in ('macs', 'parameters') else 1
    in_range = value is None or (type(value) is int and value >= least)
    require(in_range, f'{name} is a Python integer of at least {least}', **{name: value})
  source, sram = measurement.sram_source, measurement.sram_bytes
  known = source in ('tflm', 'analytic') or (sram is None and source == '')
  require(known, "sram_source is 'tflm' or 'analytic'", sram_source=source, sram_bytes=sram)
  latency, seconds = measurement.latency_ms, measurement.seconds
  timed = latency is None or (type(latency) is float and 0 <= latency < math.inf)
  require(timed, 'latency_ms is a Python float of at least 0', latency_ms=latency)
  timed = type(seconds) is float and 0 <= seconds < math.inf
  require(timed, 'seconds is a Python float of at least 0', seconds=seconds)
  trial = Trial(0, 0, 1, Proposal((0,), architecture), measurement, 0.5)
  rule = 'a measurement is the same after it was written to a journal and read again'
  require(Trial.from_json(trial.to_json()) == trial, rule, measurement=measurement)


def check_same_arguments_same_result(
  evaluator: Evaluator, architectures: Sequence[Hashable]
) -> list[Measurement]:
  """Results depend on no earlier evaluation and no copy of the evaluator. Raises AssertionError.

  The copy is made first. It is the same as in a worker process, with read-only arrays.

  Returns:
    The measurements with seed 1.
  """
  try:
    shared = Shared(evaluator)
  except Exception as error:  # whatever its class raises
    rule = 'an evaluator can be pickled, as it is sent to worker processes'
    raise AssertionError(f'{rule}; found {type(error).__name__}: {error}') from error
  try:
    measured = [evaluator.evaluate(architecture, seed=1) for architecture in architectures]
    first = [timeless(measurement) for measurement in measured]
    again = evaluate_all(evaluator, architectures[:1], 1)
    require(again == first[:1], f'{_PURE}, again', first=first[0], again=again[0])
    copied = _evaluate_by_copy(shared, architectures[::-1])[::-1]
    rule = f'{_PURE}, in another order and by a copy of the evaluator'
    for one, other in zip(first, copied, strict=True):
      require(one == other, rule, first=one, copy=other)
  finally:
    shared.close()
  return measured


def _evaluate_by_copy(shared: Shared, architectures: Sequence[Hashable]) -> list[Measurement]:
  copy, memory = attach(shared.handle)
  found = evaluate_all(copy, architectures, 1)
  del copy  # before the memory of its arrays
  del memory
  return found


def check_the_seed_reaches_the_result(
  evaluator: Evaluator, architecture: Hashable, measured: Measurement
) -> None:
  """For evaluators that train: one of five seeds must differ from seed 1. Raises AssertionError."""
  first = timeless(measured)
  others = (evaluate_all(evaluator, [architecture], seed)[0] for seed in (0, 2, 3, 4, 5))
  require(any(other != first for other in others), 'the seed reaches the result', measurement=first)


def check_the_seed_decides_nothing(
  evaluator: Evaluator, architectures: Sequence[Hashable], measured: Sequence[Measurement]
) -> None:
  """For evaluators that look up, or share weights. Raises AssertionError."""
  first, second = evaluate_all(evaluator, architectures, 0), [timeless(m) for m in measured]
  require(first == second, 'the seed decides nothing', first=first, second=second)


def check_same_in_every_process(
  evaluator: Evaluator, architectures: Sequence[Hashable], measured: Sequence[Measurement]
) -> None:
  """Results are equal here and, in another order, in a spawned process. Raises AssertionError."""
  here = [timeless(measurement) for measurement in measured]
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
    there = pool.submit(evaluate_all, evaluator, architectures[::-1], 1).result()[::-1]
  for one, other in zip(here, there, strict=True):
    require(one == other, f'{_PURE}, in any process', here=one, there=other)


def evaluate_all(
  evaluator: Evaluator, architectures: Sequence[Hashable], seed: int
) -> list[Measurement]:
  """Measurements without their times, the only figure that may differ between two runs."""
  return [timeless(evaluator.evaluate(a, seed=seed)) for a in architectures]

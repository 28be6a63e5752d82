"""The rules that every executor must keep (`rlnas.interfaces.Executor`).

The suite has its own evaluator, `Probe`, which computes measurements from its arguments by a
formula, so the suite knows the correct results.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterator

from rlnas.architecture import Architecture, Graph
from rlnas.interfaces import Evaluator, Executor
from rlnas.testing.rules import require, timeless
from rlnas.trial import NO_TERMS, Measurement, Status, Terms, derive_seed

Make = Callable[[Evaluator], Executor]

PATIENCE_SECONDS = 120.0
FAILING, SLOW = 13, 17  # seeds of evaluations that raise, or take long
_SLOW_SECONDS = 60.0
_POLL_SECONDS = 0.01


@dataclasses.dataclass(frozen=True)
class Probe:
  """An evaluator whose measurement depends on all its arguments and on nothing else.

  It pretends to train in two stages, so that `Terms` have an effect: a caching executor must know
  the number of stages. The seed `FAILING` raises an ArithmeticError; the seed `SLOW` takes
  `slow_seconds`, others up to 0.02 seconds, so that workers finish out of order.
  """

  slow_seconds: float = _SLOW_SECONDS

  def evaluate(
    self, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> Measurement:
    """The measurement. Raises ArithmeticError."""
    if seed == FAILING:
      raise ArithmeticError(f'seed {FAILING} fails on purpose')
    time.sleep(self.slow_seconds if seed == SLOW else 0.01 * (seed % 3))
    drawn = derive_seed(architecture.digest, seed, terms.parent)
    accuracy = drawn / 2**31
    stopped = bool(terms.thresholds) and accuracy / 2 < terms.thresholds[0]
    curve = (accuracy / 2,) if stopped else (accuracy / 2, accuracy)
    return Measurement(
      Status.COMPLETE,
      validation_accuracy=curve[-1],
      int8_validation_accuracy=curve[-1],
      flash_bytes=1 + drawn % 1009,
      sram_bytes=1 + drawn % 1013,
      sram_source='analytic',
      macs=drawn,
      parameters=len(architecture.nodes),
      curve=curve,
    )


def check_executor(make: Make, *, patience: float = PATIENCE_SECONDS) -> None:
  """Runs the whole suite, each check on an executor of its own.

  Args:
    make: starts an executor of an evaluator, which can be pickled. Give a caching executor two
      stages.
    patience: seconds that an evaluation of a few hundredths of a second may take, with the start of
      workers.

  Raises:
    AssertionError: a rule is broken; the message names it.
  """
  check_every_key_comes_back_once(make, patience=patience)
  check_terms_reach_the_evaluator(make, patience=patience)
  check_failures_are_measurements(make, patience=patience)
  check_nothing_under_way_is_none(make, patience=patience)
  check_withdrawn_keys_never_come_back(make, patience=patience)
  check_close_gives_up_what_is_under_way(make, patience=patience)


def check_every_key_comes_back_once(make: Make, *, patience: float = PATIENCE_SECONDS) -> None:
  """Each key has the measurement of its network and seed. Raises AssertionError."""
  with _closing(make(Probe())) as executor:
    submitted = {}
    for place in range(12):  # of four networks, each twice with one seed and once with another
      key = (37 * place + 3) % 101  # in no order
      submitted[key] = network(place % 4), 20 + place // 8
      executor.submit(key, submitted[key][0], seed=submitted[key][1])
    found = _collect(executor, submitted, patience)
    _require_nothing_more(executor)
  for key, (architecture, seed) in submitted.items():
    expected = Probe().evaluate(architecture, seed=seed)
    _require_equal(found[key], expected, 'each key has the measurement of its network and seed')


def check_terms_reach_the_evaluator(make: Make, *, patience: float = PATIENCE_SECONDS) -> None:
  """Equal networks and seeds under different terms are kept apart. Raises AssertionError."""
  every = (NO_TERMS, Terms((0.0,)), Terms((1.0,)), Terms(parent='a'), Terms((1.0,), 'b'))
  with _closing(make(Probe())) as executor:
    for key, terms in enumerate(every):
      executor.submit(key, network(0), seed=5, terms=terms)
    found = _collect(executor, range(len(every)), patience)
  for key, terms in enumerate(every):
    expected = Probe().evaluate(network(0), seed=5, terms=terms)
    _require_equal(found[key], expected, 'each key has the measurement under its terms')


def check_failures_are_measurements(make: Make, *, patience: float = PATIENCE_SECONDS) -> None:
  """Failures have status 'failed' and a cause; others continue. Raises AssertionError."""
  failed = 'an evaluator that raises gives a measurement of status failed'
  seeds = {0: 1, 1: FAILING, 2: 2, 3: FAILING, 4: 3}
  with _closing(make(Probe())) as executor:
    for key, seed in seeds.items():
      executor.submit(key, network(0), seed=seed)
    try:
      found = _collect(executor, seeds, patience)
    except ArithmeticError as error:
      raise AssertionError(f'{failed}; found {error!r}') from error
  for key, seed in seeds.items():
    if seed == FAILING:
      require(found[key].status is Status.FAILED, failed, measurement=found[key])
      told = 'ArithmeticError' in found[key].detail and 'fails on purpose' in found[key].detail
      require(told, 'a failed measurement has its cause in `detail`', detail=found[key].detail)
    else:
      expected = Probe().evaluate(network(0), seed=seed)
      _require_equal(found[key], expected, 'a failure changes no other measurement')


def check_nothing_under_way_is_none(make: Make, *, patience: float = PATIENCE_SECONDS) -> None:
  """`collect` returns None after its timeout if there is no work. Raises AssertionError."""
  with _closing(make(Probe())) as executor:
    _require_nothing_more(executor)
    withdrawn = list(executor.withdraw())
    require(withdrawn == [], 'withdraw returns no key if nothing is under way', keys=withdrawn)
    executor.submit(0, network(0), seed=0)
    _collect(executor, [0], patience)
    _require_nothing_more(executor)


def check_withdrawn_keys_never_come_back(make: Make, *, patience: float = PATIENCE_SECONDS) -> None:
  """All other keys come back, and a withdrawn key can be used again. Raises AssertionError."""
  rule = 'withdrawn keys never come back'
  with _closing(make(Probe())) as executor:
    keys = range(12)
    for key in keys:
      executor.submit(key, network(key % 3), seed=30 + key // 6)
    found = _collect_first(executor, keys, patience)  # now workers have begun
    withdrawn = list(executor.withdraw())
    _check_withdrawn(withdrawn, set(keys) - set(found))
    found |= _collect(executor, set(keys) - set(found) - set(withdrawn), patience, rule)
    _require_nothing_more(executor, rule)
    for key in withdrawn:
      executor.submit(key, network(key % 3), seed=40 + key // 6)
    again = _collect(executor, withdrawn, patience)
    _require_nothing_more(executor)
  for key, measurement in found.items():
    expected = Probe().evaluate(network(key % 3), seed=30 + key // 6)
    _require_equal(measurement, expected, 'a withdrawal changes no other measurement')
  for key, measurement in again.items():
    expected = Probe().evaluate(network(key % 3), seed=40 + key // 6)
    _require_equal(measurement, expected, 'a withdrawn key can be used again')


def _check_withdrawn(withdrawn: list[int], under_way: set[int]) -> None:
  rule = 'withdraw returns keys that are under way, each once'
  once = len(set(withdrawn)) == len(withdrawn)
  require(once and set(withdrawn) <= under_way, rule, withdrawn=withdrawn, under_way=under_way)


def check_close_gives_up_what_is_under_way(
  make: Make, *, patience: float = PATIENCE_SECONDS, slow_seconds: float = _SLOW_SECONDS
) -> None:
  """`close` waits for no evaluation.

  Args:
    make: as for `check_executor`.
    patience: as for `check_executor`.
    slow_seconds: duration of a running evaluation; `close` may take half of that.

  Raises:
    AssertionError: `close` takes longer.
  """
  with _closing(make(Probe(slow_seconds))) as executor:
    executor.submit(0, network(0), seed=0)
    for key in range(1, 5):
      executor.submit(key, network(key), seed=SLOW)
    _collect_first(executor, range(5), patience + slow_seconds)  # now workers have begun
    started = time.monotonic()
  seconds = time.monotonic() - started
  rule = 'close does not wait for evaluations that are under way'
  require(seconds < slow_seconds / 2, rule, seconds=seconds)


def network(number: int) -> Architecture:
  """A small network; a different number gives a different network."""
  graph = Graph()
  x = graph.add(
    'conv',
    graph.input,
    filters=1 + number,
    kernel_height=3,
    kernel_width=3,
    stride=2,
    activation='relu',
  )
  return graph.finish(graph.classify(x))


@contextlib.contextmanager
def _closing(executor: Executor) -> Iterator[Executor]:
  try:
    yield executor
  finally:
    executor.close()


def _collect(
  executor: Executor,
  keys: Collection[int],
  patience: float,
  rule: str = 'only keys that are under way come back',
) -> dict[int, Measurement]:
  """Collects the measurements of these keys, each once; other keys break `rule`."""
  found: dict[int, Measurement] = {}
  until = time.monotonic() + patience
  while len(found) < len(keys):
    arrived = executor.collect(min(1.0, patience))
    if arrived is None:
      missing = sorted(set(keys) - set(found))
      late = f'every submitted key comes back: within {patience:g} seconds'
      require(time.monotonic() < until, late, missing=missing)
      time.sleep(_POLL_SECONDS)  # collect may return at once
      continue
    key, measurement = arrived
    require(key not in found, 'every submitted key comes back exactly once', twice=key)
    require(key in keys, rule, key=key, under_way=sorted(keys))
    found[key] = measurement
  return found


def _collect_first(
  executor: Executor, keys: Collection[int], patience: float
) -> dict[int, Measurement]:
  """Collects the first measurement that comes back."""
  until = time.monotonic() + patience
  while (arrived := executor.collect(min(1.0, patience))) is None:
    rule = f'every submitted key comes back: the first within {patience:g} seconds'
    require(time.monotonic() < until, rule, missing=sorted(keys))
    time.sleep(_POLL_SECONDS)
  require(arrived[0] in keys, 'only keys that are under way come back', key=arrived[0])
  return {arrived[0]: arrived[1]}


def _require_nothing_more(
  executor: Executor, rule: str = 'collect returns None if nothing is under way'
) -> None:
  started = time.monotonic()
  arrived = executor.collect(0.1)
  require(arrived is None, rule, arrived=arrived)
  seconds = time.monotonic() - started
  require(seconds < 10, 'collect returns after its timeout, 0.1 seconds', seconds=seconds)


def _require_equal(found: Measurement, expected: Measurement, rule: str) -> None:
  require(timeless(found) == timeless(expected), rule, found=found, expected=expected)

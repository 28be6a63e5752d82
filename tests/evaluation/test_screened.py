import collections
import dataclasses
import math

import numpy as np
import pytest

from rlnas.architecture import Architecture, Graph, TaskShape
from rlnas.board import BOARDS
from rlnas.budget import Budget
from rlnas.child.builder import build
from rlnas.cost import cost, latency
from rlnas.cost.builds import BUILDS
from rlnas.cost.cost import estimate_cost
from rlnas.cost.latency import latency_ms
from rlnas.data import loaders
from rlnas.evaluation.executors import InProcess
from rlnas.evaluation.int8 import Ready, measure_int8
from rlnas.evaluation.screened import Screened, excess, may_fit
from rlnas.evaluation.trained import Trained
from rlnas.evaluation.untrained import untrained_footprint
from rlnas.reward import linear_excess
from rlnas.search.loop import run_search
from rlnas.spaces import Chain, MultiBranch, NASNet, Recurrent
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.strategies.controller import Controller
from rlnas.strategies.reinforce import Reinforce
from rlnas.trial import Measurement, Status

TASK = TaskShape((28, 28, 1), 10)
DIGITS = loaders.take(loaders.digits(), 100)


@dataclasses.dataclass
class Counting:
  """Remembers what it was asked for."""

  seen: list[tuple[Architecture, int]] = dataclasses.field(default_factory=list)

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    self.seen.append((architecture, seed))
    return Measurement(Status.COMPLETE, int8_validation_accuracy=0.5)


def networks(count: int) -> list[Architecture]:
  table, rng = compile_table(Chain()), np.random.default_rng(0)
  return [decode(table.space, sample_uniform(table, rng)) for _ in range(count)]


def screen(architecture: Architecture, budget: Budget) -> tuple[Measurement, list]:
  inner = Counting()
  return Screened(inner, budget, TASK).evaluate(architecture, seed=7), inner.seen


def test_clear_cases_are_decided_by_the_estimate():
  for architecture in networks(60):
    estimate = estimate_cost(architecture, TASK)
    half = Budget(estimate.flash_bytes * 2, estimate.sram_bytes // 2)
    measurement, seen = screen(architecture, half)
    assert measurement.status is Status.INFEASIBLE
    assert not seen
    assert measurement.int8_validation_accuracy is None
    assert (measurement.flash_bytes, measurement.sram_bytes) == (
      estimate.flash_bytes,
      estimate.sram_bytes,
    )
    assert measurement.sram_source == 'analytic'
    assert 'estimated' in measurement.detail
    twice = Budget(estimate.flash_bytes * 2, estimate.sram_bytes * 2)
    measurement, seen = screen(architecture, twice)
    assert seen == [(architecture, 7)]
    assert measurement.status is Status.COMPLETE


def test_the_budget_limits_the_arena_of_the_boards_build():
  chip, larger = BUILDS['m4-cmsis'], 0
  for architecture in networks(20):
    here = estimate_cost(architecture, TASK).sram_bytes
    there = estimate_cost(architecture, TASK, build=chip).sram_bytes
    if there < 1.115 * here:  # the margin of the screening, 5 %, lies on both sides of the budget
      continue
    larger += 1
    budget = Budget(2**20, (here + there) // 2)
    assert may_fit(architecture, budget, TASK)
    assert not may_fit(architecture, budget, TASK, build=chip)
    inner = Counting()
    measured = Screened(inner, budget, TASK, build=chip).evaluate(architecture, seed=7)
    assert (measured.sram_bytes, measured.sram_build) == (there, 'm4-cmsis')
    assert not inner.seen
    assert screen(architecture, budget)[1] == [(architecture, 7)]
  assert larger >= 3, 'with the scratch memory of CMSIS-NN'


def test_what_may_fit_is_what_the_estimate_does_not_rule_out():
  architecture = networks(1)[0]
  known = estimate_cost(architecture, TASK)
  for factor, expected in ((1.0, True), (1 / 1.04, True), (1 / 1.06, False)):
    for flash, sram in ((factor, 1.0), (1.0, factor)):
      budget = Budget(int(known.flash_bytes * flash), int(known.sram_bytes * sram))
      assert may_fit(architecture, budget, TASK) is expected


def test_the_excess_is_the_sum_of_the_logarithms_of_what_is_beyond():
  """Half of the flash, a third of the MACs and a quarter of the time are allowed; SRAM suffices."""
  architecture, speed = networks(1)[0], BOARDS['esp32'].speed
  known = estimate_cost(architecture, TASK)
  used_ms = latency_ms(architecture, TASK, speed=speed)
  flash, sram, macs = known.flash_bytes // 2, known.sram_bytes, known.macs // 3
  expected = math.log(known.flash_bytes / 1.05 / flash) + math.log(known.macs / macs)
  # Without a limit of the time, the board's speed decides nothing.
  for given in (None, speed):
    found = excess(architecture, Budget(flash, sram, macs), TASK, speed=given)
    assert found == pytest.approx(expected)
  timed = Budget(flash, sram, macs, latency_ms=used_ms / 4)
  found = excess(architecture, timed, TASK, speed=speed)
  assert found == pytest.approx(expected + math.log(4))
  with pytest.raises(ValueError, match='speed=None'):
    excess(architecture, timed, TASK)


def test_the_excess_is_0_exactly_where_a_network_may_fit_and_grows_with_its_size():
  costs = {network: estimate_cost(network, TASK) for network in networks(40)}
  flash = sorted(cost.flash_bytes for cost in costs.values())
  budget = Budget(flash[20], 2**30)
  found = {network: excess(network, budget, TASK) for network in costs}
  for network, known in costs.items():
    fits = known.flash_bytes / 1.05 <= flash[20]
    assert (found[network] == 0) is fits is may_fit(network, budget, TASK)
    assert found[network] >= 0
  beyond = sorted((costs[network].flash_bytes, value) for network, value in found.items() if value)
  assert len(beyond) > 10
  assert [value for _, value in beyond] == sorted(value for _, value in beyond)
  tighter = Budget(flash[20] // 2, 2**30)
  for network in costs:
    if found[network]:
      assert excess(network, tighter, TASK) == pytest.approx(
        found[network] + math.log(flash[20] / (flash[20] // 2))
      )


FIRST, *OTHERS = networks(3)
ONE_OF_THREE = [FIRST, *(pytest.param(a, marks=pytest.mark.nightly) for a in OTHERS)]


@pytest.mark.slow
@pytest.mark.parametrize('architecture', ONE_OF_THREE)
def test_near_the_limit_the_exact_size_decides(architecture):
  exact = untrained_footprint(architecture, TASK)
  fits = Budget(exact.flash_bytes, exact.sram_bytes)
  assert screen(architecture, fits)[1] == [(architecture, 7)]
  for flash, sram in ((1, 0), (0, 1)):
    budget = Budget(exact.flash_bytes - flash, exact.sram_bytes - sram)
    measurement, seen = screen(architecture, budget)
    assert not seen
    assert measurement.status is Status.INFEASIBLE
    assert measurement.flash_bytes == exact.flash_bytes
    assert measurement.sram_bytes == exact.sram_bytes
    assert measurement.sram_source == 'tflm'
    assert 'measured' in measurement.detail


def test_what_no_microcontroller_runs_is_infeasible():
  graph = Graph()
  x = graph.add(
    'conv', graph.input, filters=6000, kernel_height=1, kernel_width=1, stride=1, activation='none'
  )
  wide = graph.finish(graph.classify(x))
  estimate = estimate_cost(wide, TASK)
  measurement, seen = screen(wide, Budget(estimate.flash_bytes, estimate.sram_bytes))
  assert not seen
  assert measurement.status is Status.INFEASIBLE


class Unlearned:
  """Measures networks as they are built."""

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    return measure_int8(
      architecture,
      DIGITS,
      lambda: Ready(build(architecture, DIGITS.task, seed=seed), 0.5),
      calibration_examples=10,
      speed=BOARDS['esp32'].speed,
    )


@pytest.mark.slow
def test_a_search_estimates_each_proposed_network_once(monkeypatch):
  """Before it is proposed; the screening and the measurement take the same estimate."""
  estimated, timed = collections.Counter(), collections.Counter()
  sizes, work = cost._estimate, latency.workload_of

  def counted_cost(architecture, *arguments):
    estimated[architecture] += 1
    return sizes(architecture, *arguments)

  def counted_work(architecture, task):
    timed[architecture] += 1
    return work(architecture, task)

  monkeypatch.setattr(cost, '_estimate', counted_cost)
  monkeypatch.setattr(latency, 'workload_of', counted_work)
  table = compile_table(Chain(max_depth=3))
  budget = Budget(40_000, 6_000, latency_ms=60.0)
  speed = BOARDS['esp32'].speed

  def admits(architecture: Architecture) -> bool:
    return may_fit(architecture, budget, DIGITS.task, speed=speed)

  trials = run_search(
    Reinforce(table, controller=Controller(table, seed=0), admits=admits, warm_up=2),
    executor=InProcess(Screened(Unlearned(), budget, DIGITS.task, speed)),
    reward=linear_excess,
    budget=budget,
    trials=6,
    batch=2,
  )
  networks = [trial.proposal.architecture for trial in trials]
  assert sum(trial.measurement.status is Status.COMPLETE for trial in trials) >= 4
  assert len(set(networks)) == len(networks)
  for network in networks:
    assert estimated[network] == 1
  assert sum(estimated.values()) > len(networks), 'some were estimated and not proposed'
  assert set(timed.values()) == {1}
  assert len(timed) == len(estimated)


@pytest.mark.slow
@pytest.mark.parametrize(
  'space',
  [
    *(Chain(), MultiBranch(depth=5), Recurrent(base=2, steps=3, frames=8)),
    pytest.param(NASNet(blocks=2), marks=pytest.mark.nightly),
  ],
)
def test_the_untrained_network_has_the_size_of_the_trained_one(space):
  table, rng = compile_table(space), np.random.default_rng(1)
  data = loaders.take(loaders.digits(), 300)
  data = loaders.as_sequences(data) if isinstance(space, Recurrent) else data
  architecture = decode(space, sample_uniform(table, rng))
  trained = Trained(data, epochs=1).evaluate(architecture, seed=0)
  untrained = untrained_footprint(architecture, data.task)
  assert trained.flash_bytes == untrained.flash_bytes
  assert trained.sram_bytes == untrained.sram_bytes

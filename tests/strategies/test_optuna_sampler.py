import math
import subprocess
import sys

import numpy as np
import optuna
import pytest

from rlnas.architecture import Graph
from rlnas.spaces import Chain
from rlnas.spaces.decision import Decision
from rlnas.spaces.table import compile_table, states_of
from rlnas.strategies.optuna_sampler import OptunaSampler
from rlnas.strategies.random_search import RandomSearch
from tests.strategies.interactions import TABLE, interaction, trials_of

pytestmark = pytest.mark.slow


def searched(strategy, *, batches: int, size: int = 5) -> list[float]:
  rewards: list[float] = []
  for batch in range(batches):
    proposals = strategy.ask(size, np.random.default_rng(batch))
    earned = [interaction(proposal) for proposal in proposals]
    strategy.tell(trials_of(proposals, earned, size * batch))
    rewards += earned
  return rewards


@pytest.mark.nightly
def test_tpe_beats_random_search():
  """By 5 sigma of the difference of two means: a false-alarm rate of 3e-7."""
  last = searched(OptunaSampler(TABLE), batches=60)[-100:]
  uniform = [interaction(p) for p in RandomSearch(TABLE).ask(500, np.random.default_rng(0))]
  sigma = math.sqrt(np.var(last) / len(last) + np.var(uniform) / len(uniform))
  assert np.mean(last) - np.mean(uniform) > 5 * sigma


def test_other_samplers_serve_too():
  made = []

  def sampler(seed):
    made.append(seed)
    return optuna.samplers.RandomSampler(seed=seed)

  strategy = OptunaSampler(TABLE, sampler=sampler)
  searched(strategy, batches=3)
  assert len(set(made)) == 3


def shallow(architecture) -> bool:
  return len(architecture.nodes) <= 6


def test_what_is_not_admitted_is_not_proposed_and_leaves_nothing_behind():
  assert not all(
    shallow(p.architecture) for p in OptunaSampler(TABLE).ask(5, np.random.default_rng(0))
  )
  strategy = OptunaSampler(TABLE, admits=shallow)
  for batch in range(3):  # TPE's first 10 trials are random
    proposals = strategy.ask(5, np.random.default_rng(batch))
    assert all(shallow(proposal.architecture) for proposal in proposals)
    assert len({proposal.tokens for proposal in proposals}) > 2
    assert strategy.ask(5, np.random.default_rng(batch)) == proposals
    strategy.tell(trials_of(proposals, map(interaction, proposals), 5 * batch))


def test_where_no_suggestion_is_admitted_a_uniform_sample_is_proposed():
  seen = []

  def at_last(architecture) -> bool:
    seen.append(architecture)
    return len(seen) > 64

  (proposal,) = OptunaSampler(TABLE, admits=at_last).ask(1, np.random.default_rng(3))
  assert len(seen) == 65
  assert (proposal.architecture, proposal.log_prob) == (seen[-1], None)


def test_where_nothing_is_admitted_the_first_suggestion_is_proposed():
  wanted = OptunaSampler(TABLE).ask(1, np.random.default_rng(3))
  assert OptunaSampler(TABLE, admits=lambda _: False).ask(1, np.random.default_rng(3)) == wanted


def narrowing():
  """The second decision offers less after the first choice, under the same name."""
  wide = yield Decision('wide', 'flag', (False, True))
  yield Decision('filters', 'filters', (8, 16) if wide else (4, 8, 16), memory=(wide,))
  if wide:
    yield Decision('only', 'only', ('this',))
  graph = Graph()
  return graph.finish(graph.classify(graph.input))


def test_names_whose_choices_differ_are_different_parameters():
  table = compile_table(narrowing)
  strategy = OptunaSampler(table, sampler=lambda seed: optuna.samplers.TPESampler(seed=seed))
  seen = set()
  for batch in range(20):
    proposals = strategy.ask(3, np.random.default_rng(batch))
    for proposal in proposals:
      states_of(table, proposal.tokens)
    seen |= {proposal.tokens for proposal in proposals}
    strategy.tell(trials_of(proposals, [float(sum(p.tokens)) for p in proposals]))
  assert len(seen) == table.size == 5


def test_each_process_proposes_alike():
  """Whatever the seed of Python's hashes."""
  code = (
    'from tests.strategies.test_optuna_sampler import *;'
    'strategy = OptunaSampler(TABLE); searched(strategy, batches=4);'
    'print([p.tokens for p in strategy.ask(4, np.random.default_rng(9))])'
  )
  said = {
    subprocess.run(
      [sys.executable, '-c', code],
      env={'PYTHONHASHSEED': seed},
      capture_output=True,
      text=True,
      check=True,
    ).stdout
    for seed in ('1', '2')
  }
  assert len(said) == 1


def test_the_terminal_stays_quiet_and_the_level_of_logging_as_it_was(capfd):
  before = optuna.logging.get_verbosity()
  OptunaSampler(TABLE).ask(2, np.random.default_rng(0))
  assert optuna.logging.get_verbosity() == before
  assert capfd.readouterr() == ('', '')


def test_without_optuna_the_error_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'optuna', None)
  with pytest.raises(ImportError, match=r'pip install rlnas\[optuna\]'):
    OptunaSampler(compile_table(Chain(max_depth=2)))

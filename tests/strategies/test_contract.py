import numpy as np
import pytest

from rlnas.architecture import Architecture
from rlnas.spaces import Chain
from rlnas.spaces.table import Table, compile_table
from rlnas.strategies.admitting import Admitting
from rlnas.strategies.controller import Controller
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.local_search import LocalSearch
from rlnas.strategies.optuna_sampler import OptunaSampler
from rlnas.strategies.ppo import PPO
from rlnas.strategies.qlearning import QLearning
from rlnas.strategies.random_search import RandomSearch
from rlnas.strategies.reinforce import Reinforce
from rlnas.strategies.zoph_le import CubedReward, ZophLe
from rlnas.testing import check_strategy

TABLE = compile_table(Chain(max_depth=3))


def zoph_le(table: Table) -> ZophLe:
  controller = Controller(table, units=8, seed=1)
  return ZophLe(table, controller=controller, learning_rate=0.01, entropy_weight=0.01)


def zoph_le_repeated(table: Table) -> ZophLe:
  controller = Controller(table, units=8, seed=1)
  return ZophLe(
    table, controller=controller, learning_rate=0.01, normalise_advantages=True, updates=3
  )


def cubed(table: Table) -> CubedReward:
  return CubedReward(zoph_le(table))


def ppo(table: Table) -> PPO:
  return PPO(table, controller=Controller(table, units=8, seed=1), learning_rate=0.01)


def length(architecture: Architecture) -> float:
  """A penalty of networks that have more than two nodes between input and classifier."""
  return max(0.0, 0.1 * (len(architecture.nodes) - 5))


def zoph_le_warm(table: Table) -> ZophLe:
  controller = Controller(table, units=8, seed=1)
  return ZophLe(table, controller=controller, warm_start=3, penalty=length)


def ppo_warm(table: Table) -> PPO:
  controller = Controller(table, units=8, seed=1)
  return PPO(table, controller=controller, updates=2, warm_start=3, penalty=length)


def reinforce(table: Table) -> Reinforce:
  controller = Controller(table, units=8, seed=1)
  return Reinforce(
    table,
    controller=controller,
    learning_rate=0.01,
    updates=1,
    imagined=8,
    warm_up=8,
    warm_start=3,
    penalty=length,
  )


STRATEGIES = {
  'random_search': RandomSearch,
  'reinforce': reinforce,
  'zoph_le': zoph_le,
  'zoph_le_repeated': zoph_le_repeated,
  'cubed': cubed,
  'ppo': ppo,
  'zoph_le_warm': zoph_le_warm,
  'ppo_warm': ppo_warm,
  'qlearning': QLearning,
  'tpe': OptunaSampler,
  'tpe_admitting': lambda table: OptunaSampler(table, admits=odd),
  'local_search': lambda table: LocalSearch(table, samples=8, patience=20),
  'local_search_admitting': lambda table: LocalSearch(table, samples=8, admits=odd),
  'aging_evolution': lambda table: Evolution(table, population=8, sample=3),
  'large_scale_evolution': lambda table: Evolution(table, population=8, sample=2, aging=False),
}


def odd(architecture: Architecture) -> bool:
  """Admits about half of all networks."""
  return int(architecture.digest, 16) % 2 == 1


@pytest.mark.slow
@pytest.mark.parametrize('name', STRATEGIES)
def test_it_keeps_the_contract(name):
  check_strategy(STRATEGIES[name], TABLE)


WRAPPED = ('random_search', 'aging_evolution', 'qlearning', 'zoph_le')


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', [*WRAPPED, *(pytest.param(name, marks=pytest.mark.nightly) for name in ('tpe', 'ppo'))]
)
def test_it_keeps_the_contract_if_only_half_of_its_proposals_are_admitted(name):
  def make(table: Table) -> Admitting:
    return Admitting(STRATEGIES[name](table), table=table, admits=odd)

  check_strategy(make, TABLE)
  proposals = make(TABLE).ask(32, np.random.default_rng(0))
  assert all(odd(proposal.architecture) for proposal in proposals)

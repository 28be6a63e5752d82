import pytest

from rlnas.spaces import Chain
from rlnas.spaces.table import Table, compile_table
from rlnas.strategies.controller import Controller
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.imitation import Imitation
from rlnas.strategies.optuna_sampler import OptunaSampler
from rlnas.strategies.ppo import PPO
from rlnas.strategies.qlearning import QLearning
from rlnas.strategies.random_search import RandomSearch
from rlnas.strategies.reinforce import CubedReward, Reinforce
from rlnas.testing import check_strategy

TABLE = compile_table(Chain(max_depth=3))


def reinforce(table: Table) -> Reinforce:
  controller = Controller(table, units=8, seed=1)
  return Reinforce(table, controller=controller, learning_rate=0.01, entropy_weight=0.01)


def reinforce_repeated(table: Table) -> Reinforce:
  controller = Controller(table, units=8, seed=1)
  return Reinforce(
    table, controller=controller, learning_rate=0.01, normalise_advantages=True, updates=3
  )


def cubed(table: Table) -> CubedReward:
  return CubedReward(reinforce(table))


def ppo(table: Table) -> PPO:
  return PPO(table, controller=Controller(table, units=8, seed=1), learning_rate=0.01)


def imitation(table: Table) -> Imitation:
  controller = Controller(table, units=8, seed=1)
  return Imitation(table, controller=controller, learning_rate=0.01, warm_up=8)


STRATEGIES = {
  'random_search': RandomSearch,
  'reinforce': reinforce,
  'reinforce_repeated': reinforce_repeated,
  'cubed': cubed,
  'ppo': ppo,
  'imitation': imitation,
  'qlearning': QLearning,
  'tpe': OptunaSampler,
  'aging_evolution': lambda table: Evolution(table, population=8, sample=3),
  'large_scale_evolution': lambda table: Evolution(table, population=8, sample=2, aging=False),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', STRATEGIES)
def test_it_keeps_the_contract(name):
  check_strategy(STRATEGIES[name], TABLE)

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
from tests.strategies import contract

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


@pytest.fixture(params=STRATEGIES, name='make')
def _make(request) -> contract.Make:
  return STRATEGIES[request.param]


def test_proposals_are_in_the_space(make):
  contract.check_proposals_are_in_the_space(make(TABLE), TABLE)


def test_ask_changes_no_state(make):
  contract.check_ask_changes_no_state(make, TABLE)


def test_ask_depends_on_the_generator(make):
  contract.check_ask_depends_on_the_generator(make(TABLE))


def test_fold_is_deterministic_to_the_bit(make):
  contract.check_fold_is_deterministic_to_the_bit(make, TABLE)


def test_failed_trials_teach_nothing(make):
  contract.check_failed_trials_teach_nothing(make, TABLE)


def test_scalars_are_finite(make):
  contract.check_scalars_are_finite(make(TABLE))


def test_a_count_below_one_is_refused(make):
  contract.check_a_count_below_one_is_refused(make(TABLE))

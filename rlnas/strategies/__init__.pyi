from . import losses
from .admitting import Admitting
from .controller import Controller, Sample, pad_tokens
from .evolution import Evolution
from .learner import Baseline, Learner, Slopes
from .local_search import LocalSearch
from .lstm import Scores
from .optuna_sampler import OptunaSampler
from .policy_gradient import PolicyGradient
from .ppo import PPO
from .proposals import propose
from .qlearning import QLearning
from .random_search import RandomSearch
from .reinforce import Reinforce
from .surrogate import Surrogate
from .warm_start import WarmStart
from .zoph_le import CubedReward, ZophLe

__all__ = [
  'PPO',
  'Admitting',
  'Baseline',
  'Controller',
  'CubedReward',
  'Evolution',
  'Learner',
  'LocalSearch',
  'OptunaSampler',
  'PolicyGradient',
  'QLearning',
  'RandomSearch',
  'Reinforce',
  'Sample',
  'Scores',
  'Slopes',
  'Surrogate',
  'WarmStart',
  'ZophLe',
  'losses',
  'pad_tokens',
  'propose',
]

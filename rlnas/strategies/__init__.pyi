from . import losses
from .controller import Controller, Sample, pad_tokens
from .evolution import Evolution
from .imitation import Imitation
from .learner import Baseline, Learner
from .optuna_sampler import OptunaSampler
from .policy_gradient import PolicyGradient
from .ppo import PPO
from .proposals import propose
from .qlearning import QLearning
from .random_search import RandomSearch
from .reinforce import CubedReward, Reinforce
from .surrogate import Surrogate

__all__ = [
  'PPO',
  'Baseline',
  'Controller',
  'CubedReward',
  'Evolution',
  'Imitation',
  'Learner',
  'OptunaSampler',
  'PolicyGradient',
  'QLearning',
  'RandomSearch',
  'Reinforce',
  'Sample',
  'Surrogate',
  'losses',
  'pad_tokens',
  'propose',
]

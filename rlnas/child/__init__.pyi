from .augment import Augmentation, Changes, suited_augmentation
from .builder import build
from .distill import Teacher, distillation
from .inherit import inherit_weights, save_weights
from .prune import prune_filters
from .spec_augment import SpecAugment, for_sound
from .supernet import Supernet
from .train import Trainer, accuracy, cross_entropy, loss_for
from .turns import Turns, for_motion

__all__ = [
  'Augmentation',
  'Changes',
  'SpecAugment',
  'Supernet',
  'Teacher',
  'Trainer',
  'Turns',
  'accuracy',
  'build',
  'cross_entropy',
  'distillation',
  'for_motion',
  'for_sound',
  'inherit_weights',
  'loss_for',
  'prune_filters',
  'save_weights',
  'suited_augmentation',
]

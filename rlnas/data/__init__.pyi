from .dataset import Dataset, as_images, as_row, as_sequences, assemble, take
from .description import describe
from .loaders import (
  BUILT_IN,
  cifar10,
  digits,
  fashion_mnist,
  from_csv,
  from_folder,
  from_npz,
  load,
  mnist,
  mnist5k,
)
from .metrics import Metric
from .scaling import Scaling
from .sound_settings import SoundSettings
from .windowed import through

__all__ = [
  'BUILT_IN',
  'Dataset',
  'Metric',
  'Scaling',
  'SoundSettings',
  'as_images',
  'as_row',
  'as_sequences',
  'assemble',
  'cifar10',
  'describe',
  'digits',
  'fashion_mnist',
  'from_csv',
  'from_folder',
  'from_npz',
  'load',
  'mnist',
  'mnist5k',
  'take',
  'through',
]

from .assembling import assemble
from .dataset import Dataset, take
from .description import describe
from .loaders import (
  BUILT_IN,
  auto_mpg,
  cifar10,
  diabetes,
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
from .shapes import as_images, as_pixel, as_row, as_sequences
from .sound_settings import SoundSettings
from .tasks import Head, Task
from .windowed import through

__all__ = [
  'BUILT_IN',
  'Dataset',
  'Head',
  'Metric',
  'Scaling',
  'SoundSettings',
  'Task',
  'as_images',
  'as_pixel',
  'as_row',
  'as_sequences',
  'assemble',
  'auto_mpg',
  'cifar10',
  'describe',
  'diabetes',
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

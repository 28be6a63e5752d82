from . import layers
from .autoencoder import Autoencoder
from .blockqnn import BlockQNN
from .chain import Chain
from .conv_autoencoder import ConvAutoencoder
from .decision import Decision, Space, Walk, decode, walk
from .joint import Joint
from .multibranch import MultiBranch
from .nasbench201 import NasBench201
from .nasnet import NASNet
from .preprocessed import Preprocessed
from .preprocessed_sound import PreprocessedSound
from .recurrent import Recurrent
from .table import (
  Table,
  choices_of,
  compile_table,
  encode,
  enumerate_tokens,
  mutate,
  sample_uniform,
  states_of,
  unrank,
)
from .temporal import Temporal

__all__ = [
  'Autoencoder',
  'BlockQNN',
  'Chain',
  'ConvAutoencoder',
  'Decision',
  'Joint',
  'MultiBranch',
  'NASNet',
  'NasBench201',
  'Preprocessed',
  'PreprocessedSound',
  'Recurrent',
  'Space',
  'Table',
  'Temporal',
  'Walk',
  'choices_of',
  'compile_table',
  'decode',
  'encode',
  'enumerate_tokens',
  'layers',
  'mutate',
  'sample_uniform',
  'states_of',
  'unrank',
  'walk',
]

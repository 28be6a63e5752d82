"""The flags that say how one's own data are read, from the command to its folder and back."""

from __future__ import annotations

import csv

import pytest

from rlnas.cli.build import set_up
from rlnas.cli.config import SearchConfig
from rlnas.cli.config_file import read_config, write_config
from rlnas.cli.flags import named_by_flags
from rlnas.cli.workdir import dataset_of
from rlnas.data.sound_settings import SoundSettings
from rlnas.spaces.table import unrank
from rlnas.strategies.proposals import propose
from rlnas.trial import Measurement, Status, Trial
from tests.cli.test_config import from_flags


def test_the_flags_are_the_arguments_of_load():
  assert from_flags().reading() == {
    'label': None,
    'group': None,
    'features': (),
    'window': None,
    'hop': None,
    'image_size': None,
    'channels': None,
    'sound': None,
    'task': None,
  }
  given = ('--label=a', '--group=b', '--features=c,d', '--window=8', '--hop=2')
  assert from_flags(*given, '--image_size=48,64', '--channels=1').reading() == {
    'label': 'a',
    'group': 'b',
    'features': ('c', 'd'),
    'window': 8,
    'hop': 2,
    'image_size': (48, 64),
    'channels': 1,
    'sound': None,
    'task': None,
  }
  of_sound = ('--clip_ms=800', '--clip_hop_ms=400', '--sample_rate=8000', '--front_end=micro')
  of_sound += ('--mel_bins=20', '--frame_ms=40', '--frame_hop_ms=10', '--noisy_copies=2')
  assert from_flags(*of_sound).reading()['sound'] == SoundSettings(
    clip_ms=800,
    clip_hop_ms=400,
    sample_rate=8000,
    front_end='micro',
    mel_bins=20,
    frame_ms=40,
    frame_hop_ms=10,
    noisy_copies=2,
  )


@pytest.mark.parametrize(
  ('flag', 'rule'),
  [
    ('--image_size=48', 'must be height and width in pixels, such as 64,96'),
    ('--image_size=48,x', 'must be height and width in pixels'),
    ('--image_size=0,4', 'must be height and width, at least 1 each'),
    ('--channels=2', r'must be 1 \(grey\) or 3 \(colour\)'),
    ('--window=0', 'must be at least 1 row'),
    ('--hop=3', 'needs a window'),
    ('--clip_ms=0', 'must be 1 to 60000'),
    ('--front_end=mfcc', 'must be one of log_mel, micro'),
  ],
)
def test_wrong_values_are_refused_with_their_flag(flag, rule):
  name = flag.partition('=')[0]
  with pytest.raises(ValueError, match=f'^{name}=.*{rule}'):
    from_flags(flag)


@pytest.fixture
def moves(tmp_path, monkeypatch):
  """A file of recordings in the present folder."""
  with (tmp_path / 'moves.csv').open('w', newline='') as file:
    rows = [[run, run % 5, row, run % 2] for run in range(12) for row in range(20)]
    csv.writer(file).writerows([['recording', 'a', 'b', 'gesture'], *rows])
  monkeypatch.chdir(tmp_path)
  return tmp_path


def test_a_search_and_what_reads_its_folder_see_the_same_data(moves):
  config = SearchConfig(
    dataset='moves.csv',
    label='gesture',
    window=8,
    hop=4,
    space_options=('max_depth=1',),
    workdir=str(moves / 'runs'),
  )
  setup = set_up(config)
  assert setup.dataset.input_shape == (1, 8, 2)
  assert setup.dataset.notes[-1] == 'split by group: 8 training, 2 validation, 2 test groups'
  write_config(setup.config, config.workdir)
  read = read_config(config.workdir)
  proposal = propose(setup.table, unrank(setup.table, 0))
  trial = Trial(0, 0, 0, proposal, Measurement(Status.COMPLETE), 0.0)
  again = dataset_of(read, {'dataset_digest': setup.dataset.digest}, [trial])
  assert again.digest == setup.dataset.digest
  with pytest.raises(ValueError, match=r'dataset moves: has digest .*; must be that of the search'):
    dataset_of(SearchConfig(**{**vars(read), 'hop': 2}), {'dataset_digest': 'other'}, [trial])


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    (
      {},
      r'^moves\.csv: of the columns recording, a, b, gesture none is named label, .*--label=NAME',
    ),
    ({'label': 'move'}, r"^--label='move': moves\.csv has no such column, only recording, a"),
    ({'label': 'gesture', 'window': 30}, r'^--window=30: the longest recording has 20 rows'),
    ({'label': 'gesture', 'channels': 1}, '^--channels=1: is for folders of images alone'),
  ],
)
def test_errors_of_the_data_name_the_flag(moves, given, message):
  with pytest.raises(ValueError, match=message), named_by_flags():
    set_up(SearchConfig(dataset='moves.csv', **given))

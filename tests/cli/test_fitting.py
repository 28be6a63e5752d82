"""What is said of data, space and budget before anything is evaluated."""

import dataclasses

import numpy as np
import pytest

from rlnas.architecture import TaskShape
from rlnas.cli.build import build_space, journal_configuration, set_up
from rlnas.cli.config import SearchConfig
from rlnas.cli.fitting import warning_of_few
from rlnas.cli.workdir import dataset_of
from rlnas.search.journal import Journal
from rlnas.spaces import Chain, Recurrent, Temporal
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, unrank
from rlnas.trial import Measurement, Proposal, Status, Trial
from tests.cli.command import refused


@pytest.fixture(name='sequences')
def _sequences(tmp_path):
  """Sequences of 128 frames whose classes differ after frame 60 alone."""
  rng = np.random.default_rng(0)
  y = np.arange(300) % 2
  x = rng.normal(size=(300, 128, 3)).astype(np.float32)
  x[y == 1, 60:] += 3.0
  np.savez(tmp_path / 'late.npz', x_train=x, y_train=y)
  return str(tmp_path / 'late.npz')


def test_sequences_get_convolutions_over_time_and_images_a_chain(sequences, tmp_path):
  folder = str(tmp_path / 'new')
  setup = set_up(SearchConfig(dataset=sequences, workdir=folder))
  assert (setup.config.space, setup.table.space, setup.by_data) == ('temporal', Temporal(), True)
  assert setup.dataset.input_shape == (1, 128, 3)
  images = set_up(SearchConfig(dataset='digits', workdir=folder))
  assert (images.config.space, images.table.space, images.by_data) == ('chain', Chain(), True)
  named = set_up(SearchConfig(dataset=sequences, workdir=folder, space='chain'))
  assert (named.config.space, named.by_data) == ('chain', False)
  assert named.dataset.input_shape == (128, 3, 1)


def test_an_image_is_a_sequence_of_its_rows_for_networks_over_time():
  setup = set_up(SearchConfig(dataset='digits', space='temporal'))
  assert setup.dataset.input_shape == (1, 8, 8)


def test_a_search_that_began_with_the_default_of_before_goes_on_with_it(sequences, tmp_path):
  config = SearchConfig(dataset=sequences, workdir=str(tmp_path / 'old'))
  decides = journal_configuration(set_up(dataclasses.replace(config, space='chain')))
  Journal(tmp_path / 'old' / 'journal.jsonl', configuration=decides).close()
  assert journal_configuration(set_up(config)) == decides


@pytest.fixture(scope='module', name='large')
def _large(tmp_path_factory):
  """A data set of 20,000 training examples."""
  path = tmp_path_factory.mktemp('data') / 'large.npz'
  rng = np.random.default_rng(0)
  parts = {'train': 20_000, 'val': 100, 'test': 100}
  arrays = {f'x_{part}': rng.integers(0, 255, (n, 8, 8, 1), np.uint8) for part, n in parts.items()}
  np.savez(path, **arrays, **{f'y_{part}': np.arange(n) % 2 for part, n in parts.items()})
  return str(path)


def test_networks_are_trained_in_stages_if_there_are_many_examples(large, tmp_path):
  config = SearchConfig(dataset=large, workdir=str(tmp_path))
  assert set_up(config).config.stages() == ((10_000, 2), (10_000, 2), (10_000, 4))
  few = SearchConfig(dataset='digits', workdir=str(tmp_path))
  assert set_up(few).config.stages() == ((None, 4),)


@pytest.mark.parametrize(
  'given', [{'epochs': 3}, {'fidelity': 'allx3'}], ids=['epochs', 'fidelity']
)
def test_networks_are_trained_as_the_configuration_says(given, large, tmp_path):
  config = SearchConfig(dataset=large, workdir=str(tmp_path), **given)
  assert set_up(config).config.stages() == ((None, 3),)


def test_a_search_that_began_without_stages_goes_on_without(large, tmp_path):
  config = SearchConfig(dataset=large, workdir=str(tmp_path / 'old'))
  decides = journal_configuration(set_up(dataclasses.replace(config, epochs=4)))
  Journal(tmp_path / 'old' / 'journal.jsonl', configuration=decides).close()
  assert journal_configuration(set_up(config)) == decides


def test_options_are_checked_against_the_space_that_the_data_decide(sequences, tmp_path):
  folder = str(tmp_path / 'new')
  config = SearchConfig(dataset=sequences, workdir=folder, space_options=('joins=add',))
  assert set_up(config).table.space == Temporal(joins=('add',))
  with pytest.raises(ValueError, match="space_option='max_strides=1': temporal has the options"):
    set_up(dataclasses.replace(config, space_options=('max_strides=1',)))
  with pytest.raises(ValueError, match='space=None: the data decide it'):
    build_space(config)


@pytest.mark.parametrize('space', ['chain', 'recurrent', 'temporal'])
def test_the_data_of_a_search_come_back_in_the_shape_that_it_had(space, sequences, tmp_path):
  config = SearchConfig(dataset=sequences, space=space, board='esp32', workdir=str(tmp_path))
  setup = set_up(config)
  value = decode(setup.table.space, unrank(setup.table, 0))
  trial = Trial(0, 0, 0, Proposal(unrank(setup.table, 0), value), Measurement(Status.COMPLETE), 0.0)
  recorded = {'dataset_digest': setup.dataset.digest}
  found = dataset_of(config, recorded, [trial])
  assert found.input_shape == setup.dataset.input_shape
  np.testing.assert_array_equal(found.x_val, setup.dataset.x_val)
  with pytest.raises(ValueError, match='must be that of the search'):
    dataset_of(config, {'dataset_digest': 'other'}, [trial])


def test_reconstructions_of_sequences_have_the_features_as_channels(sequences):
  config = SearchConfig(dataset=sequences, space='conv_autoencoder', task='anomaly')
  assert set_up(config).dataset.task == TaskShape((1, 128, 3), 384)


def test_reconstructions_are_refused_for_classes_and_images(sequences, tmp_path):
  config = SearchConfig(dataset=sequences, space='conv_autoencoder', workdir=str(tmp_path))
  with pytest.raises(
    ValueError, match=r'conv_autoencoder: .* anomaly detection alone; that of late'
  ):
    set_up(config)
  x, y = np.zeros((100, 8, 8, 1), np.uint8), np.arange(100) % 2
  x[:, 0, 0, 0] = np.arange(100)
  np.savez(tmp_path / 'pictures.npz', x_train=x, y_train=y)
  images = dataclasses.replace(config, dataset=str(tmp_path / 'pictures.npz'), task='anomaly')
  with pytest.raises(ValueError, match=r'must have sequences .* have shape \(8, 8, 1\)'):
    set_up(images)


def test_a_recurrent_network_reads_the_whole_sequences_of_the_data(sequences):
  setup = set_up(SearchConfig(dataset=sequences, space='recurrent', board='nucleo-f446re'))
  assert setup.table.space == Recurrent(frames=128)
  assert setup.config.space_options == ('frames=128',)
  assert build_space(setup.config) == setup.table.space
  assert journal_configuration(setup)['space_options'] == '{"frames": 128}'


@pytest.mark.parametrize('option', ['frames_per_step=1', 'frames=7'])
def test_what_is_given_is_kept(option):
  options = {'space_options': (option,), 'epochs': 2, 'metric': 'accuracy'}
  config = SearchConfig(dataset='digits', space='recurrent', **options)
  assert set_up(config).config == config


def test_a_space_that_expects_these_frames_is_left_alone(tmp_path):
  x, y = np.random.default_rng(0).normal(size=(200, 49, 2)), np.arange(200) % 2
  np.savez(tmp_path / 'words.npz', x_train=x.astype(np.float32), y_train=y)
  for space in ('recurrent', 'chain'):
    path = str(tmp_path / 'words.npz')
    given = {'board': 'esp32', 'epochs': 2, 'metric': 'accuracy'}
    config = SearchConfig(dataset=path, space=space, **given)
    assert set_up(config).config == config


def test_an_input_beyond_the_budget_is_told_at_once(tmp_path):
  rng = np.random.default_rng(0)
  x = rng.integers(0, 256, (20, 224, 224, 3), dtype=np.uint8)
  np.savez(tmp_path / 'large.npz', x_train=x, y_train=np.arange(20) % 2)
  flags = (f'--dataset={tmp_path / "large.npz"}', f'--workdir={tmp_path / "run"}')
  message = refused('search', *flags)
  assert message.startswith('error: --board=nucleo-l010rb: no network fits')
  for part in ('224x224x3', '150,528 B', '16,384 B of SRAM', 'smaller images', 'larger board'):
    assert part in message
  assert '--sram_kib=146.9: no network' in refused('search', *flags, '--sram_kib=146.9')
  assert not (tmp_path / 'run').exists()
  config = SearchConfig(dataset=str(tmp_path / 'large.npz'), sram_kib=147)
  assert set_up(config).dataset.input_shape == (224, 224, 3)


def test_a_space_of_which_hardly_any_network_fits_gives_a_warning():
  table, asked = compile_table(Chain(max_depth=3)), []

  def admits(architecture):
    asked.append(architecture)
    return len(asked) % every == 0

  every = 10
  assert warning_of_few(table, admits) == ''
  assert len(asked) == 40, 'four of those that fit are enough to know'
  asked.clear()
  every = 40
  line = warning_of_few(table, admits)
  assert line.startswith('warning  2 of 100 networks drawn from the space may fit the budget')
  assert '\n' not in line
  assert warning_of_few(table, lambda _: False).startswith('warning  none of 100 networks')

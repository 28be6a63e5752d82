"""A search that decides what its networks read, from its command to their use."""

import dataclasses
import json
import subprocess

import numpy as np
import pytest

import rlnas
from rlnas.cli.build import build_space, journal_configuration, set_up
from rlnas.cli.workdir import space_of
from rlnas.cost.preprocessing import preprocessing_of
from rlnas.cost.window import Window
from rlnas.data.windowed import through
from rlnas.search.journal import read_journal
from rlnas.spaces import Preprocessed
from rlnas.tflite.footprint import measure
from tests.cli.command import refused, within

pytestmark = pytest.mark.slow

STEPS, VALUES = 24, 6
FLAGS = (
  *('--preprocess', '--preprocess_option=windows=24,12', '--preprocess_option=rates=1,3'),
  *('--trials=2', '--batch=2', '--epochs=3', '--space_option=max_depth=2', '--strategy=random'),
  *('--finish_epochs=6', '--finish_top=2', '--executor=inprocess', '--sram_kib=16'),
)


def write(path, *, seed=0, count=240):
  """Three kinds of movement; the first axis of one sensor tells two of them apart."""
  rng = np.random.default_rng(seed)
  y = rng.integers(0, 3, count)
  x = rng.normal(size=(count, STEPS, VALUES)) / 2
  speeds = np.array([0, 0.4, 1.2])[y, np.newaxis]
  x[..., 0] += np.sin(speeds * np.arange(STEPS) + rng.uniform(0, 6, (count, 1)))
  x[..., 3] += y[:, np.newaxis] == 1
  x = x * (1, 1, 1, 250, 250, 250) + (0, 0, 9.81, 0, 0, 0)
  np.savez(path, x=x.astype(np.float32), y=y, class_names=['still', 'walk', 'run'])
  return path


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
  folder = tmp_path_factory.mktemp('preprocess')
  write(folder / 'moves.npz')
  shown = within('search', *FLAGS, f'--dataset={folder}/moves.npz', f'--workdir={folder}/search')
  return folder, shown.stdout


def test_a_search_says_what_its_networks_may_read(searched):
  folder, shown = searched
  line = 'input    windows of 24, 12 time steps; frames of 1, 3 steps; any of 6 features by 3'
  assert line in shown
  configuration, trials = read_journal(folder / 'search' / 'journal.jsonl')
  found = {preprocessing_of(trial.proposal.architecture) for trial in trials}
  assert len(found) > 1
  assert found <= {
    Window(steps // rate, rate, kept)
    for steps in (24, 12)
    for rate in (1, 3)
    for kept in ((0, 1, 2), (3, 4, 5), (0, 1, 2, 3, 4, 5))
  }
  space = space_of(configuration)
  assert space == Preprocessed(
    rlnas.Temporal(max_depth=2), steps=24, features=6, windows=(24, 12), rates=(1, 3)
  )
  assert build_space(rlnas.read_config(folder / 'search')) == space
  for trial in trials:
    assert rlnas.decode(space, trial.proposal.tokens) == trial.proposal.value


def test_the_memory_of_the_window_is_part_of_every_figure(searched):
  folder, _ = searched
  _, trials = read_journal(folder / 'search' / 'journal.jsonl')
  for trial in trials:
    whole = trial.proposal.architecture
    data = rlnas.data.as_row(rlnas.data.load(folder / 'moves.npz'))
    network, seen = through(whole, data)
    build = rlnas.find_build(trial.measurement.sram_build)
    arena = rlnas.estimate_cost(network, seen.task, build=build).sram_bytes
    assert trial.measurement.sram_bytes == pytest.approx(arena + seen.window.sram_bytes, abs=16)
  result = json.loads((folder / 'search' / 'result.json').read_text())
  best = result['best']
  assert best['sram_bytes'] <= result['finalists'][0]['sram_bytes']  # a plan may make it smaller
  model = measure(
    folder / 'search' / 'best' / 'model.tflite', build=rlnas.find_build(best['sram_build'])
  )
  held = preprocessing_of(rlnas.Architecture.from_rows(best['architecture'])).sram_bytes
  assert best['sram_bytes'] == model.sram_bytes + held
  page = (folder / 'search' / 'best' / 'REPORT.md').read_text()
  assert f'beside the arena: the window of a stream (window.h) | {held:,}' in page
  assert '| window.h, window' in page
  assert f'Digest: {data.digest}' in page


@pytest.mark.parametrize('finalist', [1, 2])
def test_a_finished_search_takes_examples_as_they_were_given(searched, finalist):
  folder, _ = searched
  search = rlnas.load(folder / 'search', finalist=finalist)
  data = rlnas.data.load(folder / 'moves.npz')
  record = json.loads((folder / 'search' / 'result.json').read_text())['finalists'][finalist - 1]
  scores = search.predict(data.x_val)
  assert search.preprocessing == preprocessing_of(
    search.finalists[finalist - 1].candidate.architecture
  )
  accuracy = (scores.argmax(1) == data.y_val).mean()
  assert accuracy == pytest.approx(record['int8_validation_accuracy'])
  found = search.evaluate(data.x_val, data.y_val)
  assert found.accuracy == pytest.approx(accuracy)
  logits = np.asarray(search.model(search.inputs(data.x_val)))
  assert (logits.argmax(1) == data.y_val).mean() == pytest.approx(record['validation_accuracy'])
  with pytest.raises(ValueError, match=r'must be \(N, 1, 24, 6\)'):
    search.predict(data.x_val[:, :12])


def test_other_recordings_are_evaluated(searched, tmp_path):
  folder, _ = searched
  write(tmp_path / 'new.npz', seed=9, count=90)
  record = tmp_path / 'found.json'
  search = f'--workdir={folder}/search'
  within('evaluate', search, f'--dataset={tmp_path}/new.npz', f'--json={record}')
  found = json.loads(record.read_text())
  assert found['examples'] == 90
  own = json.loads((folder / 'search' / 'result.json').read_text())['best']
  within('evaluate', search, f'--json={record}')
  assert json.loads(record.read_text())['int8_accuracy'] == own['int8_test_accuracy']


def test_the_bundle_goes_from_samples_to_inputs(searched, tmp_path):
  folder, _ = searched
  within('export', f'--workdir={folder}/search', '--finalist=2', '--for=arduino', '--name=moves')
  places = {
    folder / 'search' / 'best': 'rlnas',
    folder / 'search' / 'finalist-2' / 'arduino' / 'moves' / 'test': 'moves',
  }
  for place, name in places.items():
    command = ['make', 'test', f'BUILD={tmp_path / name}']
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('windows failed') == done.stdout.count('0 of 3 windows failed') == 2


@pytest.mark.nightly
def test_the_same_command_resumes(searched):
  folder, _ = searched
  where = (f'--dataset={folder}/moves.npz', f'--workdir={folder}/search')
  assert 'resumed  2 trials' in within('search', *FLAGS, *where).stdout


def test_with_other_options_a_search_is_not_resumed(searched):
  folder, _ = searched
  where = (f'--dataset={folder}/moves.npz', f'--workdir={folder}/search')
  message = refused('search', *FLAGS, *where, '--preprocess_option=rates=1')
  assert 'belongs to a search with another configuration: preprocess was' in message


def test_the_data_decide_the_sides(tmp_path):
  path = write(tmp_path / 'moves.npz')
  config = rlnas.SearchConfig(dataset=str(path), preprocess=True, epochs=2, workdir=str(tmp_path))
  setup = set_up(config)
  assert setup.config.preprocess_options == ('steps=24', 'features=6')
  assert setup.table.space.windows == (24, 12, 6)
  assert json.loads(journal_configuration(setup)['preprocess']) == {'features': 6, 'steps': 24}
  plain = set_up(dataclasses.replace(config, preprocess=False))
  assert 'preprocess' not in journal_configuration(plain)
  wrong = dataclasses.replace(config, preprocess_options=('steps=23',))
  with pytest.raises(ValueError, match='preprocess_option=steps=23: the data have 24'):
    set_up(wrong)


def test_a_window_makes_room_on_a_small_board(tmp_path):
  """The whole example alone would not fit the arena."""
  path = write(tmp_path / 'moves.npz')
  config = rlnas.SearchConfig(
    dataset=str(path), preprocess=True, epochs=2, workdir=str(tmp_path), sram_kib=0.1
  )
  set_up(config)
  with pytest.raises(ValueError, match='no network fits, as one example'):
    set_up(dataclasses.replace(config, preprocess=False))


@pytest.mark.parametrize(
  ('flags', 'rule'),
  [
    (('--dataset=digits', '--preprocess'), 'must be sequences of floats'),
    (('--dataset={}', '--preprocess', '--space=recurrent'), 'read a fixed number of frames'),
    (('--dataset={}', '--preprocess_option=rates=1'), 'needs --preprocess'),
    (('--dataset={}', '--preprocess', '--preprocess_option=rates=25'), '--preprocess_option='),
    (('--dataset={}', '--preprocess', '--preprocess_option=windows=99'), 'at most the 24 time'),
    (('--dataset={}', '--preprocess', '--preprocess_option=rate=2'), 'did you mean rates?'),
  ],
)
def test_wrong_settings_are_refused(flags, rule, tmp_path):
  path = write(tmp_path / 'moves.npz')
  given = [flag.format(path) for flag in flags]
  assert rule in refused('search', *given, f'--workdir={tmp_path}/search')

"""A search on recordings of sound, from its command to the test on others."""

import json

import numpy as np
import pytest

import rlnas
from tests import sounds
from tests.cli.command import refused, within

FLAGS = (
  *('--trials=2', '--batch=2', '--epochs=8', '--space_option=max_depth=2', '--strategy=random'),
  *('--finish_epochs=12', '--finish_top=1', '--executor=inprocess', '--clip_ms=500'),
  *(f'--sample_rate={sounds.RATE}', '--mel_bins=12', '--frame_ms=32'),
)


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
  folder = tmp_path_factory.mktemp('sound')
  root = sounds.write_folder(folder / 'sounds', each=40)
  shown = within('search', *FLAGS, f'--dataset={root}', f'--workdir={folder / "search"}')
  return folder, shown.stdout


@pytest.mark.slow
def test_a_search_reads_sound_and_says_how(searched):
  folder, shown = searched
  assert 'note     clips of 500 ms at 8,000 Hz; log_mel: 24 frames of 32 ms' in shown
  assert '24 time steps of 12 features' in shown
  assert rlnas.read_config(folder / 'search').space == 'temporal'
  result = json.loads((folder / 'search' / 'result.json').read_text())
  assert result['best']['input']['type'] == 'uint8'
  assert result['best']['int8_test_accuracy'] > 0.6  # of three classes


@pytest.mark.slow
def test_evaluate_reads_others_with_the_settings_of_the_search(searched):
  folder, _ = searched
  rng = np.random.default_rng(9)
  lines = ['file,label']
  for number in range(30):
    kind = sounds.CLASSES[number % 3]
    for root in (folder / 'new' / kind, folder / 'listed'):
      sounds.write(root / f'{number}.wav', sounds.recording(rng, kind))
    lines.append(f'{number}.wav,{kind}')
  (folder / 'listed' / 'list.csv').write_text('\n'.join(lines))
  for dataset in ('new', 'listed/list.csv'):
    record = folder / 'found.json'
    search = f'--workdir={folder / "search"}'
    shown = within('evaluate', search, f'--dataset={folder / dataset}', f'--json={record}').stdout
    assert 'note     clips of 500 ms at 8,000 Hz; log_mel: 24 frames of 32 ms' in shown
    found = json.loads(record.read_text())
    assert found['examples'] == 30
    assert found['int8_accuracy'] > 0.6
  message = refused('evaluate', search, f'--dataset={folder / "new"}', '--mel_bins=13')
  assert '(30, 24, 13)' in message


def test_a_setting_of_sound_is_refused_for_images(tmp_path):
  message = refused('search', '--dataset=digits', '--clip_ms=500', f'--workdir={tmp_path}')
  assert '--clip_ms=500: is for your own data alone' in message

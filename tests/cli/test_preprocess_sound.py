"""A search that decides how its networks hear sound, from its command to their use."""

import dataclasses
import json
import subprocess

import numpy as np
import pytest

import rlnas
from rlnas.cli.build import build_space, journal_configuration, set_up
from rlnas.cli.evaluate import examples_of
from rlnas.cli.search import announce
from rlnas.cli.workdir import space_of
from rlnas.cost.preprocessing import memory_of, preprocessing_of
from rlnas.data.windowed import through
from rlnas.evaluation.untrained import untrained_footprint
from rlnas.search.journal import read_journal
from rlnas.tflite.footprint import measure
from tests import sounds
from tests.cli.command import refused, within

# No choice is that of the data.
FLAGS = (
  *('--preprocess', '--preprocess_option=mel_bins=10,8', '--preprocess_option=frame_ms=40,25'),
  *('--preprocess_option=frame_hop_ms=25,16', '--clip_ms=500', f'--sample_rate={sounds.RATE}'),
  *('--mel_bins=12', '--frame_ms=32', '--noisy_copies=1', '--trials=2', '--batch=2', '--epochs=6'),
  *('--space_option=max_depth=1', '--strategy=random', '--seed=1', '--executor=inprocess'),
  *('--finish_epochs=6', '--finish_top=2', '--sram_kib=16'),
)


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
  folder = tmp_path_factory.mktemp('preprocess')
  root = sounds.write_folder(folder / 'sounds', each=20)
  shown = within('search', *FLAGS, f'--dataset={root}', f'--workdir={folder / "search"}')
  return folder, shown.stdout


def heard(folder, number=1):
  """The data as a finalist hears them, and as they were given."""
  search = rlnas.load(folder / 'search', finalist=number)
  data = rlnas.data.as_row(rlnas.data.load(folder / 'sounds', **search.config.reading()))
  return through(search.architecture, data)[1], data


@pytest.mark.nightly
def test_a_search_says_what_its_networks_may_hear(searched):
  folder, shown = searched
  assert 'input    log_mel with 10, 8 mel bins; frames of 40, 25 ms, every 25, 16 ms' in shown
  configuration, trials = read_journal(folder / 'search' / 'journal.jsonl')
  assert len({preprocessing_of(trial.proposal.architecture) for trial in trials}) == 2
  space = space_of(configuration)
  assert space == rlnas.PreprocessedSound(
    *(rlnas.Temporal(max_depth=1), 500, sounds.RATE),
    **{'mel_bins': (10, 8), 'frame_ms': (40, 25), 'frame_hop_ms': (25, 16)},
  )
  assert build_space(rlnas.read_config(folder / 'search')) == space
  for trial in trials:
    assert rlnas.decode(space, trial.proposal.tokens) == trial.proposal.value
  assert not (folder / 'search' / 'heard').exists()


@pytest.mark.nightly
def test_the_front_end_is_part_of_every_figure(searched):
  folder, _ = searched
  _, trials = read_journal(folder / 'search' / 'journal.jsonl')
  seen, data = heard(folder)
  for trial in trials:
    network, as_it_hears = through(trial.proposal.architecture, data)
    build = rlnas.find_build(trial.measurement.sram_build)
    behind = untrained_footprint(network, as_it_hears.task, build=build)
    held = memory_of(as_it_hears.preprocessing)
    assert trial.measurement.sram_bytes == behind.sram_bytes + held.sram_bytes
    assert trial.measurement.flash_bytes == behind.flash_bytes + held.flash_bytes
  best = json.loads((folder / 'search' / 'result.json').read_text())['best']
  build = rlnas.find_build(best['sram_build'])
  model = measure(folder / 'search' / 'best' / 'model.tflite', build=build)
  held = memory_of(seen.preprocessing)
  assert best['sram_bytes'] == model.sram_bytes + held.sram_bytes
  assert best['flash_bytes'] == model.flash_bytes + held.flash_bytes
  page = (folder / 'search' / 'best' / 'REPORT.md').read_text().replace('\\_', '_')
  assert f'beside the arena: the front end of a stream (sound.h) | {held.sram_bytes:,}' in page
  assert f'| flash | {best["flash_bytes"]:,} B' in page
  assert f'{held.flash_bytes:,} B are tables of sound.h' in page
  assert str(seen.sound) in page
  assert f'Digest: {data.digest}' in page


@pytest.mark.nightly
@pytest.mark.parametrize('finalist', [1, 2])
def test_a_finished_search_hears_as_its_network_does(searched, finalist):
  folder, _ = searched
  search = rlnas.load(folder / 'search', finalist=finalist)
  seen, given = heard(folder, finalist)
  assert search.sound == seen.sound != given.sound
  assert search.sound.hearing == preprocessing_of(search.architecture)
  record = json.loads((folder / 'search' / 'result.json').read_text())['finalists'][finalist - 1]
  accuracy = (search.predict(seen.x_val).argmax(1) == seen.y_val).mean()
  assert accuracy == pytest.approx(record['int8_validation_accuracy'])
  assert search.evaluate(seen.x_val[:, 0], seen.y_val).accuracy == pytest.approx(accuracy)
  logits = np.asarray(search.model(search.inputs(seen.x_val)))
  assert (logits.argmax(1) == seen.y_val).mean() == pytest.approx(record['validation_accuracy'])
  with pytest.raises(ValueError, match='must be'):
    search.predict(given.x_val)


@pytest.mark.nightly
def test_other_recordings_are_evaluated(searched, tmp_path):
  folder, _ = searched
  rng = np.random.default_rng(9)
  for number in range(30):
    kind = sounds.CLASSES[number % 3]
    sounds.write(tmp_path / 'new' / kind / f'{number}.wav', sounds.recording(rng, kind))
  search, record = f'--workdir={folder}/search', tmp_path / 'found.json'
  shown = within('evaluate', search, f'--dataset={tmp_path}/new', f'--json={record}').stdout
  loaded = rlnas.load(folder / 'search')
  assert f'note     {loaded.sound}' in shown
  assert json.loads(record.read_text())['examples'] == 30
  new = examples_of(loaded, str(tmp_path / 'new'))
  samples = sounds.recording(np.random.default_rng(9), sounds.CLASSES[0])  # the first of them
  features = loaded.sound.features(samples)
  assert any((x.reshape(features.shape) == features).all() for x in new.x)
  own = json.loads((folder / 'search' / 'result.json').read_text())['best']
  within('evaluate', search, f'--json={record}')
  assert json.loads(record.read_text())['int8_accuracy'] == own['int8_test_accuracy']
  message = refused('evaluate', search, f'--dataset={tmp_path}/new', '--mel_bins=12')
  assert '--mel_bins=12: the network itself decided on' in message
  message = refused('evaluate', search, f'--dataset={tmp_path}/new', '--clip_ms=400')
  assert 'hearing: reads Hearing' in message


@pytest.mark.nightly
def test_the_bundle_hears_as_the_network_does(searched, tmp_path):
  folder, _ = searched
  within('export', f'--workdir={folder}/search', '--finalist=2', '--for=arduino', '--name=knock')
  for number, (place, name) in enumerate(
    (
      (folder / 'search' / 'best', 'rlnas'),
      (folder / 'search' / 'finalist-2' / 'arduino' / 'knock' / 'test', 'knock'),
    ),
    start=1,
  ):
    command = ['make', 'test', f'BUILD={tmp_path / name}']
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('0 of 4 clips of sound failed') == 2
    own = rlnas.load(folder / 'search', finalist=number).sound
    header = next(place.parent.rglob('sound.h')).read_text()
    for macro, value in (('BINS', own.mel_bins), ('FRAME', own.frame), ('HOP', own.frame_hop)):
      assert f'#define {name.upper()}_SOUND_{macro} {value}' in header


@pytest.mark.nightly
def test_the_same_command_resumes_and_other_options_do_not(searched):
  folder, _ = searched
  where = (f'--dataset={folder}/sounds', f'--workdir={folder}/search')
  before = (folder / 'search' / 'journal.jsonl').read_bytes()
  assert 'resumed  2 trials' in within('search', *FLAGS, *where).stdout
  assert (folder / 'search' / 'journal.jsonl').read_bytes() == before
  message = refused('search', *FLAGS, *where, '--preprocess_option=mel_bins=8')
  assert 'belongs to a search with another configuration: preprocess was' in message


@pytest.mark.nightly
def test_workers_decide_nothing_and_a_killed_search_resumes(searched, tmp_path):
  folder, _ = searched
  flags = [f for f in FLAGS if not f.startswith(('--executor', '--trials'))]
  journals = []
  for name, workers in (('one', 1), ('two', 2)):
    where = (f'--dataset={folder}/sounds', f'--workdir={tmp_path / name}', f'--workers={workers}')
    for trials in (2, 4) if workers == 2 else (4,):
      within('search', *flags, *where, f'--trials={trials}')
    _, found = read_journal(tmp_path / name / 'journal.jsonl')
    journals.append([(t.proposal, t.measurement.int8_validation_accuracy) for t in found])
  assert journals[0] == journals[1]
  _, first = read_journal(folder / 'search' / 'journal.jsonl')
  assert [t.proposal for t in first] == [p for p, _ in journals[0][:2]]


def test_the_data_decide_the_choices(tmp_path, capsys):
  root = sounds.write_folder(tmp_path / 'sounds', each=4)
  config = rlnas.SearchConfig(
    dataset=str(root), preprocess=True, workdir=str(tmp_path), clip_ms=500, mel_bins=16
  )
  setup = set_up(config)
  assert setup.config.preprocess_options == (
    *('clip_ms=500', 'sample_rate=16000', 'front_end=log_mel', 'mel_bins=16,12,8'),
    *('frame_ms=30,40', 'frame_hop_ms=20,10,30'),
  )
  assert set_up(setup.config).config == setup.config  # as the command in a report has it
  recorded = json.loads(journal_configuration(setup)['preprocess'])
  assert (recorded['clip_ms'], recorded['mel_bins']) == (500, [16, 12, 8])
  assert setup.dataset.samples is not None
  announce(setup, resumed=0)
  assert 'input    log_mel with 16, 12, 8 mel bins; frames of 30, 40 ms' in capsys.readouterr().out
  plain = set_up(dataclasses.replace(config, preprocess=False))
  assert plain.dataset.samples is None
  assert 'preprocess' not in journal_configuration(plain)


@pytest.mark.parametrize(
  ('flags', 'rule'),
  [
    (('--preprocess_option=rates=1',), 'rates=1: not for sound, whose options are mel_bins'),
    (('--preprocess_option=clip_ms=400',), 'clip_ms=400: the data have 500'),
    (('--preprocess_option=frame_hop_ms=50',), 'frame_hop_ms=50: must be at most frame_ms'),
    (('--preprocess_option=mel_bin=8',), 'did you mean mel_bins?'),
    (('--space=recurrent',), 'read a fixed number of frames'),
  ],
)
def test_wrong_settings_are_refused(flags, rule, tmp_path):
  root = sounds.write_folder(tmp_path / 'sounds', each=4)
  where = (f'--dataset={root}', f'--workdir={tmp_path}/search', '--clip_ms=500', '--preprocess')
  assert rule in refused('search', *where, *flags)

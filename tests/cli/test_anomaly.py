"""A search for an anomaly detection, from the file to the firmware."""

import dataclasses
import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import rlnas
from rlnas.data import loaders
from rlnas.tflite.inference import int8_logits, real_inputs, real_units
from tests.cli.command import Shown, refused, within

FLAGS = (
  *('--trials=2', '--batch=2', '--strategy=random', '--space_option=max_layers=1', '--epochs=20'),
  *('--space_option=widths=8,16', '--sram_kib=20', '--finish_epochs=12', '--finish_top=2'),
  '--executor=inprocess',
)


@dataclasses.dataclass(frozen=True)
class Search:
  path: pathlib.Path
  workdir: pathlib.Path
  shown: Shown
  best: dict


def write_machine(path: pathlib.Path) -> None:
  """Windows of 6 values that follow three hidden ones; one value of an anomaly does not."""
  rng = np.random.default_rng(0)
  mixing = rng.normal(size=(3, 24))

  def normal(count):
    hidden = np.tanh(rng.normal(size=(count, 3)))
    return (hidden @ mixing + 0.1 * rng.normal(size=(count, 24))).reshape(count, 4, 6)

  odd = normal(100)
  odd[:, :, 2] += rng.normal(size=(100, 4))
  x_test = np.concatenate([normal(200), odd]).astype(np.float32)
  np.savez(
    path,
    x_train=normal(800).astype(np.float32),
    y_train=np.array(['fine'] * 800),
    x_test=x_test,
    y_test=np.array(['fine'] * 200 + ['loose'] * 100),
  )


@pytest.fixture(scope='module', name='search')
def _search(tmp_path_factory):
  folder = tmp_path_factory.mktemp('anomaly')
  path = folder / 'machine.npz'
  write_machine(path)
  shown = within('search', f'--dataset={path}', f'--workdir={folder / "run"}', *FLAGS)
  best = json.loads((folder / 'run' / 'result.json').read_text())['best']
  return Search(path, folder / 'run', shown, best)


@pytest.mark.slow
def test_the_int8_model_gives_the_figures_of_the_result(search):
  best, data = search.best, loaders.as_pixel(loaders.load(search.path))
  assert (best['task'], best['metric']) == ('anomaly', 'auc')
  model = search.workdir / 'best' / 'model.tflite'

  def scores(x):
    given = real_units(model, int8_logits(model, x, scaling=data.scaling))
    seen = real_inputs(model, x, scaling=data.scaling).reshape(len(x), -1)
    return np.mean((given - seen) ** 2, axis=1)

  found = scores(data.x_test)
  assert best['int8_test_quality'] == best['int8_test_metrics']['auc']
  assert best['int8_test_quality'] == pytest.approx(roc_auc_score(data.y_test, found))
  assert best['int8_test_quality'] > 0.8
  partial = roc_auc_score(data.y_test, found, max_fpr=0.1)
  assert best['int8_test_metrics']['partial_auc'] == pytest.approx(partial)
  normal = scores(data.x_val)[data.y_val == 0]
  for alarm in best['int8_test_alarms']['alarms']:
    assert np.mean(normal > alarm['threshold']) <= alarm['rate']
    assert alarm['found'] == np.mean(found[data.y_test == 1] > alarm['threshold'])
  loaded = rlnas.load(search.workdir)
  raw = data.x_test.reshape(-1, 4, 6)  # as the file has them
  np.testing.assert_allclose(loaded.predict(raw), found)
  assert loaded.evaluate(raw, data.y_test).auc == best['int8_test_quality']
  assert [t for _, t in loaded.thresholds] == [
    a['threshold'] for a in best['int8_test_alarms']['alarms']
  ]


@pytest.mark.slow
def test_the_command_says_what_it_does(search):
  out = search.shown.stdout
  assert 'task     anomaly (the labels are all the same in the training data' in out
  assert '(the default for anomaly detection; --space names another)' in out
  assert 'int8 test AUC' in out
  assert 'of false alarms (5% in validation)' in out
  assert rlnas.read_config(search.workdir).space == 'autoencoder'


@pytest.mark.nightly
def test_a_network_learns_reconstructions_from_others(search, tmp_path):
  workdir = shutil.copytree(search.workdir, tmp_path / 'copy')
  taught = ('--finish_epochs=12', '--finish_top=2', '--finish_teacher=ensemble')
  within('finish', f'--workdir={workdir}', *taught)
  result = json.loads((workdir / 'result.json').read_text())
  assert 'taught' in [finalist['note'] for finalist in result['finalists']]


@pytest.mark.slow
def test_the_bundle_has_a_score_and_a_threshold(search):
  best = search.workdir / 'best'
  done = subprocess.run(['make', '-C', best, 'test'], capture_output=True, text=True, check=True)
  assert done.stdout.count('0 of ') == 2
  header = (best / 'classify.h').read_text()
  assert 'int rlnas_anomaly_score(const float* input, float* score);' in header
  five = search.best['int8_test_alarms']['alarms'][1]['threshold']
  assert (
    f'#define RLNAS_THRESHOLD {float(np.float32(five))!r}f' in (best / 'rlnas_model.h').read_text()
  )
  report = (best / 'report.html').read_text()
  assert 'ROC curve; dots: the thresholds.' in report
  assert 'mathdefault' not in (best / 'figures' / 'scores.svg').read_text()
  assert (best / 'figures' / 'scores.svg').exists()


@pytest.mark.slow
def test_other_examples_are_evaluated(search, tmp_path):
  path = tmp_path / 'more.json'
  shown = within('evaluate', f'--workdir={search.workdir}', f'--json={path}')
  record = json.loads(path.read_text())
  assert record['auc'] == record['int8_quality'] == search.best['int8_test_quality']
  assert f'int8 AUC          {record["auc"]:.4f}' in shown.stdout
  data = np.load(search.path)
  other = tmp_path / 'other.npz'
  y = np.where(data['y_test'] == 'fine', 'normal', 'anomaly')
  np.savez(other, x=data['x_test'][100:], y=y[100:])
  within('evaluate', f'--workdir={search.workdir}', f'--dataset={other}', f'--json={path}')
  assert json.loads(path.read_text())['examples'] == 200
  flags = (f'--dataset={search.path}', f'--workdir={tmp_path / "r"}', '--metric=accuracy')
  assert "metric='accuracy': must be one of auc, partial_auc" in refused('search', *flags)


@pytest.mark.nightly
def test_convolutions_over_time_go_the_same_way(tmp_path):
  path, workdir = tmp_path / 'machine.npz', tmp_path / 'run'
  write_machine(path)
  shown = within(
    'search',
    *(f'--dataset={path}', f'--workdir={workdir}', '--space=conv_autoencoder', '--epochs=10'),
    *('--trials=2', '--batch=2', '--strategy=random', '--space_option=max_layers=1', '--seed=1'),
    *('--sram_kib=20', '--finish_epochs=10', '--finish_top=1', '--finish_further_epochs=1'),
    *('--executor=inprocess',),
  )
  assert 'int8 test AUC' in shown.stdout
  best = json.loads((workdir / 'result.json').read_text())['best']
  loaded, data = rlnas.load(workdir), loaders.as_row(loaders.load(path))
  assert loaded.evaluate(data.x_test, data.y_test).auc == best['int8_test_quality'] > 0.7
  units = int8_logits(loaded.tflite, data.x_test, scaling=data.scaling)
  assert units.shape == (len(data.x_test), 24)
  seen = real_inputs(loaded.tflite, data.x_test, scaling=data.scaling).reshape(units.shape)
  scores = np.mean((real_units(loaded.tflite, units) - seen) ** 2, axis=1)
  np.testing.assert_allclose(loaded.predict(data.x_test), scores)
  done = subprocess.run(
    ['make', '-C', workdir / 'best', 'test'], capture_output=True, text=True, check=True
  )
  assert done.stdout.count('0 of ') >= 2

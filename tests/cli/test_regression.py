"""A search for a regression with two values, from the file to the firmware."""

import dataclasses
import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

import rlnas
from rlnas.data import loaders
from rlnas.search.journal import read_journal
from rlnas.tflite.inference import int8_logits, real_units
from tests.cli.command import Shown, refused, within

FLAGS = (
  *('--trials=2', '--batch=2', '--strategy=random', '--space_option=max_depth=2', '--sram_kib=20'),
  *('--finish_epochs=20', '--finish_top=2', '--executor=inprocess'),
)
ALL_WAYS = (
  *('--finish_epochs=20', '--finish_top=2', '--finish_further_epochs=1'),
  *('--finish_teacher=ensemble', '--finish_prune=0.3'),
)


@dataclasses.dataclass(frozen=True)
class Search:
  path: pathlib.Path
  workdir: pathlib.Path
  shown: Shown
  best: dict


@pytest.fixture(scope='module', name='search')
def _search(tmp_path_factory):
  folder = tmp_path_factory.mktemp('regression')
  rng = np.random.default_rng(0)
  x = rng.normal(50, 20, (500, 1, 1, 4))
  y = np.stack([x[..., 0] + x[..., 1], 1e3 * np.abs(x[..., 2] - 50)], -1).reshape(-1, 2)
  path = folder / 'made.npz'
  np.savez(path, x=x, y=y, class_names=['sum', 'distance'])
  shown = within('search', f'--dataset={path}', f'--workdir={folder / "run"}', *FLAGS)
  best = json.loads((folder / 'run' / 'result.json').read_text())['best']
  return Search(path, folder / 'run', shown, best)


@pytest.mark.slow
def test_the_int8_model_gives_the_figures_of_the_result(search):
  best, data = search.best, loaders.load(search.path)
  assert (best['task'], best['metric']) == ('regression', 'r2')
  model = search.workdir / 'best' / 'model.tflite'
  outputs = real_units(model, int8_logits(model, data.x_test, scaling=data.scaling))
  mean, deviation = data.y_train.mean(0), data.y_train.std(0)
  given = outputs * deviation + mean
  reached = r2_score(data.y_test, given)
  assert reached > 0.5
  assert best['int8_test_quality'] == pytest.approx(reached, rel=1e-9)
  assert best['int8_test_accuracy'] == best['int8_test_quality']
  assert list(best['int8_test_values']) == ['sum', 'distance']
  for column, figures in enumerate(best['int8_test_values'].values()):
    pair = data.y_test[:, column], given[:, column]
    assert figures['mae'] == pytest.approx(mean_absolute_error(*pair))
    assert figures['r2'] == pytest.approx(r2_score(*pair))
  loaded = rlnas.load(search.workdir)
  np.testing.assert_allclose(loaded.predict(data.x_test), given)
  assert loaded.class_names == ('sum', 'distance')
  assert loaded.evaluate(data.x_test, data.y_test).quality == best['int8_test_quality']


@pytest.mark.slow
def test_the_command_says_what_it_does(search):
  out = search.shown.stdout
  assert 'task     regression (the labels are floats; --task names another)' in out
  assert 'value    sum: ' in out
  assert 'int8 test R²' in out
  assert f'MAE {search.best["int8_test_values"]["sum"]["mae"]:.4g}' in out
  config = rlnas.read_config(search.workdir)
  assert (config.space, config.metric) == ('chain', 'r2')
  assert 'kernels=1' in config.space_options
  _, trials = read_journal(search.workdir / 'journal.jsonl')
  assert [t.measurement.quality for t in trials] == [t.reward for t in trials]
  line = json.loads((search.workdir / 'journal.jsonl').read_text().splitlines()[-1])
  assert line['measurement']['quality'] == line['measurement']['int8_validation_accuracy']


@pytest.mark.nightly
def test_all_ways_of_finishing_take_values(search, tmp_path):
  workdir = shutil.copytree(search.workdir, tmp_path / 'copy')
  within('finish', f'--workdir={workdir}', *ALL_WAYS)
  result = json.loads((workdir / 'result.json').read_text())
  notes = [finalist['note'] for finalist in result['finalists']]
  assert 'taught' in notes
  assert any('pruned by 0.3' in note for note in notes)
  assert any('aware' in finalist['detail'] for finalist in result['finalists'])


@pytest.mark.slow
def test_the_bundle_gives_values_in_their_unit(search):
  best = search.workdir / 'best'
  done = subprocess.run(['make', '-C', best, 'test'], capture_output=True, text=True, check=True)
  assert done.stdout.count('0 of ') == 2
  header = (best / 'classify.h').read_text()
  assert 'int rlnas_predict(const float* input, float* results);' in header
  assert 'RLNAS_VALUE_DISTANCE = 1,' in (best / 'rlnas_model.h').read_text()
  report = (best / 'report.html').read_text()
  assert 'predicted over true values' in report
  assert f'{search.best["int8_test_quality"]:.4f}' in report
  assert (best / 'figures' / 'residuals1.svg').exists()


@pytest.mark.slow
def test_other_rows_are_evaluated(search, tmp_path):
  path = tmp_path / 'more.json'
  shown = within('evaluate', f'--workdir={search.workdir}', f'--json={path}')
  record = json.loads(path.read_text())
  assert record['int8_quality'] == search.best['int8_test_quality']
  assert record['values'] == search.best['int8_test_values']
  assert f'int8 R²  {record["int8_quality"]:.4f}' in shown.stdout
  data = np.load(search.path)
  other = tmp_path / 'other.npz'
  np.savez(other, x=data['x'][:50], y=data['y'][:50])
  within('evaluate', f'--workdir={search.workdir}', f'--dataset={other}', f'--json={path}')
  assert json.loads(path.read_text())['examples'] == 50


@pytest.mark.slow
def test_a_metric_of_classes_is_refused(search, tmp_path):
  flags = (f'--dataset={search.path}', f'--workdir={tmp_path}', '--metric=macro_f1')
  assert "metric='macro_f1': must be one of r2, since the task of made is regression" in refused(
    'search', *flags
  )

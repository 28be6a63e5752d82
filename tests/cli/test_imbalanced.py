"""Searches on data of which one class has 97 % of the examples."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from rlnas.cli.build import journal_configuration, set_up
from rlnas.cli.config import SearchConfig
from rlnas.cli.finish import chance_warning, plan_of, rows_on_test_data
from rlnas.cli.search import _evaluated_by
from rlnas.data import loaders
from rlnas.data.metrics import Metric, metrics_of
from rlnas.data.tasks import Task
from rlnas.finishing.winner import Winner
from rlnas.search.journal import read_journal
from rlnas.tflite.inference import int8_logits
from tests.cli.command import Shown, refused, within
from tests.imbalanced import CLASSES, write_imbalanced

FLAGS = (
  *('--trials=2', '--batch=2', '--epochs=3', '--space_option=max_depth=2', '--strategy=random'),
  *('--sram_kib=20', '--finish_epochs=6', '--finish_top=1', '--finish_shift=0'),
  '--executor=inprocess',
)


@pytest.fixture(scope='module', name='path')
def _path(tmp_path_factory):
  path = tmp_path_factory.mktemp('imbalanced') / 'rare.npz'
  write_imbalanced(path)
  return path


@dataclasses.dataclass(frozen=True)
class Balanced:
  """A search by balanced accuracy."""

  workdir: str
  shown: Shown
  best: dict


@pytest.fixture(scope='module', name='balanced')
def _balanced(path, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('balanced')
  flags = (f'--dataset={path}', '--metric=balanced_accuracy', f'--workdir={workdir}')
  shown = within('search', *FLAGS, *flags)
  return Balanced(str(workdir), shown, json.loads((workdir / 'result.json').read_text())['best'])


@pytest.mark.nightly
def test_by_balanced_accuracy_the_rare_classes_are_found(balanced, path):
  best, data = balanced.best, loaders.load(str(path))
  model = f'{balanced.workdir}/best/model.tflite'
  named = int8_logits(model, data.x_test, scaling=data.scaling).argmax(1)
  recalls = recall_score(data.y_test, named, average=None)
  assert best['metric'] == 'balanced_accuracy'
  assert best['recall_by_class'] == dict(zip(CLASSES, recalls.tolist(), strict=True))
  tested = best['int8_test_metrics']
  assert tested['accuracy'] == best['int8_test_accuracy'] == np.mean(named == data.y_test)
  assert tested['balanced_accuracy'] == pytest.approx(balanced_accuracy_score(data.y_test, named))
  assert tested['macro_f1'] == pytest.approx(f1_score(data.y_test, named, average='macro'))
  assert best['chance']['balanced_accuracy'] == 0.25
  assert best['chance']['accuracy'] == np.mean(data.y_test == 0)
  assert best['int8_validation_accuracy'] > 0.8
  named = int8_logits(model, data.x_val, scaling=data.scaling).argmax(1)
  assert best['int8_validation_accuracy'] == pytest.approx(
    balanced_accuracy_score(data.y_val, named)
  )


@pytest.mark.nightly
def test_the_terminal_and_the_report_tell_the_metric_and_chance(balanced):
  shown, best = balanced.shown.stdout, balanced.best
  assert "chance   always 'normal': accuracy 0.970, balanced accuracy 0.250\n" in shown
  tested = best['int8_test_metrics']['balanced_accuracy']
  assert f"int8 test balanced accuracy        {tested:.4f}; always 'normal': 0.2500\n" in shown
  told = ', '.join(f'{name} {recall:.3f}' for name, recall in best['recall_by_class'].items())
  assert told in shown
  assert 'not better than' not in shown
  assert 'best balanced accuracy 0.' in balanced.shown.stderr
  with open(f'{balanced.workdir}/best/REPORT.md') as file:
    report = file.read()
  assert 'int8 test balanced accuracy' in report
  assert "always naming 'normal', the largest class, would reach accuracy 0.9" in report


@pytest.mark.nightly
def test_the_metric_belongs_to_the_search(balanced, path):
  configuration, _ = read_journal(f'{balanced.workdir}/journal.jsonl')
  assert configuration['metric'] == 'balanced_accuracy'
  same = (f'--dataset={path}', f'--workdir={balanced.workdir}')
  message = refused('search', *FLAGS, *same)
  assert "metric was 'balanced_accuracy', now 'accuracy'" in message


def winner(metric, confusion):
  """One of which only the figures on test data matter."""
  fields = {field.name: None for field in dataclasses.fields(Winner)}
  counted = {'int8_test_confusion': confusion, 'largest_class': 0, 'metric': metric}
  return Winner(**fields | counted)


def test_a_winner_that_is_not_better_than_chance_gives_a_warning(path):
  data = loaders.load(str(path))
  blind = ((97, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0))
  warning = chance_warning(winner(Metric.ACCURACY, blind), data)
  assert warning.startswith("the winner is not better than always naming 'normal', the largest")
  assert 'its test accuracy is 0.9700, that of chance is 0.9700. A search with --metric=' in warning
  warning = chance_warning(winner(Metric.BALANCED_ACCURACY, blind), data)
  assert 'its test balanced accuracy is 0.2500, that of chance is 0.2500. It needs' in warning
  seeing = ((90, 7, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0))
  assert chance_warning(winner(Metric.ACCURACY, seeing), data) != ''
  assert chance_warning(winner(Metric.BALANCED_ACCURACY, seeing), data) == ''


def test_of_many_classes_the_worst_recalls_are_shown():
  names = tuple(f'class {i}' for i in range(20))
  data = dataclasses.replace(loaders.digits(), class_names=names)
  confusion = np.diag(np.full(20, 9))
  confusion[range(20), (np.arange(20) + 1) % 20] += np.arange(20)
  many = winner(Metric.ACCURACY, tuple(map(tuple, confusion.tolist())))
  many = dataclasses.replace(many, int8_test_accuracy=0.5, int8_test_interval=(0.4, 0.6))
  title, text = rows_on_test_data(many, data)[-1]
  assert title == 'recall, worst 5 classes'
  assert text.split(', ')[:2] == ['class 19 0.321', 'class 18 0.333']
  assert len(text.split(', ')) == 5


@pytest.mark.nightly
def test_by_accuracy_chance_is_told_and_a_winner_that_is_not_better(path, tmp_path):
  """After a tenth of a step a network names the largest class only."""
  flags = ('--trials=1', '--batch=1', '--epochs=1', '--finish_epochs=1')
  rate = '--finish_learning_rate=1e-9'
  workdir = f'--workdir={tmp_path}'
  shown = within('search', *FLAGS, *flags, rate, f'--dataset={path}', workdir).stdout
  assert "chance   always 'normal': accuracy 0.970; --metric=balanced_accuracy counts all" in shown
  best = json.loads((tmp_path / 'result.json').read_text())['best']
  assert best['int8_test_accuracy'] <= best['chance']['accuracy']
  assert "Warning: the winner is not better than always naming 'normal', the largest" in shown
  assert 'A search with --metric=balanced_accuracy counts all classes alike.' in shown


def test_the_metric_is_part_of_what_is_cached_and_of_the_finishing(path):
  metrics = metrics_of(Task.CLASSIFICATION)
  configs = [SearchConfig(dataset=str(path), metric=metric.value) for metric in metrics]
  setups = [set_up(config) for config in configs]
  keys = {_evaluated_by(journal_configuration(setup), setup.config) for setup in setups}
  assert len(keys) == len(metrics)
  for setup, metric in zip(setups, metrics, strict=True):
    assert plan_of(setup.config, setup.dataset).recipe.metric is metric
  with pytest.raises(ValueError, match="metric='f1': must be one of accuracy, "):
    SearchConfig(metric='f1')

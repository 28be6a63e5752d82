"""A finished network on other data: the search's own test figures, by every way to them.

The search by macro F1 is on recordings of twenty people in a CSV file; that of all tests on pixels.
"""

import json
import pathlib
import shutil

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, recall_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import rlnas
from rlnas.cli.evaluate import format_quality
from rlnas.reports.classification_metrics import assess
from tests.cli.command import refused, within
from tests.moves import FEATURES, write_recordings


def evaluated(workdir, *flags, folder):
  """What --json writes, and what is shown."""
  shown = within('evaluate', f'--workdir={workdir}', f'--json={folder / "it.json"}', *flags).stdout
  return json.loads((folder / 'it.json').read_text()), shown


@pytest.mark.slow
def test_on_the_test_data_of_the_search_the_figures_are_those_of_its_result(finished, tmp_path):
  workdir = finished.workdir
  best = json.loads((workdir / 'result.json').read_text())['best']
  found, shown = evaluated(workdir, folder=tmp_path)
  assert found['int8_accuracy'] == best['int8_test_accuracy']
  assert found['int8_interval'] == best['int8_test_interval']
  assert found['macro_f1'] == best['int8_test_metrics']['macro_f1']
  assert found['balanced_accuracy'] == best['int8_test_metrics']['balanced_accuracy']
  assert found['recall'] == best['recall_by_class']
  assert found['groups'] is None
  assert f'int8 accuracy      {best["int8_test_accuracy"]:.4f}  (95 % interval ' in shown
  digits = rlnas.data.digits()
  search = rlnas.load(workdir)
  named = search.predict(digits.x_test).argmax(1)
  assert found['confusion'] == confusion_matrix(digits.y_test, named).tolist()
  for row in found['confusion']:  # the whole matrix is shown
    assert '  '.join(map(str, row)).split() in [line.split()[4:] for line in shown.splitlines()]
  files = {
    'uint8': {'x_test': digits.x_test, 'y_test': digits.y_test},
    'float16': {'x': digits.x_test[..., 0].astype(np.float16), 'y': digits.y_test},
    'text': {'X': digits.x_test.astype(int), 'y': digits.y_test.astype(str)},
  }
  for name, arrays in files.items():
    np.savez(tmp_path / f'{name}.npz', **arrays)
    again, _ = evaluated(workdir, f'--dataset={tmp_path / name}.npz', folder=tmp_path)
    assert {**again, 'dataset': ''} == {**found, 'dataset': ''}
  assert evaluated(workdir, '--dataset=digits', folder=tmp_path)[0] == found
  quality = search.evaluate(digits.x_test, digits.y_test)
  assert quality.accuracy == found['int8_accuracy']
  assert [list(row) for row in quality.confusion] == found['confusion']


@pytest.mark.slow
def test_another_finalist_is_evaluated(finished, tmp_path):
  digits = rlnas.data.digits()
  found, shown = evaluated(finished.workdir, '--finalist=2', folder=tmp_path)
  second = rlnas.load(finished.workdir, finalist=2).predict(digits.x_test).argmax(1)
  assert found['int8_accuracy'] == np.mean(second == digits.y_test)
  assert found['finalist'] == 2
  assert f'finalist 2 of {finished.workdir}' in shown
  message = refused('evaluate', f'--workdir={finished.workdir}', '--finalist=3')
  assert 'finalist=3: must be one of the 2 that' in message


@pytest.mark.slow
@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'y': np.arange(4) + 7}, "y: label '10' at index 3; must be one of the classes 0, 1, 2"),
    ({'x': np.ones((4, 8, 9), np.uint8)}, 'x of shape (4, 8, 9): must be (N, 8, 8, 1), N >= 1'),
    ({'x': np.full((4, 8, 8), np.nan)}, 'x: holds NaN or infinite values'),
    ({'x': np.full((4, 8, 8), 0.5)}, 'x of type float64: holds 0.5; must be whole numbers of 0'),
    ({'x': np.ones((0, 8, 8), np.uint8), 'y': np.arange(0)}, 'x: has shape (0, 8, 8); every side'),
    ({'y': np.arange(3)}, 'y: has shape (3,); must be (4,), one label for each of the examples'),
  ],
)
def test_wrong_data_are_one_error_that_names_the_file(finished, tmp_path, change, message):
  path = tmp_path / 'new.npz'
  np.savez(path, **{'x': np.ones((4, 8, 8), np.uint8), 'y': np.arange(4)} | change)
  told = refused('evaluate', f'--workdir={finished.workdir}', f'--dataset={path}')
  assert told.startswith(f'error: {path}: {message}')


@pytest.mark.slow
def test_wrong_flags_are_named(finished, tmp_path):
  workdir = f'--workdir={finished.workdir}'
  assert 'no such file' in refused('evaluate', workdir, f'--dataset={tmp_path / "new.npz"}')
  assert refused('evaluate', workdir, '--window=8').startswith('error: --window=8: not with the')
  assert 'must be the folder of a search' in refused('evaluate', f'--workdir={tmp_path}')
  told = refused('evaluate', workdir, '--dataset=cifar')
  assert told.startswith("error: --dataset='cifar': must be one of mnist5k, digits")
  assert 'must all be flags' in refused('evaluate', workdir, 'new.npz')


@pytest.mark.slow
def test_a_result_of_an_earlier_version_is_evaluated(copy, tmp_path):
  path = copy / 'result.json'
  result = json.loads(path.read_text())
  for name in ('type', 'features'):
    result['best']['input'].pop(name, None)
  path.write_text(json.dumps(result))
  assert rlnas.load(copy).input_type == 'uint8'
  found, _ = evaluated(copy, folder=tmp_path)
  assert found['int8_accuracy'] == result['best']['int8_test_accuracy']


@pytest.mark.slow
def test_a_result_of_an_earlier_version_without_names_of_classes(moves, tmp_path):
  workdir = pathlib.Path(shutil.copytree(moves.workdir, tmp_path / 'copy'))
  result = json.loads((workdir / 'result.json').read_text())
  for name in ('recall_by_class', 'int8_test_groups', 'int8_validation_groups'):
    del result['best'][name]
  for name in ('type', 'features'):
    del result['best']['input'][name]
  (workdir / 'result.json').write_text(json.dumps(result))
  search = rlnas.load(workdir)
  assert search.class_names == ('0', '1', '2')
  assert (search.input_type, search.features) == ('float32', ())
  found, _ = evaluated(workdir, folder=tmp_path)
  assert found['int8_accuracy'] == moves.best['int8_test_accuracy']
  assert found['groups'] == moves.best['int8_test_groups']
  within('report', f'--workdir={workdir}')


@pytest.mark.slow
def test_the_spread_over_people_is_told_everywhere(moves, tmp_path):
  best, data = moves.best, moves.data
  search = rlnas.load(moves.workdir)
  for split, groups in (('validation', data.groups_val), ('test', data.groups_test)):
    x, y = (data.x_val, data.y_val) if split == 'validation' else (data.x_test, data.y_test)
    right = search.predict(x).argmax(1) == y
    people = sorted(set(groups.tolist()))
    reached = {person: right[groups == person].mean() for person in people}
    assert len(people) == 2
    record = best[f'int8_{split}_groups']
    assert {p: one['accuracy'] for p, one in record['by_group'].items()} == reached
    assert record['worst'] == min(reached.values())
    assert record['best'] == max(reached.values())
    assert record['mean'] == pytest.approx(np.mean(list(reached.values())))
    line = f'{record["worst"]:.4f} ({next(iter(record["by_group"]))}), mean {record["mean"]:.4f}'
    assert f'On the {split} data: worst {line}' in (moves.workdir / 'best/REPORT.md').read_text()
    assert (
      f'by group of the {split} data: worst {line}' in (moves.workdir / 'SEARCH.md').read_text()
    )
  assert f'int8 test accuracy by group worst {line}' in ' '.join(moves.shown.split())
  found, shown = evaluated(moves.workdir, folder=tmp_path)
  assert found['groups'] == best['int8_test_groups']
  assert f'accuracy by group  worst {line}' in shown


@pytest.mark.slow
def test_macro_f1_goes_all_the_way(moves, tmp_path):
  best, data, search = moves.best, moves.data, rlnas.load(moves.workdir)
  labels = [data.y_val, data.y_test]
  named = [search.predict(x).argmax(1) for x in (data.x_val, data.x_test)]
  on_val, on_test = (
    f1_score(y, found, average='macro') for y, found in zip(labels, named, strict=True)
  )
  assert best['metric'] == 'macro_f1'
  assert best['int8_validation_accuracy'] == pytest.approx(on_val)
  assert best['int8_test_metrics']['macro_f1'] == pytest.approx(on_test)
  assert best['int8_test_accuracy'] == np.mean(named[1] == data.y_test)
  # Finishing chose by it, among finalists that are measured by it.
  for number, finalist in enumerate(search.finalists, start=1):
    found = rlnas.load(moves.workdir, finalist=number).predict(data.x_val).argmax(1)
    reached = f1_score(data.y_val, found, average='macro')
    assert finalist.measurement.int8_validation_accuracy == pytest.approx(reached)
  assert 'int8 validation macro F1' in search.why or search.why == 'the only finalist'
  # The reward of a trial is the metric, less what exceeds the budget: here nothing.
  trained = [t for t in search.trials if t.measurement.status is rlnas.Status.COMPLETE]
  assert trained
  for trial in trained:
    assert trial.reward == trial.measurement.int8_validation_accuracy
  runs = EventAccumulator(str(moves.workdir / 'tensorboard' / 'search' / 'each trial'))
  events = runs.Reload().Tensors('trial/int8_validation_accuracy')
  shown = {e.step: float(e.tensor_proto.float_val[0]) for e in events}
  for trial in trained:
    assert shown[trial.index] == pytest.approx(trial.measurement.int8_validation_accuracy)
  report = (moves.workdir / 'best' / 'REPORT.md').read_text()
  assert f'{on_test:.4f}' in report
  assert 'int8 test macro F1' in report
  assert 'int8 validation macro F1' in (moves.workdir / 'SEARCH.md').read_text()
  assert f'int8 test macro F1 {on_test:.4f}' in ' '.join(moves.shown.split())
  found, shown = evaluated(moves.workdir, folder=tmp_path)
  assert found['macro_f1'] == best['int8_test_metrics']['macro_f1']
  assert f'macro F1           {on_test:.4f}' in shown


@pytest.mark.slow
def test_the_reports_recall_and_precision_are_those_of_the_int8_model(moves):
  named = rlnas.load(moves.workdir).predict(moves.data.x_test).argmax(1)
  counts = confusion_matrix(moves.data.y_test, named, labels=range(3))
  report = (moves.workdir / 'best' / 'REPORT.md').read_text().splitlines()
  for place, name in enumerate(moves.data.class_names):
    right, given = counts[place, place], counts[:, place].sum()
    precision = f'{right / given:.1%}' if given else '–'
    cells = [name, str(counts[place].sum()), f'{right / counts[place].sum():.1%}', precision]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in report if '|' in line]
    assert cells in rows


@pytest.mark.slow
def test_new_recordings_are_read_as_those_of_the_search(moves, tmp_path):
  """Its windows, columns by name and float type, from CSV files and arrays."""
  data, search = moves.data, rlnas.load(moves.workdir)
  names = np.array(data.class_names)
  assert search.features == FEATURES
  windows = [
    (person, names[label], x[..., 0].astype(np.float64))
    for person, label, x in zip(data.groups_test, data.y_test, data.x_test, strict=True)
  ]
  order = sorted(range(len(windows)), key=lambda i: windows[i][:2])  # recordings in a row
  windows = [windows[i] for i in order]
  path = tmp_path / 'new.csv'
  write_recordings(path, windows, features=('battery', 'az', 'ax', 'ay'))
  found, _ = evaluated(moves.workdir, f'--dataset={path}', folder=tmp_path)
  best = moves.best
  assert found['int8_accuracy'] == best['int8_test_accuracy']
  assert found['groups'] == best['int8_test_groups']
  assert found['macro_f1'] == best['int8_test_metrics']['macro_f1']
  overlapping, _ = evaluated(moves.workdir, f'--dataset={path}', '--hop=4', folder=tmp_path)
  assert overlapping['examples'] > found['examples']
  x, y = data.x_test[..., 0], names[data.y_test]
  np.savez(tmp_path / 'a.npz', x=x, y=y, groups=data.groups_test)
  again, _ = evaluated(moves.workdir, f'--dataset={tmp_path / "a.npz"}', folder=tmp_path)
  assert {**again, 'dataset': ''} == {**found, 'dataset': ''}
  quality = search.evaluate(x, y, groups=data.groups_test)
  assert quality.groups.to_record() == found['groups']
  # float16 loses digits, but is read.
  np.savez(tmp_path / 'b.npz', x=x.astype(np.float16), y=y)
  half, _ = evaluated(moves.workdir, f'--dataset={tmp_path / "b.npz"}', folder=tmp_path)
  expected = search.predict(x.astype(np.float16)).argmax(1)
  assert half['int8_accuracy'] == np.mean(expected == data.y_test)
  assert half['recall'] == dict(
    zip(names, recall_score(data.y_test, expected, average=None, zero_division=0), strict=True)
  )
  assert half['balanced_accuracy'] == pytest.approx(balanced_accuracy_score(data.y_test, expected))
  unknown = write_recordings(tmp_path / 'odd.csv', [('anna', 'swim', np.zeros((16, 3)))])
  told = refused('evaluate', f'--workdir={moves.workdir}', f'--dataset={unknown}')
  assert told.startswith(f"error: {unknown}: y_test: label 'swim' at index 0; must be one of")


def test_of_too_many_classes_the_mistakes_are_shown():
  names = tuple(f'class {i}' for i in range(40))
  labels = np.arange(80) % 40
  predicted = np.where(np.arange(80) < 3, 39, labels)
  shown = format_quality(assess(np.eye(40)[predicted], labels), names)
  assert 'Most frequent mistakes:\n  class 0 as class 39: 1\n  class 1 as' in shown
  assert max(map(len, shown.splitlines())) <= 100
  few = format_quality(assess(np.eye(3)[[0, 1, 1]], np.array([0, 1, 0])), ('a', 'b', 'c'))
  rows = [line.split() for line in few.splitlines()[-3:]]
  assert rows == [
    ['0', 'a', '2', '0.500', '1', '1', '0'],
    ['1', 'b', '1', '1.000', '0', '1', '0'],
    ['2', 'c', '0', '–', '0', '0', '0'],
  ]

"""A finished search in Python: its networks run on raw inputs, the winner's and the others'."""

import json

import numpy as np
import pytest

import rlnas
from rlnas.data import loaders
from rlnas.search.journal import Journal
from rlnas.tflite.inference import int8_logits
from tests.cli.command import refused, within


@pytest.fixture(scope='module', name='data')
def _data():
  return loaders.digits()


@pytest.mark.slow
def test_the_winner_predicts_from_raw_inputs(finished, data):
  search = rlnas.load(finished.workdir)
  result = json.loads((finished.workdir / 'result.json').read_text())
  scores = search.predict(data.x_test)
  assert scores.dtype == np.int8
  assert np.mean(scores.argmax(1) == data.y_test) == result['best']['int8_test_accuracy']
  # Examples without the channel of 1, as lists, and one alone.
  assert (search.predict(data.x_test[:3, :, :, 0].tolist()) == scores[:3]).all()
  assert (search.predict(data.x_test[:1]) == scores[:1]).all()
  logits = search.model(search.inputs(data.x_val)).numpy()
  reached = np.mean(logits.argmax(1) == data.y_val)
  assert reached == pytest.approx(result['best']['validation_accuracy'])
  assert search.class_names == data.class_names
  assert len(search.trials) == 4
  assert search.why == result['why'] != ''
  assert search.config.dataset == 'digits'
  with pytest.raises(ValueError, match=r'x of shape \(2, 8\): must be \(N, 8, 8, 1\), N >= 1'):
    search.predict(np.zeros((2, 8)))
  with pytest.raises(ValueError, match=r'N >= 1; one example is x\[np\.newaxis\]$'):
    search.predict(data.x_test[0])
  with pytest.raises(ValueError, match='must be numbers'):
    search.predict(np.full((1, 8, 8), 'a'))


@pytest.mark.slow
def test_the_finalists_are_those_of_the_result_and_each_can_be_had(finished, data):
  search, result = (
    rlnas.load(finished.workdir),
    json.loads((finished.workdir / 'result.json').read_text()),
  )
  assert len(search.finalists) == len(result['finalists']) == 2
  for number, finalist in enumerate(search.finalists, start=1):
    record = result['finalists'][number - 1]
    assert {k: record[k] for k in finalist.figures()} == finalist.figures()
    one = rlnas.load(finished.workdir, finalist=number)
    assert len(one.tflite) == finalist.measurement.flash_bytes
    named = one.predict(data.x_val).argmax(1)
    assert np.mean(named == data.y_val) == finalist.measurement.int8_validation_accuracy
    logits = one.model(one.inputs(data.x_val)).numpy()
    expected = pytest.approx(finalist.measurement.validation_accuracy)
    assert np.mean(logits.argmax(1) == data.y_val) == expected
  with pytest.raises(ValueError, match='finalist=3: must be one of the 2 that'):
    rlnas.load(finished.workdir, finalist=3)
  assert search.tflite == rlnas.load(finished.workdir, finalist=1).tflite


@pytest.mark.slow
def test_another_finalist_has_a_bundle_of_its_own(copy, data):
  best = {path: path.read_bytes() for path in (copy / 'best').rglob('*') if path.is_file()}
  shown = within('export', f'--workdir={copy}', '--finalist=2')
  folder = copy / 'finalist-2'
  assert shown.stdout.splitlines()[0] == f'report:    {folder / "report.html"}'
  assert {path: path.read_bytes() for path in best} == best
  names = {path.name for path in (copy / 'best').iterdir()}
  assert {path.name for path in folder.iterdir()} == names
  second = rlnas.load(copy, finalist=2)
  assert (folder / 'model.tflite').read_bytes() == second.tflite
  written = rlnas.Architecture.from_json((folder / 'architecture.json').read_text())
  assert written == second.finalists[1].candidate.architecture
  assert 'This is finalist 2, not the winner of that search.' in (folder / 'REPORT.md').read_text()
  tested = np.mean(
    int8_logits(second.tflite, data.x_test, scaling=data.scaling).argmax(1) == data.y_test
  )
  assert f'{tested:.4f}' in (folder / 'REPORT.md').read_text()
  assert 'finalist=0: must be one of the 2' in refused(
    'export', f'--workdir={copy}', '--finalist=0'
  )


@pytest.mark.slow
def test_results_of_earlier_versions_are_read(copy):
  """Their finalists had a measurement and a digest, and nothing said why."""
  path = copy / 'result.json'
  now = rlnas.load(copy)
  result = json.loads(path.read_text())
  lines = (copy / 'finalists' / 'finalists.jsonl').read_text().splitlines()
  by_name = {record['name']: record for record in map(json.loads, lines)}
  earlier = [by_name[record['name']] for record in result['finalists']]
  del result['why'], result['prefer'], result['best']['recall_by_class']
  path.write_text(json.dumps(result | {'finalists': earlier}))
  then = rlnas.load(copy)
  assert [f.candidate for f in then.finalists] == [f.candidate for f in now.finalists]
  assert (then.why, then.class_names) == ('', now.class_names)
  assert then.tflite == now.tflite
  within('export', f'--workdir={copy}')
  earlier[1] = earlier[1] | {'digest': 'that of a pruned one'}
  path.write_text(json.dumps(result | {'finalists': earlier}))
  within('export', f'--workdir={copy}')
  with pytest.raises(ValueError, match='finalist 2: its network is not written; `rlnas finish`'):
    rlnas.load(copy).finalists  # noqa: B018


def test_a_folder_without_a_finished_search_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'^workdir=.*: must be the folder of a search'):
    rlnas.load(tmp_path)
  Journal(tmp_path / 'journal.jsonl', configuration={'seed': 0}).close()
  with pytest.raises(FileNotFoundError, match=r'result\.json: no such file; the search is not fin'):
    rlnas.load(tmp_path)

"""A finished search is finished anew, as a user does it."""

import json

import pytest

from rlnas.data import loaders
from rlnas.tflite.inference import int8_accuracy
from tests.cli.command import launched, refused, within


@pytest.mark.slow
def test_a_search_is_finished_anew(copy):
  workdir = copy
  lines = (workdir / 'finalists' / 'finalists.jsonl').read_text().splitlines()
  assert len(lines) == 2
  flags = ('--finish_epochs=4', '--finish_top=2', '--finish_seeds=2', '--prefer=accuracy')
  shown = within('finish', f'--workdir={workdir}', *flags)
  assert len((workdir / 'finalists' / 'finalists.jsonl').read_text().splitlines()) == 6
  result = json.loads((workdir / 'result.json').read_text())
  best, finalists = result['best'], result['finalists']
  assert len(finalists) == 4
  assert best['int8_validation_accuracy'] == max(f['int8_validation_accuracy'] for f in finalists)
  data = loaders.digits()
  model = (workdir / 'best' / 'model.tflite').read_bytes()
  tested = int8_accuracy(model, data.x_test, data.y_test, scaling=data.scaling)
  assert tested == best['int8_test_accuracy']
  low, high = best['int8_test_interval']
  assert (
    f'{tested:.4f}  (test data, used once; 95 % interval {low:.4f} to {high:.4f})' in shown.stdout
  )
  report = (workdir / 'best' / 'REPORT.md').read_text()
  assert '--finish_epochs=4' in report
  assert '--finish_seeds=2' in report
  assert '--prefer=accuracy' in report
  assert '--finish_patience' not in report


@pytest.mark.slow
def test_another_preference_chooses_anew_and_trains_nothing(copy):
  stored = (copy / 'finalists' / 'finalists.jsonl').read_bytes()
  flags = ('--finish_epochs=1', '--finish_top=2')
  balanced = json.loads((copy / 'result.json').read_text())
  assert balanced['prefer'] == 'balanced'
  winners = {'balanced': balanced['finalists']}
  for prefer in ('accuracy', 'smallest'):
    shown = within('finish', f'--workdir={copy}', *flags, f'--prefer={prefer}')
    result = json.loads((copy / 'result.json').read_text())
    assert (result['prefer'], bool(result['why'])) == (prefer, True)
    winners[prefer] = first, *others = result['finalists']
    assert first['trial'] == result['best']['trial']
    assert {
      *('trial', 'int8_validation_accuracy', 'flash_bytes', 'sram_bytes', 'macs', 'latency_ms'),
    } <= set(first)
    assert first['latency_ms'] == result['best']['latency_ms'] > 0
    assert first['on_front']
    # The terminal and the report say who won, and why; both mark it on the front.
    text = ' '.join(shown.stdout.split())
    assert f'{result["why"]} (--prefer={prefer})' in text
    front, finalists = shown.stdout.split('\nFinalists, ')
    for part in (front.split('Pareto front')[1], finalists.split('\n\n')[0]):
      (marked,) = [line for line in part.splitlines() if line.startswith('*') and '.' in line]
      assert str(first['trial']) in marked.split()[1:3]
    for number in range(2, len(others) + 2):
      assert f'\n{number:5d}  ' in finalists.split('against the winner:')[1]
    report = (copy / 'best' / 'REPORT.md').read_text().replace('\\', '')
    assert f'won: {result["why"]}.' in report
    assert f'{first["trial"]} (winner)' in report
    assert json.loads((copy / 'config.json').read_text())['finish']['prefer'] == prefer
  assert (copy / 'finalists' / 'finalists.jsonl').read_bytes() == stored
  best = max(f['int8_validation_accuracy'] for f in winners['accuracy'])
  assert winners['accuracy'][0]['int8_validation_accuracy'] == best
  flash = {prefer: found[0]['flash_bytes'] for prefer, found in winners.items()}
  assert flash['smallest'] <= max(flash['accuracy'], flash['balanced'])


@pytest.mark.nightly
def test_worker_processes_finish_a_search_as_its_own_process_does(copy):
  before = (copy / 'best' / 'model.tflite').read_bytes()
  (copy / 'finalists' / 'finalists.jsonl').unlink()
  flags = ('--finish_epochs=1', '--finish_top=2')
  shown = launched('finish', f'--workdir={copy}', *flags, '--workers=2')
  assert (copy / 'best' / 'model.tflite').read_bytes() == before
  for noise in ('oneDNN', 'cudart', 'XNNPACK', 'Warning', 'WARNING', 'Traceback'):
    assert noise not in shown.stderr + shown.stdout


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('absent',), "arguments: ['absent']"),
    (('--workdir=absent',), '--workdir=absent: must be the folder of a search'),
    (('--finish_top=0',), '--finish_top=0: must be at least 1'),
  ],
)
def test_bad_input_is_one_line(arguments, message):
  assert message in refused('finish', *arguments)


@pytest.mark.slow
def test_workers_are_checked_before_anything_is_trained(finished):
  assert '--workers=0: must be at least 1' in refused(
    'finish', f'--workdir={finished.workdir}', '--workers=0'
  )

import dataclasses
import itertools
import json
import shutil

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.architecture import Graph
from rlnas.cli.dataframe import to_dataframe
from rlnas.search.journal import Journal, JournalError, read_journal
from rlnas.trial import Measurement, Proposal, Status, Trial, derive_seed
from tests.disk import full_disk

CONFIGURATION = {'seed': 1, 'space': 'chain', 'board': None}


def trial(index: int, reward: float | None = 0.5, **figures) -> Trial:
  graph = Graph()
  architecture = graph.finish(graph.classify(graph.input))
  status = Status.FAILED if reward is None else Status.COMPLETE
  proposal = Proposal((1, 2, index), architecture, -1.25)
  return Trial(index, index // 8, 7, proposal, Measurement(status, **figures), reward)


def edited(**fields) -> str:
  return json.dumps(json.loads(trial(1).to_json()) | fields)


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
  reward=st.none() | finite,
  figures=st.fixed_dictionaries(
    {
      'validation_accuracy': st.none() | finite,
      'flash_bytes': st.none() | st.integers(0, 10**9),
      'seconds': finite,
      'detail': st.text(),
    }
  ),
)
def test_every_trial_round_trips_on_one_line(reward, figures):
  written = trial(3, reward, **figures)
  line = written.to_json()
  assert '\n' not in line
  assert Trial.from_json(line) == written


def test_what_is_appended_is_read_again(tmp_path):
  path = tmp_path / 'deep' / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  written = [trial(0), trial(1, None, detail='Traceback\n "quoted" ü'), trial(2)]
  for t in written:
    journal.add(t)
  assert read_journal(path) == (CONFIGURATION, written), 'on the disk before close'
  journal.close()
  assert Journal(path, configuration=CONFIGURATION).trials == tuple(written)


def test_a_journal_of_another_metric_is_refused_and_without_one_it_was_accuracy(tmp_path):
  path = tmp_path / 'journal.jsonl'
  Journal(path, configuration=CONFIGURATION).close()
  Journal(path, configuration={**CONFIGURATION, 'metric': 'accuracy'}).close()
  with pytest.raises(JournalError, match="metric was 'accuracy', now 'macro_f1'"):
    Journal(path, configuration={**CONFIGURATION, 'metric': 'macro_f1'})


@pytest.mark.parametrize('cut', [1, 10, 200])
def test_a_half_written_last_line_is_dropped(tmp_path, cut):
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  for i in range(3):
    journal.add(trial(i))
  journal.close()
  path.write_bytes(path.read_bytes()[:-cut])
  again = Journal(path, configuration=CONFIGURATION)
  assert [t.index for t in again.trials] == [0, 1]
  again.add(trial(2))
  again.close()
  assert len(read_journal(path)[1]) == 3


def test_a_half_written_header_begins_anew(tmp_path):
  path = tmp_path / 'journal.jsonl'
  path.write_text('{"format": "rlnas-jou')
  assert Journal(path, configuration=CONFIGURATION).trials == ()


def test_a_file_of_someone_else_is_left_alone(tmp_path):
  path = tmp_path / 'journal.jsonl'
  path.write_text('dear diary')
  with pytest.raises(JournalError, match='not the header of a journal'):
    Journal(path, configuration=CONFIGURATION)
  assert path.read_text() == 'dear diary'


def written_in_order(path, count):
  journal = Journal(path, configuration=CONFIGURATION)
  for i in range(count):
    journal.add(trial(i))
  journal.close()
  return path.read_bytes()


@pytest.mark.slow
@given(order=st.permutations(range(7)), cuts=st.lists(st.integers(0, 250), min_size=8, max_size=8))
@hypothesis.settings(
  max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_whatever_the_order_and_the_crashes_the_journal_is_the_same(tmp_path, order, cuts):
  folder = tmp_path / str(next(_numbers))
  expected = written_in_order(folder / 'expected.jsonl', 7)
  path = folder / 'journal.jsonl'
  ahead = path.with_name('journal.jsonl.ahead')
  journal = Journal(path, configuration=CONFIGURATION)
  for index, cut in zip(order, cuts, strict=False):
    if journal.find(index) is None:
      journal.add(trial(index))
    journal._file.close()  # as a killed process leaves it
    if journal._ahead is not None:
      journal._ahead.close()
      torn = trial(9).to_json().encode()[:cut]
      ahead.write_bytes(ahead.read_bytes() + torn)
    journal = Journal(path, configuration=CONFIGURATION)
    assert journal.find(index) == trial(index)
  journal.close()
  assert path.read_bytes() == expected
  assert not ahead.exists()


_numbers = itertools.count()


def test_a_crash_between_the_two_files_loses_nothing(tmp_path):
  expected = written_in_order(tmp_path / 'expected.jsonl', 4)
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  for index in (2, 1, 3):
    journal.add(trial(index))
  early = (tmp_path / 'journal.jsonl.ahead').read_bytes()
  journal.add(trial(0))  # all four move to the journal
  journal.close()
  assert path.read_bytes() == expected
  for lines in range(2, 5):  # killed within that move
    path.write_bytes(b''.join(expected.splitlines(keepends=True)[:lines]) + b'{"ind')
    (tmp_path / 'journal.jsonl.ahead').write_bytes(early)
    journal = Journal(path, configuration=CONFIGURATION)
    assert len(journal.trials) == 4
    journal.close()
    assert path.read_bytes() == expected


def test_the_second_file_is_checked_like_the_first(tmp_path):
  path = tmp_path / 'journal.jsonl'
  ahead = tmp_path / 'journal.jsonl.ahead'
  journal = Journal(path, configuration=CONFIGURATION)
  journal.add(trial(3))
  journal.close()
  good = ahead.read_bytes()
  with pytest.raises(JournalError, match='seed was 1, now 2'):
    Journal(path, configuration=CONFIGURATION | {'seed': 2})
  damaged = good + b'{"index": 4}\n' + good.splitlines(keepends=True)[1]
  ahead.write_bytes(damaged)
  with pytest.raises(JournalError, match=r'jsonl\.ahead:3: damaged line .*keep only its first 2'):
    Journal(path, configuration=CONFIGURATION)
  assert ahead.read_bytes() == damaged
  ahead.write_bytes(good)
  assert Journal(path, configuration=CONFIGURATION).find(3) == trial(3)


def test_a_trial_is_added_once(tmp_path):
  journal = Journal(tmp_path / 'journal.jsonl', configuration=CONFIGURATION)
  for index in (0, 2):
    journal.add(trial(index))
    with pytest.raises(ValueError, match=rf'trial {index}: .* holds it already'):
      journal.add(trial(index))


def test_a_full_disk_stops_and_loses_nothing(tmp_path):
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  journal.add(trial(0))
  before = path.read_bytes()
  refused = r'cannot be written \(File too large\); its earlier lines are safe'
  with full_disk(len(before) + 50), pytest.raises(OSError, match=refused):
    journal.add(trial(1))
  journal.close()
  assert path.read_bytes() == before, 'no half line stays'
  again = Journal(path, configuration=CONFIGURATION)
  again.add(trial(1))
  again.close()
  assert [t.index for t in read_journal(path)[1]] == [0, 1]


@pytest.mark.parametrize('replaced', [False, True])
def test_a_journal_that_was_taken_away_is_written_anew(tmp_path, replaced):
  path = tmp_path / 'runs' / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  for index in (0, 2):
    journal.add(trial(index))
  shutil.rmtree(path.parent)
  if replaced:
    path.parent.mkdir()
    path.write_text('something else')
  with pytest.raises(OSError, match='was removed or replaced while the search ran; all its trials'):
    journal.add(trial(1))
  journal.close()
  if replaced:
    assert path.read_text() == 'something else'
    (restored,) = path.parent.glob('journal.jsonl.restored-*')
    restored.rename(path)
  assert Journal(path, configuration=CONFIGURATION).trials == tuple(map(trial, range(3)))


def test_two_searches_cannot_write_one_journal(tmp_path):
  path = tmp_path / 'journal.jsonl'
  first = Journal(path, configuration=CONFIGURATION)
  with pytest.raises(JournalError, match='another search is writing it'):
    Journal(path, configuration=CONFIGURATION)
  first.close()
  Journal(path, configuration=CONFIGURATION).close()


@pytest.mark.parametrize(
  ('line', 'replacement', 'message'),
  [
    (0, 'hello', r'journal.jsonl:1: not the header'),
    (0, '{"format": "rlnas-journal", "version": 99, "configuration": {}}', 'version 1 or 2'),
    (2, '{"index": 1', r'journal.jsonl:3: damaged line'),
    (2, '{"index": 1}', r'journal.jsonl:3: damaged line \(not a trial: KeyError'),
    (2, edited(reward='high'), r"journal.jsonl:3: damaged line \(reward='high': must be float"),
    (2, edited(reward=float('nan')), r'journal.jsonl:3: damaged line \(reward=nan: must be finite'),
    (2, edited(reward=None), r'reward=None: does not go with status complete'),
    (2, edited(predicted_accuracy=[]), r'predicted_accuracy=\[\]: must be float \| None'),
    (2, edited(tokens=[1.5]), r'journal.jsonl:3: damaged line \(tokens=1.5: must be int'),
    (2, edited(index=True), r'index=True: must be int'),
    (2, trial(5).to_json(), r'journal.jsonl:3: is trial 5, must be trial 1'),
    (2, '\udcff', r'journal.jsonl:3: damaged line .*utf-8'),
  ],
)
def test_damage_is_named_and_never_guessed_away(tmp_path, line, replacement, message):
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  for i in range(3):
    journal.add(trial(i))
  journal.close()
  lines = path.read_text().splitlines()
  lines[line] = replacement
  damaged = ('\n'.join(lines) + '\n').encode(errors='surrogateescape')
  path.write_bytes(damaged)
  with pytest.raises(JournalError, match=message):
    Journal(path, configuration=CONFIGURATION)
  assert path.read_bytes() == damaged, 'nothing is lost'


VERSION_1 = """\
{"format": "rlnas-journal", "version": 1, "configuration": {"seed": 1}}
{"index":0,"batch":0,"seed":7,"reward":0.5,"tokens":[1],"log_prob":-1.25,"parent":null,\
"digest":"","measurement":{"status":"complete","validation_accuracy":0.25,\
"int8_validation_accuracy":0.125,"flash_bytes":2000,"sram_bytes":1000,"sram_source":"tflm",\
"macs":90,"parameters":10,"latency_ms":null,"curve":[0.25],"expected_accuracy":0.5,\
"seconds":1.5,"detail":""},"architecture":[["input",[],{}],["global_avg_pool",[0],{}],\
["classifier",[1],{}]]}
{"index":1,"batch":0,"seed":8,"reward":null,"tokens":[2],"log_prob":null,"parent":0,\
"digest":"","measurement":{"status":"failed","validation_accuracy":null,\
"int8_validation_accuracy":null,"flash_bytes":null,"sram_bytes":null,"sram_source":"",\
"macs":null,"parameters":null,"latency_ms":null,"curve":[],"expected_accuracy":null,\
"seconds":0.5,"detail":"an accident"},"architecture":[["input",[],{}],\
["global_avg_pool",[0],{}],["classifier",[1],{}]]}
"""


def test_a_journal_of_version_1_is_read_and_not_gone_on_with(tmp_path):
  path = tmp_path / 'journal.jsonl'
  path.write_text(VERSION_1)
  configuration, (predicted, failed) = read_journal(path)
  assert configuration == {'seed': 1}
  assert predicted.predicted_accuracy == predicted.reward == 0.5
  assert predicted.measurement == Measurement(
    Status.COMPLETE,
    validation_accuracy=0.25,
    int8_validation_accuracy=0.125,
    flash_bytes=2000,
    sram_bytes=1000,
    sram_source='tflm',
    sram_build='host',
    macs=90,
    parameters=10,
    curve=(0.25,),
    seconds=1.5,
  )
  assert predicted.rewarded_measurement.int8_validation_accuracy == 0.5
  assert (failed.predicted_accuracy, failed.reward, failed.proposal.parent) == (None, None, 0)
  assert (failed.measurement.detail, failed.measurement.sram_build) == ('an accident', '')
  assert to_dataframe(path)['predicted_accuracy'].to_list()[0] == 0.5
  with pytest.raises(
    JournalError, match=r'journal.jsonl: is of format version 1; .*another folder'
  ):
    Journal(path, configuration={'seed': 1})
  assert path.read_text() == VERSION_1


def test_another_configuration_is_refused_with_its_differences(tmp_path):
  path = tmp_path / 'journal.jsonl'
  Journal(path, configuration=CONFIGURATION).close()
  with pytest.raises(JournalError, match=r"board was None, now 'uno'; seed was 1, now 2\."):
    Journal(path, configuration=CONFIGURATION | {'seed': 2, 'board': 'uno'})


def test_a_trial_knows_no_nan():
  with pytest.raises(ValueError, match='JSON'):
    dataclasses.replace(trial(0), reward=float('nan')).to_json()


def test_seeds_differ_by_place_and_are_stable():
  seeds = [
    derive_seed(r, kind, i) for r in range(5) for kind in ('trial', 'batch') for i in range(50)
  ]
  assert len(set(seeds)) == len(seeds)
  assert all(0 <= s < 2**31 for s in seeds)
  assert derive_seed(0, 'trial', 0) == derive_seed(0, 'trial', 0)
  assert json.loads(json.dumps(seeds)) == seeds


def test_a_frame_holds_every_trial_with_types_that_do_not_depend_on_them(tmp_path):
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  written = [
    trial(0, flash_bytes=2**40, validation_accuracy=0.25, curve=(0.1, 0.2)),
    trial(1, None, detail='an accident'),
  ]
  for t in written:
    journal.add(t)
  journal.close()
  frame = to_dataframe(path)
  assert frame.equals(to_dataframe(written))
  assert list(frame.index) == [0, 1]
  assert frame['flash_bytes'].to_list()[0] == 2**40
  assert frame['flash_bytes'].isna().to_list() == [False, True]
  assert frame['reward'].to_list()[0] == 0.5
  assert frame['reward'].isna().to_list() == [False, True]
  assert frame['predicted_accuracy'].isna().to_list() == [True, True]
  assert frame['status'].to_list() == ['complete', 'failed']
  assert frame['curve'].to_list() == [(0.1, 0.2), ()]
  assert frame['tokens'].to_list() == [(1, 2, 0), (1, 2, 1)]
  assert frame['digest'].to_list() == [t.proposal.architecture.digest for t in written]
  assert set(frame) >= {field.name for field in dataclasses.fields(Measurement)}
  empty = to_dataframe([])
  assert empty.dtypes.equals(frame.dtypes)
  assert len(empty) == 0

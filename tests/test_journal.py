import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnas.architecture import Graph
from rlnas.journal import Journal, JournalError, read_journal
from rlnas.trial import Measurement, Proposal, Status, Trial, derive_seed

CONFIGURATION = {'seed': 1, 'space': 'chain', 'board': None}


def trial(index: int, reward: float | None = 0.5, **figures) -> Trial:
  graph = Graph()
  architecture = graph.finish(graph.classify(graph.input))
  status = Status.FAILED if reward is None else Status.COMPLETE
  proposal = Proposal((1, 2, index), architecture, -1.25)
  return Trial(index, index // 8, 7, proposal, Measurement(status, **figures), reward)


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
    journal.append(t)
  assert read_journal(path) == (CONFIGURATION, written), 'on the disk before close'
  journal.close()
  assert Journal(path, configuration=CONFIGURATION).trials == tuple(written)


@pytest.mark.parametrize('cut', [1, 10, 200])
def test_a_half_written_last_line_is_dropped(tmp_path, cut):
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  for i in range(3):
    journal.append(trial(i))
  journal.close()
  path.write_bytes(path.read_bytes()[:-cut])
  again = Journal(path, configuration=CONFIGURATION)
  assert [t.index for t in again.trials] == [0, 1]
  again.append(trial(2))
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
    (0, '{"format": "rlnas-journal", "version": 99, "configuration": {}}', 'version 1'),
    (2, '{"index": 1', r'journal.jsonl:3: damaged line'),
    (2, '{"index": 1}', r'journal.jsonl:3: damaged line \(not a trial: KeyError'),
    (2, trial(5).to_json(), r'journal.jsonl:3: trial 5 stands where 1 belongs'),
    (2, '\udcff', 'not UTF-8'),
  ],
)
def test_damage_is_named_and_never_guessed_away(tmp_path, line, replacement, message):
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration=CONFIGURATION)
  for i in range(3):
    journal.append(trial(i))
  journal.close()
  lines = path.read_text().splitlines()
  lines[line] = replacement
  damaged = ('\n'.join(lines) + '\n').encode(errors='surrogateescape')
  path.write_bytes(damaged)
  with pytest.raises(JournalError, match=message):
    Journal(path, configuration=CONFIGURATION)
  assert path.read_bytes() == damaged, 'nothing is lost'


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

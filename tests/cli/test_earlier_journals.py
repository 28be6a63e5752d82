"""--learn_from: journals of the same space, or one line that says what is wrong."""

import dataclasses
import json

import pytest

from rlnas.cli.build import journal_configuration, set_up
from rlnas.cli.config import SearchConfig
from rlnas.cli.config_file import read_config, write_config
from rlnas.search.journal import Journal, JournalError, read_journal
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.reinforce import Reinforce
from rlnas.trial import Measurement, Status, Trial
from tests.cli.command import refused
from tests.strategies.test_earlier_results import walks

SPACE = ('--space=chain', '--space_option=max_depth=3')
TABLE = compile_table(Chain(max_depth=3))
CONFIGURATION = {'space': 'chain', 'space_options': '{"max_depth": 3}'}


def write(folder, count=3, configuration=None, status=Status.COMPLETE):
  from rlnas.strategies.proposals import propose

  journal = Journal(folder / 'journal.jsonl', configuration=configuration or CONFIGURATION)
  for i, walk in enumerate(walks(count, 0)):
    reward = None if status is Status.FAILED else i / 10
    journal.add(Trial(i, 0, i, propose(TABLE, walk), Measurement(status), reward))
  journal.close()
  return folder


def config(*journals, **settings) -> SearchConfig:
  return SearchConfig(
    dataset='digits',
    space_options=('max_depth=3',),
    learn_from=tuple(map(str, journals)),
    **settings,
  )


def test_a_journal_or_its_folder_reaches_the_strategy_and_the_header(tmp_path):
  one, other = write(tmp_path / 'one', 3), write(tmp_path / 'other', 5)
  setup = set_up(config(f'{one},{other / "journal.jsonl"}'))
  assert setup.config.learn_from == (str(one), str(other / 'journal.jsonl'))
  assert isinstance(setup.build_strategy(), Reinforce)
  assert [len(journal.trials) for journal in setup.journals] == [3, 5]
  header = journal_configuration(setup)
  assert header['learn_from'] == ','.join(journal.digest for journal in setup.journals)
  write_config(setup.config, tmp_path)
  assert read_config(tmp_path).learn_from == setup.config.learn_from


def test_a_search_is_resumed_with_equal_journals_wherever_they_are(tmp_path):
  first = write(tmp_path / 'first')
  moved = write(tmp_path / 'moved')
  longer = write(tmp_path / 'longer', 4)
  headers = [journal_configuration(set_up(config(path))) for path in (first, moved, longer)]
  Journal(tmp_path / 'own.jsonl', configuration=headers[0]).close()
  Journal(tmp_path / 'own.jsonl', configuration=headers[1]).close()
  with pytest.raises(JournalError, match='learn_from was'):
    Journal(tmp_path / 'own.jsonl', configuration=headers[2])


def test_a_journal_from_before_the_flag_is_resumed_without_it(tmp_path):
  setup = set_up(config())
  header = journal_configuration(setup)
  assert header['learn_from'] is None
  Journal(
    tmp_path / 'old.jsonl', configuration={k: v for k, v in header.items() if k != 'learn_from'}
  ).close()
  Journal(tmp_path / 'old.jsonl', configuration=header).close()
  assert read_journal(tmp_path / 'old.jsonl')[1] == []


@pytest.mark.parametrize(
  ('prepare', 'message'),
  [
    (lambda folder: None, 'there is no'),
    (lambda folder: write(folder, 0), 'must hold at least one trial that did not fail'),
    (lambda folder: write(folder, status=Status.FAILED), 'must hold at least one trial'),
    (lambda folder: write(folder, configuration={'space': 'joint'}), 'is of --space=joint; must'),
    (
      lambda folder: write(folder, configuration={'space': 'chain', 'space_options': ''}),
      'has another space (max_depth=8 there and 3 here); must have the same --space_option',
    ),
    (
      lambda folder: (write(folder) / 'journal.jsonl').open('a').write('{"a":\n'),
      'cannot be read (',
    ),
  ],
  ids=['missing', 'empty', 'failed', 'space', 'options', 'damaged'],
)
def test_a_wrong_journal_is_one_line_before_data_are_read(prepare, message, tmp_path):
  folder = tmp_path / 'earlier'
  prepare(folder)
  line = refused('search', '--dataset=nowhere.npz', *SPACE, f'--learn_from={folder}')
  assert line.startswith(f'error: --learn_from={folder}: ')
  assert message in line


def test_other_strategies_say_that_they_cannot(tmp_path):
  line = refused('search', *SPACE, f'--learn_from={write(tmp_path)}', '--strategy=evolution')
  assert 'not with --strategy=evolution' in line


def test_a_search_does_not_learn_from_itself_or_twice(tmp_path):
  folder = write(tmp_path)
  own = refused('search', *SPACE, f'--learn_from={folder}', f'--workdir={folder}')
  assert 'is the journal of this search' in own
  twice = refused('search', *SPACE, f'--learn_from={folder},{folder / "journal.jsonl"}')
  assert 'must name each journal once' in twice


def test_tokens_that_stand_for_another_network_are_found(tmp_path):
  """As if the code of the space had changed since."""
  path = write(tmp_path) / 'journal.jsonl'
  header, first, *others = path.read_text().splitlines()
  record, second = json.loads(first), json.loads(others[0])
  record['tokens'] = second['tokens']
  path.write_text('\n'.join([header, json.dumps(record), *others]) + '\n')
  setup = dataclasses.replace(set_up(config(tmp_path)))
  with pytest.raises(ValueError, match=r'learn_from=.*trial 0 is another network'):
    setup.build_strategy()

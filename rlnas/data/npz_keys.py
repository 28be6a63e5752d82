"""The roles of the arrays of an .npz file, by the usual names of its keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

_EXAMPLES = ('x', 'data', 'images', 'features', 'inputs', 'samples')
_LABELS = ('y', 'labels', 'label', 'targets', 'target')
_SPLITS = {
  'train': ('train', 'training'),
  'val': ('val', 'valid', 'validation'),
  'test': ('test', 'testing'),
}
# Keys that may be groups: they are read if they are named, so that the split of a file stays.
_MAY_BE_GROUPS = ('group', 'subject', 'person', 'participant', 'user', 'patient', 'recording')
NO_GROUPS = 'none'  # as the name of the groups: there are none
_NEEDS = (
  f'examples (x_train, train_x, or alone {", ".join(("X", *_EXAMPLES[1:]))}) and labels (y_train, '
  f'train_y, or alone {", ".join(_LABELS)})'
)


def _roles() -> dict[str, str]:
  """What each usual key is, by the key in lower case."""
  found = {'class_names': 'class_names'}
  for letter, names in (('x', _EXAMPLES), ('y', _LABELS)):
    for name in names:
      found[name] = f'{letter}_train'
      for split, words in _SPLITS.items():
        for word in words:
          found |= dict.fromkeys((f'{name}_{word}', f'{word}_{name}'), f'{letter}_{split}')
  return found


def assign(
  path: object, keys: Sequence[str], *, group: str | None = None, held_out: bool = False
) -> tuple[dict[str, str], tuple[str, ...]]:
  """Assigns the arrays of a file.

  Case does not matter, nor whether '_' or '-' joins the words. In a file that has x_train and
  y_train, only keys that begin with x_ or y_ can be other splits.

  Args:
    path: the file, for error messages.
    keys: the keys that it has.
    group: key of the groups of the training examples; 'none' for none; by default 'groups'. With
      _val or _test behind it, it is that of the groups of these examples.
    held_out: whether only the examples are wanted that a trained network is evaluated on: x_test
      and y_test with groups_test, or else the only examples of the file.

  Returns:
    The key of each role that the file has: x_train, y_train, x_val, y_val, x_test, y_test,
    class_names, groups, groups_val and groups_test; and remarks on the other names and keys.

  Raises:
    ValueError: there are no training examples or labels (if `held_out`, no such examples), two keys
      have one role, a key that begins with x_ or y_ has none (a misspelt split would otherwise be
      ignored), or there is no key `group`.
  """
  roles = _roles()
  named = 'groups' if group is None else group
  of_groups = {} if named == NO_GROUPS else _roles_of_groups(_plain(named))
  if group not in (None, NO_GROUPS) and not of_groups.keys() & set(map(_plain, keys)):
    raise ValueError(f'group={group!r}: {path} has no such key, only {_listed(keys)}')
  roles |= of_groups
  found: dict[str, str] = {}
  if named in keys and group not in (None, NO_GROUPS):
    found['groups'] = named
  rest = []
  is_named_as_usual = {'x_train', 'y_train'} <= set(keys)
  for key in (key for key in keys if key != found.get('groups')):
    plain = _plain(key)
    is_split = plain.startswith(('x_', 'y_'))
    role = roles.get(plain)
    if role is None and is_split:
      close = difflib.get_close_matches(plain, roles, 1)
      known = ', '.join(f'{letter}_{split}' for split in _SPLITS for letter in 'xy')
      meant = f'; it may mean {close[0]!r}' if close else ''
      raise ValueError(f'{path}: unknown key {key!r}; known: {known}{meant}')
    is_apart = is_split or plain == role or (role or '').startswith('groups')
    if role is None or (is_named_as_usual and not is_apart):
      rest.append(key)
    elif role in found:
      raise ValueError(
        f'{path}: keys {found[role]!r} and {key!r} are both {role}; must be one of them'
      )
    else:
      found[role] = key
  if held_out:
    kept = _held_out(path, found, keys)
    read = f'read {", ".join(kept.values())}'
    left = ', '.join(key for key in keys if key not in kept.values())
    return kept, (f'{read}; keys not read: {left}' if left else read,)
  for role, what in (('x_train', 'training examples'), ('y_train', 'their labels')):
    if role not in found:
      raise ValueError(f'{path}: no key for {what}, only {_listed(keys)}; must have {_NEEDS}')
  return found, _remarks(found, rest, hints=group is None and 'groups' not in found)


def _plain(key: str) -> str:
  return key.casefold().replace('-', '_')


def _roles_of_groups(named: str) -> dict[str, str]:
  """What each key is that begins or ends with the key of the groups, in lower case."""
  found = {named: 'groups'}
  for split in ('val', 'test'):
    for word in _SPLITS[split]:
      found |= dict.fromkeys((f'{named}_{word}', f'{word}_{named}'), f'groups_{split}')
  return found


def _held_out(path: object, found: Mapping[str, str], keys: Sequence[str]) -> dict[str, str]:
  """The keys of the examples that a trained network is evaluated on. Raises ValueError."""
  splits = [s for s in _SPLITS if f'x_{s}' in found or f'y_{s}' in found]
  if 'test' not in splits and splits != ['train']:
    raise ValueError(
      f'{path}: no key for the examples, only {_listed(keys)}; must have x_test and y_test, or '
      f'alone {_EXAMPLES[0]} and {_LABELS[0]}'
    )
  split = 'test' if 'test' in splits else 'train'
  of_groups = 'groups' if split == 'train' else 'groups_test'
  wanted = (f'x_{split}', f'y_{split}', 'class_names', of_groups)
  kept = {role: found[role] for role in wanted if role in found}
  if splits == ['test'] and 'groups' in found:  # those of the only examples
    kept.setdefault('groups_test', found['groups'])
  return kept


def _remarks(found: Mapping[str, str], rest: Sequence[str], *, hints: bool) -> tuple[str, ...]:
  """Remarks for the user on the keys: unusual names, and keys that are not read."""
  renamed = [f'{key} as {role}' for role, key in found.items() if key != role]
  remarks = [f'read {", ".join(renamed)}'] if renamed else []
  if rest:
    like = [key for key in rest if key.casefold().split('_')[0].rstrip('s') in _MAY_BE_GROUPS]
    hint = f'; --group={like[0]} if it says what must lie in one split' if like and hints else ''
    remarks.append(f'keys not read: {", ".join(rest)}{hint}')
  return tuple(remarks)


def _listed(keys: Sequence[str]) -> str:
  return ', '.join(sorted(keys)) or 'no keys'

"""Reading of JSON and YAML that people write: a key that comes twice is refused.

Python's readers keep the last value of such a key without a word. In a file that somebody edited, a
copied line would then exchange a name or a setting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import yaml


class RepeatedKeyError(ValueError):
    """A key comes twice in one object; its text is the reason for a sentence."""

    def __init__(self, key: object) -> None:
        super().__init__(f"the key {key!r:.60} comes twice")
        self.key = key


def unique_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, for `json.loads(..., object_pairs_hook=unique_object)`.

    Raises:
        RepeatedKeyError: a key comes twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise RepeatedKeyError(next(key for key, count in counts.items() if count > 1))
    return found


class _Loader(yaml.SafeLoader):
    """YAML's safe loader; raises RepeatedKeyError for a key that comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; keys that are merged from another one (`<<`) may come again."""
        keys = [one.value for one, _ in node.value if isinstance(one, yaml.ScalarNode)]
        for place, key in enumerate(keys):
            if key != "<<" and key in keys[:place]:
                raise RepeatedKeyError(key)
        return super().construct_mapping(node, deep)


def unique_yaml(text: str) -> Any:
    """Return the value in YAML text.

    Raises:
        RepeatedKeyError: a key comes twice.
        yaml.YAMLError: another content than YAML.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one

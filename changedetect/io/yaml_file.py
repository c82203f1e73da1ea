"""Reading YAML as plain data: no tags, no aliases, no repeated keys, bounded size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from changedetect.errors import ConfigError

MAX_BYTES = 4_000_000


class _StrictLoader(yaml.SafeLoader):
    """Safe loading that also refuses what makes a small file mean something large or ambiguous."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event: Any = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"aliases (*{event.anchor}) are not allowed", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value == "<<" or not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "keys must be plain text", key_node.start_mark)
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> Any:
    """Return the content of a YAML file as mappings, lists and scalars.

    Raises
    ------
    ConfigError
        The file is missing, unreadable, too large, not UTF-8 or not plain YAML (with line and column).
    """
    try:
        if path.is_dir():
            raise ConfigError("is a folder, not a YAML file", where=str(path))
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError("is too large", where=str(path), found=f"{path.stat().st_size} bytes", needed=MAX_BYTES)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path), hint=f"ls {path.parent}") from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(path)) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Return YAML text as plain data; `where` names it in errors."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        raise ConfigError(f"is not plain YAML: {error.problem}", where=place) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"is not plain YAML: {type(error).__name__}", where=where) from None

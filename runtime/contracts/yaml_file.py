"""A YAML file read into a frozen type: what is wrong is named by file, line, key, value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

import msgspec

from runtime.contracts.errors import ConfigError

if TYPE_CHECKING:
    import yaml

Key = str | int
T = TypeVar("T", bound=msgspec.Struct)

_MOST_VALUES = 100_000
_NAMED = re.compile(r"([a-z_]\w*(?:\.\w+)*): ")
_NUMBER_WITHOUT_POINT = re.compile(r"[-+]?\d+[eE][-+]?\d+")


def parse_yaml(text: str, into: type[T], where: str, check: Callable[[T], None] | None = None) -> T:
    """The file's values as an `into`; unknown and repeated keys are refused.

    A ValueError of a type's own checks, or of `check`, may begin with the dotted key that it is about
    (`outputs.0.scale: …`): it is found in the file.

    Args:
        text: the file.
        into: a frozen msgspec Struct whose defaults stand for what the file leaves out.
        where: the file's name in errors.
        check: raises ValueError where the whole of it makes no sense.

    Raises:
        ConfigError: `file:line: key = value: what is allowed`.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{where}: this is no YAML: {error}") from error
    try:
        if root is not None:
            if _size(root, {}) > _MOST_VALUES:
                raise ConfigError(f"{where}: its aliases (*name) stand for more than {_MOST_VALUES} values")
            _refuse_duplicate_keys(root, where)
    except RecursionError:
        raise ConfigError(f"{where}: a list or mapping in it holds itself, or goes too deep; write it out") from None
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, KeyError) as error:
        # PyYAML raises what its own conversions do: of a date without such a day, of `!!bool what`.
        raise ConfigError(f"{where}: this is no YAML: {error}") from error
    try:
        value = msgspec.convert({} if values is None else values, into)
        if check is not None:
            check(value)
        return value
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(_explain(str(error), root, into, where)) from error


def as_yaml(value: msgspec.Struct) -> str:
    """The value as YAML, defaults included."""
    import yaml

    return str(yaml.safe_dump(msgspec.to_builtins(value), sort_keys=False))


def _explain(problem: str, root: yaml.Node | None, into: type[msgspec.Struct], where: str) -> str:
    """`file:line: key = value: what is allowed`, from msgspec's account of a problem."""
    what, _, path = problem.partition(" - at `$")
    keys: list[Key] = [
        int(index) if index else key for key, index in re.findall(r"\.([A-Za-z_]\w*)|\[(\d+)\]", path.rstrip("`"))
    ]
    unknown = re.search(r"unknown field `(.+?)`", what)
    missing = re.search(r"missing required field `(.+?)`", what)
    if unknown:
        keys.append(unknown.group(1))
    named = _NAMED.match(what)
    if named:
        keys += [int(key) if key.isdigit() else key for key in named.group(1).split(".")]
    line, value = _find(root, keys)
    dotted = ".".join(str(key) for key in keys)
    if unknown:
        return f"{where}:{line}: unknown key {dotted!r}; known here: {', '.join(_known_keys(into, keys[:-1]))}"
    if missing:
        return f"{where}:{line}: {dotted + ' has' if dotted else 'the file has'} no key {missing.group(1)!r}; add it"
    shown = "" if value is None else f" = {value}"
    if what.startswith("Invalid enum value"):
        what = f"must be one of {', '.join(_choices(into, keys))}"
    elif value is not None and "got `str`" in what and _NUMBER_WITHOUT_POINT.fullmatch(value):
        what += f" (YAML takes {value} for text: write {re.sub('[eE]', '.0e', value)})"
    return f"{where}:{line}: {dotted or 'the file'}{shown}: {what[named.end() :] if named else what}"


def _find(node: Any, keys: list[Key]) -> tuple[int, str | None]:
    """The line (from 1) and the text of the value at `keys`, or of the nearest that exists above it."""
    line, value = 1, None
    for key in keys:
        if isinstance(key, int):
            items = node.value if isinstance(getattr(node, "value", None), list) else []
            found = items[key] if key < len(items) else None
            line = found.start_mark.line + 1 if found is not None else line
        else:
            pairs = node.value if node is not None and node.id == "mapping" else []
            name, found = next(((k, v) for k, v in pairs if k.value == key), (None, None))
            line = name.start_mark.line + 1 if name is not None else line
        if found is None:
            return line, None
        node, value = found, str(found.value) if found.id == "scalar" else None
    return line, value


def _known_keys(into: type[msgspec.Struct], path: list[Key]) -> tuple[str, ...]:
    return tuple(name for struct in _structs(_declared(into, path)) for name in struct.__struct_fields__)


def _choices(into: type[msgspec.Struct], path: list[Key]) -> tuple[str, ...]:
    """The values of the Literal that is declared at `path`, and the names of the types that stand beside it."""
    return tuple(dict.fromkeys(_values(_declared(into, path))))


def _values(declared: Any) -> Iterator[str]:
    for argument in get_args(declared):
        if get_args(argument):
            yield from _values(argument)
        elif isinstance(argument, type):
            if argument is not type(None):
                yield "a mapping" if issubclass(argument, msgspec.Struct) else argument.__name__
        elif not isinstance(argument, msgspec.Meta):
            yield str(argument)


def _declared(into: type[msgspec.Struct], path: list[Key]) -> Any:
    """The type that is declared at `path`."""
    declared: Any = into
    for key in path:
        if isinstance(key, int):
            [declared, *_] = [get_args(one)[0] for one in _members(declared) if get_origin(one) is tuple]
        else:
            [declared, *_] = [
                field.type
                for struct in _structs(declared)
                for field in msgspec.structs.fields(struct)
                if field.name == key
            ]
    return declared


def _structs(declared: Any) -> list[type[msgspec.Struct]]:
    return [one for one in _members(declared) if isinstance(one, type) and issubclass(one, msgspec.Struct)]


def _members(declared: Any) -> list[Any]:
    """What a value of the declared type may be: the members of a union, Annotated taken off."""
    if get_origin(declared) is Annotated:
        return _members(get_args(declared)[0])
    if get_origin(declared) in (None, tuple):
        return [declared]
    return [member for argument in get_args(declared) for member in _members(argument)]


def _size(node: Any, known: dict[int, int]) -> int:
    """How many values a node stands for, its aliases written out: each may double what the one before it does."""
    if id(node) not in known:
        parts = [part for pair in node.value for part in pair] if node.id == "mapping" else node.value
        known[id(node)] = 1 if node.id == "scalar" else 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def _refuse_duplicate_keys(node: Any, where: str) -> None:
    """YAML forbids a key twice; PyYAML lets the last one win in silence."""
    if node.id == "mapping":
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.id != "scalar":
                raise ConfigError(f"{where}:{line}: a key is a name, not a list or a mapping")
            if key.value in seen:
                raise ConfigError(
                    f"{where}:{line}: key {key.value!r} stands on line {seen[key.value]} already; remove one"
                )
            seen[key.value] = line
            _refuse_duplicate_keys(value, where)
    elif node.id == "sequence":
        for value in node.value:
            _refuse_duplicate_keys(value, where)

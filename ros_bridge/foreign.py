"""Messages of another library by the names of their fields: rosbags' have those of ROS, as ours do."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ros_bridge.messages import M
from runtime.contracts.errors import SourceError


def taken_over(kind: type[M], foreign: Any) -> M:
    """Our message with the values of another library's. Fields that ours lacks are left (`seq` of ROS 1's Header).

    Raises SourceError where a field is missing or holds something else.
    """
    try:
        return _taken_over(kind, foreign)
    except (AttributeError, TypeError, ValueError) as error:
        raise SourceError(f"a {type(foreign).__name__} is no {kind.ROS_TYPE}: {error}") from error


def _taken_over(kind: type[M], foreign: Any) -> M:
    hints = get_type_hints(kind, include_extras=True)
    return kind(*[_value(hints[field.name], getattr(foreign, field.name)) for field in fields(kind)])  # type: ignore[arg-type]


def _value(hint: Any, value: Any) -> Any:
    if get_origin(hint) is Annotated:
        plain = get_args(hint)[0]
        if get_origin(plain) is tuple:
            return tuple(float(one) for one in value)
        return plain(value)
    if hint is str:
        return str(value)
    if hint is bytes:
        return value.tobytes() if hasattr(value, "tobytes") else bytes(value)
    if get_origin(hint) is tuple:
        return tuple(_taken_over(get_args(hint)[0], one) for one in value)
    return _taken_over(hint, value)

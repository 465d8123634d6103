"""What our code uses of TensorRT, read from its syntax tree: so no list can go stale.

A value of TensorRT's is known by its annotation with a class that `bindings` names, the module by the name `trt`.
Run as a script inside of an environment with bindings, it holds a list of uses against them and prints what is wrong.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MODULE = "trt"
CLASSES_OF_VALUES = ("Dims", "DataType")  # passed on and read as numbers, never kept


@dataclass(frozen=True)
class Use:
    """One use: `owner` a class, or "" for the module; `path` what is taken from it, dotted."""

    where: str
    owner: str
    path: str
    call: tuple[int, tuple[str, ...]] | None = None  # number of positional arguments, names of the others
    set: bool = False
    kept_as: str | None = None  # the annotation of the variable that takes a call's answer; "" where it has none
    overrides: tuple[str, ...] | None = None  # the parameters of a method that a subclass defines


def class_names(bindings: Path) -> tuple[str, ...]:
    """The classes that `bindings` names: its `Name = Any`."""
    tree = ast.parse(bindings.read_text(encoding="utf-8"))
    return tuple(
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Any"
    )


def uses_of(folder: Path) -> list[Use]:
    """Every use in the modules of a package."""
    names = class_names(folder / "bindings.py")
    return [use for path in sorted(folder.glob("*.py")) for use in _uses(path, names)]


def _uses(path: Path, names: tuple[str, ...]) -> Iterator[Use]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from _scope(path, node, names, {})
        elif isinstance(node, ast.ClassDef):
            fields = {
                f"self.{target.attr}": annotation
                for inner in ast.walk(node)
                if isinstance(inner, ast.AnnAssign) and isinstance(target := inner.target, ast.Attribute)
                if (annotation := ast.unparse(inner.annotation)) in names
            }
            yield from _scope(path, node, names, fields)


def _scope(path: Path, scope: ast.AST, names: tuple[str, ...], fields: dict[str, str]) -> Iterator[Use]:
    known = dict(fields)
    for node in ast.walk(scope):
        if isinstance(node, ast.arg) and node.annotation is not None:
            known[node.arg] = ast.unparse(node.annotation)
        elif isinstance(node, ast.AnnAssign):
            known[ast.unparse(node.target)] = ast.unparse(node.annotation)
    known = {name: annotation for name, annotation in known.items() if annotation in names}
    parents = {child: node for node in ast.walk(scope) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(scope):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                if ast.unparse(base).startswith(f"{MODULE}."):
                    yield from _overrides(where, node, ast.unparse(base).removeprefix(f"{MODULE}."))
        if not isinstance(node, ast.Attribute) or isinstance(parents.get(node), ast.Attribute):
            continue
        text = ast.unparse(node)
        owner = next((name for name in (MODULE, *known) if text.startswith(f"{name}.")), None)
        if owner is None:
            continue
        rest = text.removeprefix(f"{owner}.")
        if not re.fullmatch(r"[\w.]+", rest):
            continue  # taken from a call's answer: the call is seen for itself, and held to give no class of TensorRT's
        yield _use(where, "" if owner == MODULE else known[owner], rest, node, parents)


def _use(where: str, owner: str, path: str, node: ast.Attribute, parents: dict[ast.AST, ast.AST]) -> Use:
    call: tuple[int, tuple[str, ...]] | None = None
    kept_as = None
    parent = parents.get(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        call = (len(parent.args), tuple(keyword.arg or "" for keyword in parent.keywords))
        taker = parents.get(parent)
        if isinstance(taker, ast.AnnAssign):
            kept_as = ast.unparse(taker.annotation)
        elif isinstance(taker, ast.Assign | ast.Attribute):
            kept_as = ""
    return Use(where, owner, path, call, isinstance(node.ctx, ast.Store), kept_as)


def _overrides(where: str, node: ast.ClassDef, base: str) -> Iterator[Use]:
    yield Use(where, "", base)
    for method in node.body:
        if isinstance(method, ast.FunctionDef):
            parameters = tuple(argument.arg for argument in method.args.args if argument.arg != "self")
            yield Use(where, base, method.name, overrides=parameters)


# --- inside of an environment with bindings ---


def problems(trt: Any, uses: list[dict[str, Any]]) -> list[str]:
    """What of the uses is not so in this module."""
    return [f"{use['where']}: {problem}" for use in uses if (problem := _problem(trt, Use(**use)))]


def _problem(trt: Any, use: Use) -> str:
    found = getattr(trt, use.owner, None) if use.owner else trt
    for name in use.path.split("."):
        if not hasattr(found, name):
            return f"there is no {use.owner or MODULE}.{use.path}"
        found = getattr(found, name)
    if use.overrides is not None:
        accepted = [tuple(name for name, _ in parameters) for parameters, _ in signatures(found)]
        return "" if tuple(use.overrides) in accepted else f"{use.path} takes {accepted}, we define {use.overrides}"
    if isinstance(found, property):
        if use.call is not None:
            return f"{use.path} is a property, we call it"
        return f"{use.path} cannot be set" if use.set and found.fset is None else ""
    if use.set:
        return f"{use.path} is no property, we set it"
    return _problem_of_call(trt, use, found) if use.call is not None else ""


def _problem_of_call(trt: Any, use: Use, found: Any) -> str:
    assert use.call is not None
    constructed = isinstance(found, type)
    known = signatures(found.__init__ if constructed else found)
    if not known:
        return "" if not use.owner else f"{use.path} has no signature to hold against"
    positional, keywords = use.call
    positional -= use.path.endswith(".__init__")  # called on the class, with the object itself
    fitting = [answer for parameters, answer in known if accepts(parameters, positional, tuple(keywords))]
    if not fitting:
        return f"{use.path} takes {[parameters for parameters, _ in known]}, we give {use.call}"
    answers = {found.__name__} if constructed else {_class_of(answer) for answer in fitting}
    kept = {answer for answer in answers if isinstance(getattr(trt, answer, None), type)} - set(CLASSES_OF_VALUES)
    if use.kept_as is not None and kept and use.kept_as not in kept:
        return f"{use.path} gives {kept}, and is kept as {use.kept_as or 'something without an annotation'}"
    if use.kept_as and not kept:
        return f"{use.path} gives {answers}, and is kept as {use.kept_as}"
    return ""


def _class_of(annotation: str) -> str:
    name = re.split(r"[.:]+", annotation)[-1]
    return {"IParserError": "ParserError"}.get(name, name)


def signatures(function: Any) -> list[tuple[list[tuple[str, bool]], str]]:
    """Every overload in a pybind11 docstring: its parameters with whether they may be left out, and its answer."""
    found = []
    name = re.escape(getattr(function, "__name__", ""))
    for line in (function.__doc__ or "").splitlines():
        match = re.match(rf"(?:\d+\. )?{name}\((self: .*|)\) -> (.+)$", line.strip())
        if match:
            parts = _split(match.group(1))[1:]
            found.append(([(part.partition(":")[0].strip(), "=" in part) for part in parts], match.group(2).strip()))
    return found


def accepts(parameters: list[tuple[str, bool]], positional: int, keywords: tuple[str, ...]) -> bool:
    """Whether a signature takes so many arguments and these keywords."""
    given = [name for name, _ in parameters[:positional]] + list(keywords)
    known = {name for name, _ in parameters}
    required = {name for name, optional in parameters if not optional}
    return positional <= len(parameters) and len(set(given)) == len(given) and required <= set(given) <= known


def _split(text: str) -> list[str]:
    """At the commas that are in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def main() -> None:
    """Uses as JSON on standard input; problems as JSON on standard output."""
    tensorrt = importlib.import_module("tensorrt")
    json.dump({"version": tensorrt.__version__, "problems": problems(tensorrt, json.load(sys.stdin))}, sys.stdout)


def as_json(uses: list[Use]) -> str:
    """For the script's standard input."""
    return json.dumps([asdict(use) for use in uses])


if __name__ == "__main__":
    main()

"""Definitions of several modules, with all that they need, joined in few files that import nothing of this package.

What is needed is found name by name: a definition brings those that it mentions, from its own module or from where that
module imports them relatively. Modules stand in the order in which they import each other. A class travels with
the methods that are not for another structure alone (`travels_with`).
"""

import ast
import builtins
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

from robovlms.configuration.package_version import VERSION

GENERATED = "# Generated from robovlms "  # how the first line of generated files begins, in all versions
HEADER = f"{GENERATED}{VERSION}; do not edit.\n"
LINE_LENGTH = 119


class RemoteCodeError(RuntimeError):
    """A module cannot be shipped with a checkpoint; the message says why and what to do."""


@dataclass(frozen=True)
class Import:
    """A name that comes from a library: `from module import name as alias`, or `import module as alias` without a name."""

    module: str
    name: str | None
    alias: str | None

    def statement(self) -> str:
        renamed = f" as {self.alias}" if self.alias else ""
        return f"import {self.module}{renamed}" if self.name is None else f"{self.name}{renamed}"


@dataclass(frozen=True)
class Relative:
    """A name that comes from another module of the package."""

    module: str
    name: str


@dataclass
class Definition:
    """A statement of a module that binds names: its lines with the comments above it, and the names that it mentions."""

    text: str
    names: set[str]
    mentions: set[str]
    is_block: bool


@dataclass
class Source:
    """A module, taken apart."""

    name: str
    docstring: str | None
    definitions: list[Definition] = field(default_factory=list)
    imports: dict[str, Import | Relative] = field(default_factory=dict)
    imported_modules: list[str] = field(default_factory=list)
    effects: list[int] = field(default_factory=list)  # lines that do something and define nothing

    def definition(self, name: str) -> int | None:
        """Return the place of what defines `name`."""
        return next((place for place, one in enumerate(self.definitions) if name in one.names), None)


Reader = Callable[[str], Source]


def join_definitions(
    wanted: Iterable[tuple[str, str]], file_of: Callable[[str], str], docstrings: dict[str, str], structure: str = ""
) -> dict[str, str]:
    """File name, without its ending, -> source.

    Args:
        wanted: (module, name) of what the files must define.
        file_of: into which file a module goes; files may import from each other in one direction only.
        docstrings: of the files.
        structure: of the VLA.

    Raises:
        RemoteCodeError: for what cannot be joined, naming the modules: one name for two things, relative imports that
            rename or stand below a module's top, statements that do something when a module is imported, methods that
            stay behind and are called.
    """
    wanted, read = list(wanted), partial(read_source, structure=structure)
    needed = _needed(wanted, read)
    files: dict[str, list[str]] = {}
    for module in _in_import_order(dict.fromkeys(module for module, _ in wanted), needed, read):
        files.setdefault(file_of(module), []).append(module)
    return {file: _file(file, modules, needed, file_of, docstrings[file], read) for file, modules in files.items()}


def _needed(wanted: list[tuple[str, str]], read: Reader) -> dict[str, set[int]]:
    """Module -> places of the definitions that are wanted, and of those that they mention."""
    needed: dict[str, set[int]] = {}
    waiting = list(wanted)
    while waiting:
        source = read(waiting[-1][0])
        module, name = waiting.pop()
        place = source.definition(name)
        if place is None:
            raise RemoteCodeError(f"{module} defines no {name!r} at its top.")
        if source.effects:
            raise RemoteCodeError(
                f"{module}, line {source.effects[0]}: a module of which something travels may only define; move what it "
                "does into a function."
            )
        if place in needed.setdefault(module, set()):
            continue
        needed[module].add(place)
        for mentioned in sorted(source.definitions[place].mentions):
            if source.definition(mentioned) is not None:
                waiting.append((module, mentioned))
            elif isinstance(origin := source.imports.get(mentioned), Relative):
                waiting.append(defining_module(origin, read))
    return needed


def defining_module(origin: Relative, read: Reader) -> tuple[str, str]:
    """Return where a name is defined, and how it is called there: packages pass on what their modules define."""
    source = read(origin.module)
    if source.definition(origin.name) is None and isinstance(passed_on := source.imports.get(origin.name), Relative):
        return defining_module(passed_on, read)
    return origin.module, origin.name


def _in_import_order(modules: Iterable[str], needed: dict[str, set[int]], read: Reader) -> list[str]:
    """The needed modules, each after those that it imports."""
    ordered: list[str] = []
    seen: set[str] = set()

    def visit(module: str) -> None:
        if module in seen:
            return
        seen.add(module)
        for imported in read(module).imported_modules:
            visit(imported)
        if module in needed:
            ordered.append(module)

    for module in modules:
        visit(module)
    return ordered


def _file(
    file: str,
    modules: list[str],
    needed: dict[str, set[int]],
    file_of: Callable[[str], str],
    docstring: str,
    read: Reader,
) -> str:
    """The source of one file."""
    bound: dict[str, tuple[str, object]] = {}  # name -> the module that binds it, and to what
    imports: set[Import] = set()
    from_files: dict[str, set[str]] = {}
    parts = []
    for module in modules:
        source = read(module)
        chosen = [source.definitions[place] for place in sorted(needed[module])]
        for definition in chosen:
            for name in definition.names:
                _bind(bound, name, module, (module, name))
            for name in definition.mentions & source.imports.keys():
                origin = source.imports[name]
                if isinstance(origin, Import):
                    imports.add(origin)
                    _bind(bound, name, module, origin)
                    continue
                owner, there = defining_module(origin, read)
                if there != name:
                    raise RemoteCodeError(
                        f"{module} imports {there!r} of {owner} as {name!r}: import it under its own name."
                    )
                if (other := file_of(owner)) != file:
                    from_files.setdefault(other, set()).add(name)
                _bind(bound, name, module, (owner, name))
        parts.append(_heading(source, chosen[0]) + _spaced(chosen))
    text = f'{HEADER}"""{docstring}"""\n\n' + "\n\n".join(_import_blocks(imports, from_files))
    # Examples show the making of things, which stays in the package.
    joined = re.sub(r'\n\n    Example:\n(?: {8}.*\n)+(?=    """)', "\n", "\n\n\n".join(parts))
    return text + "\n\n" + joined + "\n"


def _bind(bound: dict[str, tuple[str, object]], name: str, module: str, value: object) -> None:
    other, there = bound.setdefault(name, (module, value))
    if there != value:
        raise RemoteCodeError(
            f"{name!r} is one thing in {other} and another in {module}, whose code is joined in one file: rename one."
        )


def _heading(source: Source, before: Definition) -> str:
    """Which module follows, and what it says of itself, as a comment."""
    lines = [source.name.partition(".")[2], *(source.docstring or "").splitlines()]
    comment = "\n".join(f"# {line}".rstrip() for line in lines)
    return comment + ("\n\n\n" if before.is_block else "\n\n")


def _spaced(definitions: list[Definition]) -> str:
    """The definitions, functions and classes two lines apart."""
    text = definitions[0].text
    for before, after in pairwise(definitions):
        text += ("\n\n\n" if before.is_block or after.is_block else "\n") + after.text
    return text


def _import_blocks(imports: set[Import], from_files: dict[str, set[str]]) -> Iterator[str]:
    """Import statements, sorted: the standard library's, others', those of files beside this one."""
    for standard in (True, False):
        block = [one for one in imports if (one.module.split(".")[0] in sys.stdlib_module_names) is standard]
        lines = sorted(one.statement() for one in block if one.name is None)
        for module in sorted({one.module for one in block if one.name is not None}, key=str.lower):
            names = {one.statement() for one in block if one.module == module and one.name is not None}
            renamed = {name for name in names if " as " in name}
            statements = [{name} for name in renamed] + ([names - renamed] if names - renamed else [])
            statements.sort(key=lambda names: min(map(_place, names)))
            lines += [_from_import(module, names) for names in statements]
        if lines:
            yield "\n".join(lines)
    if from_files:
        yield "\n".join(_from_import(f".{file}", names) for file, names in sorted(from_files.items()))


def _place(name: str) -> tuple[bool, bool, str]:
    """Constants stand before classes, these before functions."""
    return not (name.isupper() and len(name) > 1), not name[0].isupper(), name


def _from_import(module: str, names: set[str]) -> str:
    """In several lines where one is too short."""
    ordered = sorted(names, key=_place)
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= LINE_LENGTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"


@cache
def read_source(module: str, structure: str) -> Source:
    """Take a module apart, as it travels with a structure."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise RemoteCodeError(f"{module} has no source file.")
    text = _travelling(module, Path(spec.origin).read_text(encoding="utf-8"), structure)
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    tree, lines = ast.parse(text), text.splitlines()
    source = Source(module, ast.get_docstring(tree))
    for statement in tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            _add_import(source, statement, package)
        elif _is_docstring(statement):
            if source.definitions:  # of the constant above it
                source.definitions[-1].text += "\n" + "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            continue
        elif isinstance(statement, (ast.For, ast.While, ast.With, ast.Expr)):
            source.effects.append(statement.lineno)
        else:
            source.definitions.append(_definition(module, statement, lines))
    return source


def _travelling(module: str, text: str, structure: str) -> str:
    """The source of a module without the methods that do not travel with a structure, and without their marks."""
    lines = text.splitlines()
    for cls in reversed([statement for statement in ast.parse(text).body if isinstance(statement, ast.ClassDef)]):
        methods = [statement for statement in cls.body if isinstance(statement, ast.FunctionDef)]
        marked = [(method, mark) for method in methods if (mark := _mark(method)) is not None]
        left = {method.name for method, mark in marked if structure not in map(ast.literal_eval, mark.args)}
        for node in (node for method in methods if method.name not in left for node in ast.walk(method)):
            if not isinstance(node, ast.Attribute) or node.attr not in left:
                continue
            if ast.unparse(node.value) in ("self", "cls", "super()"):
                raise RemoteCodeError(
                    f"{module}, line {node.lineno}: {cls.name}.{node.attr} does not travel with {structure!r}."
                )
        for method, mark in reversed(marked):
            if method.name in left:
                del lines[mark.lineno - 1 - (not lines[mark.lineno - 2]) : method.end_lineno]
            else:
                del lines[mark.lineno - 1 : mark.end_lineno]
    return "\n".join(lines)


def _mark(method: ast.FunctionDef) -> ast.Call | None:
    """The `travels_with` above a method."""
    calls = (one for one in method.decorator_list if isinstance(one, ast.Call))
    return next((call for call in calls if ast.unparse(call.func) == "travels_with"), None)


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _add_import(source: Source, statement: ast.Import | ast.ImportFrom, package: str) -> None:
    for alias in statement.names:
        name = alias.asname or alias.name
        if isinstance(statement, ast.Import):
            source.imports[name.split(".")[0]] = Import(alias.name, None, alias.asname)
        elif not statement.level:
            source.imports[name] = Import(str(statement.module), alias.name, alias.asname)
        elif statement.module is None:  # registers siblings
            source.imports[name] = Relative(importlib.util.resolve_name(f".{alias.name}", package), name)
        else:
            target = importlib.util.resolve_name("." * statement.level + statement.module, package)
            source.imports[name] = Relative(target, alias.name)
            if target not in source.imported_modules:
                source.imported_modules.append(target)


def _definition(module: str, statement: ast.stmt, lines: list[str]) -> Definition:
    """A statement with the comments right above it."""
    decorators = getattr(statement, "decorator_list", [])
    start = min([statement.lineno, *(one.lineno for one in decorators)]) - 1
    while start and lines[start - 1].startswith("#"):
        start -= 1
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        names = {statement.name}
    else:
        names = {
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        for node in ast.walk(statement):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names |= {alias.asname or alias.name for alias in node.names}
    mentions = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise RemoteCodeError(f"{module}, line {node.lineno}: relative imports must stand at the top of a module.")
        if isinstance(node, ast.Name):
            mentions.add(node.id)
    mentions -= names | set(dir(builtins))
    text = "\n".join(lines[start : statement.end_lineno])
    return Definition(text, names, mentions, isinstance(statement, (ast.FunctionDef, ast.ClassDef)))

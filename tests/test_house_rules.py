"""What no module does, whoever writes it: SQL as text, unsafe loading, machine paths, endless modules.

Each rule is a function over source text and is tried on planted mistakes, so that a rule that finds nothing is known to
look. Ruff knows some of these rules too; here they cannot be silenced by a comment.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "airflow_monitoring_provider"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 400

# The one place where SQL text is wanted: a user's own query, wrapped as a subquery.
FREE_QUERY = "intake/sql.py"
SQL_TEXT = {"text", "literal_column", "DDL", "TextClause"}
EXECUTES = {"exec_driver_sql", "execute", "executemany", "executescript", "copy"}

UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
UNSAFE_BUILTINS = {"eval", "exec", "compile", "__import__"}
UNSAFE_METHODS = {
    "read_pickle",
    "to_pickle",
    "unsafe_load",
    "full_load",
    "load_all",
    "unsafe_load_all",
    "full_load_all",
}

# Folders of the machines that the project is made on, and home folders. The container's own user is no machine.
# Of root's home only the hidden folders count: "root" is also what tests call the top of a filesystem.
PLACES = ["work/", "home/", "Users/", "opt/pypi", "opt/wheels", r"root/\."]
MACHINE_PATH = re.compile(r"(?<![\w.$}-])/(?:" + "|".join(PLACES) + ")")
CONTAINER_HOME = "/".join(["", "home", "airflow"])
ADDRESS = re.compile(r"(?:https?|file|git\+\w+)://?")


def sql_as_text(source: str, *, free_query: bool = False) -> list[str]:
    """SQL that is not built from SQLAlchemy constructs with bound values, as ``"line 3: what"``."""
    tree = ast.parse(source)
    constants = _constants(tree)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("sqlalchemy."):
                names = {alias.name for alias in node.names} & SQL_TEXT
                found += [f"line {node.lineno}: imports {name}" for name in sorted(names) if not free_query]
            continue
        name, owner = _called(node)
        first = node.args[0] if node.args else None
        if name in SQL_TEXT and owner and not free_query:
            found.append(f"line {node.lineno}: {owner}.{name}()")
        elif name in EXECUTES and first is not None and _is_assembled(first):
            found.append(f"line {node.lineno}: {name}() of assembled text")
        elif name == "exec_driver_sql" and not _is_constant(first, constants):
            found.append(f"line {node.lineno}: {name}() of something that is not a constant")
    return found


def unsafe_loading(source: str) -> list[str]:
    """Ways to run code that came as data, as ``"line 3: what"``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"line {node.lineno}: imports {n}" for n in names if n.partition(".")[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.Call) and _loads_unsafely(node):
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}()")
    return found


def slow_imports(source: str) -> list[str]:
    """Imports that cost a second and can wait: SciPy's distributions at a module's top, Arrow datasets anywhere."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        slow = ("pyarrow.dataset", "scipy.stats") if node in tree.body else ("pyarrow.dataset",)
        found += [
            f"line {node.lineno}: imports {name}"
            for name in names
            if f"{name}.".startswith(tuple(f"{s}." for s in slow))
        ]
    return found


def machine_paths(text: str) -> list[str]:
    """Paths that exist only on the machine somebody worked on."""
    return [match[0] for match in MACHINE_PATH.finditer(text.replace(CONTAINER_HOME, ""))]


def _called(node: ast.Call) -> tuple[str, str]:
    """Name of the function that is called, and of the thing it is an attribute of ("" for a bare name)."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr, ast.unparse(node.func.value)
    return (node.func.id, "") if isinstance(node.func, ast.Name) else ("", "")


def _is_assembled(node: ast.expr) -> bool:
    """Whether a text is put together from parts: an f-string, ``%``, ``+`` or ``.format``."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
        return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(node))
    return isinstance(node, ast.Call) and _called(node)[0] == "format" and _called(node)[1].startswith(("'", '"'))


def _constants(tree: ast.Module) -> set[str]:
    """Names that the module binds at its top to a plain text, and loop variables over tuples of plain texts."""
    names = set()
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and (
            isinstance(statement.value, ast.Constant) or _is_texts(statement.value)
        ):
            names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            over = node.iter
            if _is_texts(over) or (isinstance(over, ast.Name) and over.id in names):
                names.add(node.target.id)
    return names


def _is_texts(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple) and all(isinstance(element, ast.Constant) for element in node.elts)


def _is_constant(node: ast.expr | None, constants: set[str]) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_constant(node.body, constants) and _is_constant(node.orelse, constants)
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in constants)


def _loads_unsafely(node: ast.Call) -> bool:
    name, owner = _called(node)
    if any(
        k.arg == "allow_pickle" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
        for k in node.keywords
    ):
        return True
    if owner == "yaml" and name == "load":
        return True
    if owner in {"pd", "pandas"} and name in {"eval", "read_pickle"}:
        return True
    return (not owner and name in UNSAFE_BUILTINS) or (bool(owner) and name in UNSAFE_METHODS)


def _tracked_texts() -> Iterator[tuple[str, str]]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nobody knows which files are tracked")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file():
            content = path.read_bytes()
            if b"\0" not in content[:8000]:
                yield name, content.decode("utf-8", "replace")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_keeps_the_house_rules(path: Path) -> None:
    source = path.read_text("utf-8")
    free_query = path.relative_to(PACKAGE).as_posix() == FREE_QUERY

    assert [] == sql_as_text(source, free_query=free_query)
    assert [] == unsafe_loading(source)
    assert [] == slow_imports(source)
    if "versions" not in path.parts:  # a migration is one version of the tables, however long
        assert len(source.splitlines()) <= LONGEST_MODULE


def test_no_tracked_file_names_a_path_of_a_machine() -> None:
    assert {} == {name: paths for name, text in _tracked_texts() if (paths := machine_paths(text))}


def test_every_package_of_a_lock_is_pinned_with_hashes_and_no_lock_names_a_place() -> None:
    locks = sorted([*ROOT.glob("*.lock"), *(ROOT / "docker").glob("*.lock")])
    assert len(locks) >= 2
    for lock in locks:
        text = lock.read_text("utf-8")
        packages = [
            entry
            for entry in re.split(r"\n(?=[^\s#])", "\n" + text)
            if not entry.lstrip().startswith("#") and entry.strip()
        ]

        assert [] == ADDRESS.findall(text)
        assert [] == [entry.split()[0] for entry in packages if not re.match(r"[\w.\[\]-]+==\S+ ", entry)]
        assert [] == [entry.split()[0] for entry in packages if "--hash=sha256:" not in entry]
        assert [] == [
            line for line in text.splitlines() if line.strip().startswith("-") and "--hash=sha256:" not in line
        ]


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    optional = [line for lines in extras.values() for line in lines]
    asked = {
        "requirements.lock": [*project["project"]["dependencies"], *groups["test"], *groups["lint"], *optional],
        "requirements-bootstrap.lock": [*groups["bootstrap"], *project["build-system"]["requires"]],
    }

    for lock, lines in asked.items():
        pinned: dict[str, set[str]] = {}  # several versions, where Python versions need different ones
        for name, version in re.findall(r"^([\w.-]+)==(\S+) ", (ROOT / lock).read_text("utf-8"), re.MULTILINE):
            pinned.setdefault(canonicalize_name(name), set()).add(version)
        wanted = [Requirement(line) for line in lines]

        assert [] == [str(w) for w in wanted if not pinned.get(canonicalize_name(w.name))], lock
        assert [] == [str(w) for w in wanted if not all(map(w.specifier.contains, pinned[canonicalize_name(w.name)]))]


@pytest.mark.parametrize(
    "line",
    [
        "sa.text('select 1')",
        "sqlalchemy.text(query)",
        "from sqlalchemy import text",
        "from sqlalchemy.sql.expression import literal_column",
        "sa.literal_column(name)",
        "connection.exec_driver_sql(f'PRAGMA user_version = {version}')",
        "connection.exec_driver_sql('PRAGMA user_version = %d' % version)",
        "connection.exec_driver_sql('PRAGMA user_version = {}'.format(version))",
        "connection.exec_driver_sql(statement)",
        "cursor.execute('DROP TABLE ' + table)",
        "cursor.copy(f'COPY {table} FROM STDIN')",
    ],
)
def test_sql_as_text_is_found(line: str) -> None:
    assert 1 == len(sql_as_text(line))


@pytest.mark.parametrize(
    "source",
    [
        "connection.execute(sa.select(table.c.name))",
        "connection.exec_driver_sql('PRAGMA journal_mode=WAL')",
        "PRAGMA = 'PRAGMA journal_mode=WAL'\ndef f(connection):\n    connection.exec_driver_sql(PRAGMA)",
        "PRAGMAS = ('PRAGMA a', 'PRAGMA b')\nfor pragma in PRAGMAS:\n    connection.exec_driver_sql(pragma)",
        "connection.exec_driver_sql('BEGIN IMMEDIATE' if writes else 'BEGIN')",
        "sa.Column('text', sa.Text())",
        "pattern.text",
    ],
)
def test_sql_from_constructs_is_not_reported(source: str) -> None:
    assert [] == sql_as_text(source)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(expression)",
        "exec(code)",
        "pd.eval(expression)",
        "pandas.read_pickle(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(stream, Loader=yaml.Loader)",
        "yaml.unsafe_load(stream)",
    ],
)
def test_unsafe_loading_is_found(line: str) -> None:
    assert 1 == len(unsafe_loading(line))


def test_slow_imports_are_found() -> None:
    assert 1 == len(slow_imports("from scipy import stats"))
    assert 1 == len(slow_imports("import scipy.stats"))
    assert 1 == len(slow_imports("def f():\n    import pyarrow.dataset as ds"))
    assert [] == slow_imports("import scipy.special\ndef f():\n    from scipy import stats")


@pytest.mark.parametrize(
    "line", ["yaml.safe_load(stream)", "re.compile(pattern)", "json.loads(text)", "np.load(path, allow_pickle=False)"]
)
def test_safe_loading_is_not_reported(line: str) -> None:
    assert [] == unsafe_loading(line)


def test_machine_paths_are_found() -> None:
    assert 3 == len(
        machine_paths("see {0}home/somebody/notes, '{0}root/.cache' and file://{0}opt/wheels/x".format("/"))
    )
    assert [] == machine_paths(f"{CONTAINER_HOME}/.local, /opt/airflow/dags, the API's /api/home/page and a/work/day")

"""The library is that of its sources, and where it is not there NumPy is chosen, never an older library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_monitoring_provider.kernels import library

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a build of the kernels needs, without a library."""
    room = tmp_path / "airflow_monitoring_provider" / "kernels"
    shutil.copytree(ROOT / "airflow_monitoring_provider" / "kernels", room, ignore=shutil.ignore_patterns("*.so"))
    shutil.copy(ROOT / "hatch_build.py", tmp_path)
    return tmp_path


def _build(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "hatch_build.py")]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def _libraries(checkout: Path) -> list[str]:
    return [path.name for path in checkout.rglob("*.so")]


def test_it_is_compiled_here_and_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, "compiled")

    assert library.library() is not None


def test_numpy_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, "numpy")

    assert library.library() is None


def test_another_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, "fortran")

    with pytest.raises(ValueError, match="MONITORING_KERNELS is 'compiled', 'numpy' or not set, and not 'fortran'"):
        library.library()


def test_a_library_that_is_not_there_is_numpy_unless_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(library, "library_path", lambda: tmp_path / "kernels-of-nowhere.so")
    monkeypatch.delenv(library.VARIABLE, raising=False)

    assert library.library() is None
    monkeypatch.setenv(library.VARIABLE, "compiled")
    with pytest.raises(ImportError, match=r"do not load \(.*kernels-of-nowhere\.so.*No such file.*\): build them anew"):
        library.library()


def test_a_library_that_does_not_load_is_numpy_and_says_what_is_wrong_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "kernels-of-nothing.so"
    path.write_bytes(b"no library")
    monkeypatch.setattr(library, "library_path", lambda: path)
    monkeypatch.delenv(library.VARIABLE, raising=False)

    assert library.library() is None
    monkeypatch.setenv(library.VARIABLE, "compiled")
    with pytest.raises(ImportError, match=r"kernels-of-nothing\.so: .+\): build them anew"):
        library.library()


def test_the_sources_name_the_library_and_an_older_one_goes(checkout: Path) -> None:
    assert 0 == _build(checkout).returncode
    assert [library.library_path().name] == _libraries(checkout)
    source = checkout / "airflow_monitoring_provider" / "kernels" / "counting.c"
    source.write_text(source.read_text("utf-8") + "\n/* another one */\n", "utf-8")

    assert 0 == _build(checkout).returncode
    (name,) = _libraries(checkout)
    assert library.library_path().name != name


def test_without_a_compiler_no_library_stays_and_the_build_says_why(checkout: Path) -> None:
    assert 0 == _build(checkout).returncode
    done = _build(checkout, CC="no-such-compiler -O3")

    assert 1 == done.returncode
    assert "there is no C compiler 'no-such-compiler'; CC names another" in done.stderr
    assert [] == _libraries(checkout)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "./broken"])
def test_a_wheel_is_built_without_a_compiler_that_starts_for_any_platform(
    checkout: Path, tmp_path: Path, compiler: str
) -> None:
    (checkout / "broken").write_bytes(b"\x7fELF, and no more of it")  # the system's own error, not one of a program
    (checkout / "broken").chmod(0o755)
    for name in ("pyproject.toml", "README.md", "LICENSE", "airflow_monitoring_provider/__init__.py"):
        shutil.copy(ROOT / name, checkout / name)
    target = tmp_path / "wheels"
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)],
        cwd=checkout, env=os.environ | {"CC": compiler}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "NumPy will count in their place" in done.stdout + done.stderr
    (wheel,) = target.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")

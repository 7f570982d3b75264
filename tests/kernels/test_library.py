"""The library is that of its sources, and where it is not there NumPy is chosen, never an older library."""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from packaging.tags import mac_platforms

from airflow_monitoring_provider.kernels import library

ROOT = Path(__file__).parents[2]
QUICK = {"CFLAGS": "-O0"}  # after the build's own options

_SPEC = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
assert _SPEC is not None
assert _SPEC.loader is not None
BUILD = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(BUILD)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a build of the kernels needs, without a library."""
    room = tmp_path / "airflow_monitoring_provider" / "kernels"
    shutil.copytree(ROOT / "airflow_monitoring_provider" / "kernels", room, ignore=shutil.ignore_patterns("*.so"))
    shutil.copy(ROOT / "hatch_build.py", tmp_path)
    return tmp_path


def _build(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "hatch_build.py")]
    return subprocess.run(command, env=os.environ | QUICK | environment, capture_output=True, text=True, check=False)


def _python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    free = {name: value for name, value in os.environ.items() if name != library.VARIABLE}
    command = [sys.executable, *words]
    return subprocess.run(command, env=free | environment, capture_output=True, text=True, check=False)


def _compiled(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Say that these are what was compiled, and that nobody chose."""
    monkeypatch.setattr(library, "library_paths", lambda: paths)
    monkeypatch.delenv(library.VARIABLE, raising=False)


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
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _compiled(monkeypatch)

    assert library.library() is None
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]
    monkeypatch.setenv(library.VARIABLE, "compiled")
    with pytest.raises(ImportError, match=r"none were compiled from these sources for .*: build them anew"):
        library.library()


def test_a_library_that_does_not_load_is_numpy_and_says_once_what_is_wrong_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / library.library_name(b"no library")
    path.write_bytes(b"no library")
    _compiled(monkeypatch, path)

    assert library.library() is None
    assert library.library() is None
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert f"{path} does not load" in warning
    monkeypatch.setenv(library.VARIABLE, "compiled")
    with pytest.raises(ImportError, match=rf"{path} does not load: .+: build them anew"):
        library.library()


@pytest.mark.parametrize("wrong", ["empty", "half", "another"])
def test_a_library_that_is_not_as_it_was_compiled_is_numpy_and_does_not_end_the_process(
    checkout: Path, tmp_path: Path, wrong: str
) -> None:
    assert 0 == _build(checkout).returncode
    (path,) = checkout.rglob("*.so")
    if wrong == "another":
        (tmp_path / "another.c").write_text("int nothing(void) { return 0; }\n", "utf-8")
        command = [*shlex.split(os.environ.get("CC", "cc")), "-shared", "-fPIC", "-o", str(path), "another.c"]
        subprocess.run(command, cwd=tmp_path, check=True)
    else:  # the loader maps pages that are not there, and the first touch of one is a signal
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 if wrong == "half" else 0])
    room = checkout / "airflow_monitoring_provider" / "kernels" / "library.py"
    ask = f"import runpy; print(runpy.run_path({str(room)!r})['library']())"

    done = _python("-c", ask)
    assert (0, "None\n") == (done.returncode, done.stdout)
    assert f"{path} is not as it was compiled, but cut or overwritten" in done.stderr
    assert "NumPy counts" in done.stderr
    done = _python("-c", ask, **{library.VARIABLE: "compiled"})
    assert 1 == done.returncode
    assert f"wants compiled kernels, but {path} is not as it was compiled" in done.stderr


def test_the_sources_and_its_bytes_name_the_library_and_an_older_one_goes(checkout: Path) -> None:
    assert 0 == _build(checkout).returncode
    (path,) = checkout.rglob("*.so")
    assert library.library_name(path.read_bytes()) == path.name
    source = checkout / "airflow_monitoring_provider" / "kernels" / "counting.c"
    source.write_text(source.read_text("utf-8") + "\n/* another one */\n", "utf-8")

    assert 0 == _build(checkout).returncode
    (name,) = _libraries(checkout)
    assert path.name != name


def test_make_compiles_what_was_changed_or_deleted_or_damaged_and_nothing_else(checkout: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-bootstrap.lock"):
        shutil.copy(ROOT / name, checkout)
    environment = checkout / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', "utf-8")
    (environment / "bin" / "python").chmod(0o755)
    (environment / ".installed").touch()

    def made() -> Path:
        command = ["make", "kernels", f"VENV={environment}"]
        subprocess.run(command, cwd=checkout, env=os.environ | QUICK, check=True, capture_output=True)
        (path,) = checkout.rglob("*.so")
        return path

    first = made()
    content, when = first.read_bytes(), first.stat().st_mtime_ns
    assert (first, when) == (made(), first.stat().st_mtime_ns)
    first.unlink()
    assert (first, content) == (made(), first.read_bytes())
    first.write_bytes(content[:-1])
    assert (first, content) == (made(), first.read_bytes())
    for name in ("counting.c", "validity.h"):
        source = first.parent / name
        source.write_text(source.read_text("utf-8") + "\n/* more */\n", "utf-8")
        assert made() != first
        assert not first.exists()
        first = made()


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


def _mach(processor: int, *commands: tuple[int, int]) -> bytes:
    """The head of a library for macOS: a command that says nothing, then (load command, oldest system)."""
    said = struct.pack("<2I8s", 0x1B, 16, b"a uuid..")
    for command, oldest in commands:
        body = struct.pack("<4I", 1, oldest, 99, 0) if command == 0x32 else struct.pack("<2I", oldest, 99)
        said += struct.pack("<2I", command, 8 + len(body)) + body
    return struct.pack("<8I", 0xFEEDFACF, processor, 0, 6, 1 + len(commands), len(said), 0, 0) + said


def _fat(*slices: tuple[int, bytes]) -> bytes:
    head, body, start = struct.pack(">2I", 0xCAFEBABE, len(slices)), b"", 4096
    for processor, content in slices:
        head += struct.pack(">5I", processor, 0, start + len(body), len(content), 12)
        body += content.ljust(4096, b"\0")
    return head.ljust(start, b"\0") + body


INTEL, ARM, POWER = 0x0100_0007, 0x0100_000C, 0x0100_0012
OLD_INTEL, NEW_ARM = _mach(INTEL, (0x24, 0x000A0D00)), _mach(ARM, (0x32, 0x000B0000))


@pytest.mark.parametrize(
    ("expected", "compiled"),
    [
        ("macosx_11_0_arm64", NEW_ARM),
        ("macosx_14_0_arm64", _mach(ARM, (0x32, 0x000E0200))),  # minor versions count up to 10.16 alone
        ("macosx_10_13_x86_64", OLD_INTEL),
        (
            "macosx_10_13_universal2",
            _fat((INTEL, OLD_INTEL), (ARM, NEW_ARM)),
        ),  # none is older for arm64
        ("macosx_12_0_universal2", _fat((INTEL, OLD_INTEL), (ARM, _mach(ARM, (0x32, 0x000C0300))))),
        ("macosx_11_0_arm64", _fat((ARM, NEW_ARM))),
    ],
)
def test_a_wheel_for_macos_says_what_the_library_was_compiled_for(
    monkeypatch: pytest.MonkeyPatch, expected: str, compiled: bytes
) -> None:
    monkeypatch.setattr("sysconfig.get_platform", lambda: "macosx-10.9-universal2")  # of a Python for both processors

    assert expected == BUILD.platform_tag(compiled)
    assert expected in _accepted(expected)


def _accepted(tag: str) -> set[str]:
    """What an installer takes on a machine as new as the tag, or newer, with a processor that the tag names."""
    processors = {"universal2": ["x86_64", "arm64"]}.get(tag.split("_", 3)[3], [tag.split("_", 3)[3]])
    found = [set(mac_platforms((15, 0), processor)) for processor in processors]
    return set.intersection(*found)


@pytest.mark.parametrize("compiled", [_mach(POWER, (0x32, 0x000B0000)), _fat((INTEL, OLD_INTEL), (POWER, OLD_INTEL))])
def test_a_library_that_no_tag_names_goes_into_no_wheel(compiled: bytes) -> None:
    with pytest.raises(RuntimeError, match=r"no tag names a library for .*0x1000012"):
        BUILD.platform_tag(compiled)


def test_a_library_for_an_unnamed_macos_goes_into_no_wheel() -> None:
    with pytest.raises(RuntimeError, match="does not say for which macOS"):
        BUILD.platform_tag(_mach(ARM))


def test_a_wheel_for_linux_says_the_platform_of_its_python() -> None:
    content = library.library_paths()[0].read_bytes()

    assert sysconfig.get_platform().replace("-", "_") == BUILD.platform_tag(content)

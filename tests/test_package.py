"""Importing the package is quick, and every public name is where it is said to be."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mcm_core


def test_importing_the_package_imports_no_heavy_library() -> None:
    heavy = "{'torch', 'diffusers', 'transformers', 'cv2', 'gradio'}"
    code = f"import mcm_core, sys; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_core_never_imports_gradio() -> None:
    names = "[getattr(mcm_core, name) for name in mcm_core.__all__]"
    code = f"import sys, mcm_core; {names}; assert 'gradio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", mcm_core.__all__)
def test_public_names(name: str) -> None:
    assert getattr(mcm_core, name).__name__ == name
    assert name in dir(mcm_core)


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        mcm_core.nonsense  # noqa: B018

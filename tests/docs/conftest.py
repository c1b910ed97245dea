"""What the tests of pages that programs write share."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def made(request):
    """The program that writes the page of a test file: docs/make_NAME.py for test_NAME.py."""
    name = "make" + request.path.stem.removeprefix("test")
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""The public names: what they are, and that asking for one loads no more than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import explorer


def test_public_names_are_those_of_their_modules() -> None:
    from explorer.build.settings import BuildSettings
    from explorer.bundle import Bundle
    from explorer.decompose import batch_omp
    from explorer.lens import SecondOrderLens

    assert explorer.Bundle is Bundle
    assert explorer.SecondOrderLens is SecondOrderLens
    assert explorer.batch_omp is batch_omp
    assert explorer.BuildSettings is BuildSettings
    assert set(explorer.__all__) <= set(dir(explorer))
    with pytest.raises(AttributeError, match="no attribute 'Bundel'"):
        explorer.Bundel  # noqa: B018


def test_a_bundle_and_the_builds_settings_need_no_torch() -> None:
    code = (
        "import sys; from explorer import Bundle, BuildSettings; "
        "sys.exit(', '.join({'torch', 'open_clip', 'faiss', 'sklearn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

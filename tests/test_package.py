"""The package: what it needs, what an installed one can do, and the container's steps."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import explorer
from benchmarks.app import stop
from explorer.findings.database import FOLDER_VARIABLE, URL_VARIABLE
from explorer.places import BUNDLES_VARIABLE, WHERE_SHIPPED
from explorer.ui.core.access import PASSWORD_VARIABLE

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PATIENCE = 120  # seconds


def listed(file: str) -> set[str]:
    """The requirements of a file."""
    lines = (ROOT / file).read_text("utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def test_one_command_installs_what_the_package_names() -> None:
    pytest_itself = {line for line in EXTRAS["dev"] if re.match(r"pytest\b(?!-)", line)}
    assert len(pytest_itself) == 1
    needed = {*PROJECT["dependencies"], *EXTRAS["postgres"], *pytest_itself}
    assert listed("requirements.txt") == needed
    assert listed("tests/requirements.txt") == {*EXTRAS["dev"]} - pytest_itself
    assert listed("explorer/demo/requirements.txt") == {*EXTRAS["demo"]}
    assert {*EXTRAS["generate"]} < {*EXTRAS["dev"]}


def test_every_place_names_one_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == explorer.__version__
    assert citation["version"] == explorer.__version__


# --- installed ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a folder that the package is installed in, without the repository."""
    place = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    put = [*pip, "install", "--no-deps", "--no-index", "--target", str(place / "site")]
    subprocess.run([*put, str(wheel)], check=True, capture_output=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXPLORER_")}
    path = os.pathsep.join([str(place / "site" / "bin"), os.environ["PATH"]])
    return kept | {"PYTHONPATH": str(place / "site"), "PATH": path}


def run(installed: dict[str, str], folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=installed, capture_output=True, text=True, check=False
    )


def test_the_package_holds_the_library_and_the_app_but_no_bundle(
    installed: dict[str, str], tmp_path: Path, tiny_bundle: Path
) -> None:
    site = Path(installed["PYTHONPATH"])
    files = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    for file in (*(ROOT / "pages").glob("*.py"), ROOT / "app.py", ROOT / ".streamlit/config.toml"):
        assert f"explorer/site/{file.relative_to(ROOT)}" in files
    assert not any("precomputed" in file or file.startswith("tests") for file in files)
    code = f"from explorer import Bundle; print(Bundle.open({str(tiny_bundle)!r}).name)"
    done = run(installed, tmp_path, sys.executable, "-c", code)
    assert done.stdout == "tiny\n", done.stderr


def test_the_command_says_where_the_demo_bundle_is(
    installed: dict[str, str], tmp_path: Path, tiny_model: Path
) -> None:
    asked = ["build", "--model", f"local-dir:{tiny_model}", "--images", "bundle-images"]
    done = run(installed, tmp_path, "second-order-explorer", *asked, "--out", "made")
    assert done.returncode == 2
    assert WHERE_SHIPPED in done.stderr.splitlines()[-1]


def test_the_installed_app_says_where_the_demo_bundle_is(
    installed: dict[str, str], tmp_path: Path
) -> None:
    code = """
from streamlit.testing.v1 import AppTest
from explorer.places import APP
page = AppTest.from_file(str(APP.parent / "pages" / "home.py"), default_timeout=120).run()
print(*(part.proto.body for part in page.get("html")))
"""
    done = run(installed, tmp_path, sys.executable, "-c", code)
    assert WHERE_SHIPPED in done.stdout, done.stderr
    assert str(tmp_path / "precomputed") in done.stdout


# --- the container ------------------------------------------------------------------------------


def steps(name: str) -> list[str]:
    """The last command that an instruction of the Dockerfile gives, in its JSON form."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    found: list[str] = json.loads(
        re.findall(rf"^{name}\b[^\[\n]*(\[.*\])$", text, re.MULTILINE)[-1]
    )
    return found


def test_the_image_is_built_of_what_the_package_needs() -> None:
    """Every file that is copied is let into the build, and makes the package whole."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    copied = {
        name for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for name in line.split()
    }
    let_in = {line[1:] for line in listed(".dockerignore") if line.startswith("!")}
    assert copied == let_in
    needed = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "explorer"}
    assert needed | {"app.py", "pages", ".streamlit"} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_variables_of_the_containers_are_those_the_app_reads() -> None:
    known = {BUNDLES_VARIABLE, FOLDER_VARIABLE, URL_VARIABLE, PASSWORD_VARIABLE}
    text = (ROOT / "Dockerfile").read_text("utf-8")
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    assert set(re.findall(r"EXPLORER_\w+", text)) <= known
    assert {*services["app"]["environment"]} <= known
    assert services["app"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert "healthcheck" in services["database"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that the Dockerfile makes: its files and its `pip install` alone.

    It takes 7 GB, and pytest keeps the folders of three runs: this one goes with its tests.
    """
    place = tmp_path_factory.mktemp("image")
    try:
        yield dockerfile_environment(place)
    finally:
        shutil.rmtree(place)


def dockerfile_environment(place: Path) -> dict[str, str]:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        *names, folder = line.split()
        for name in names:
            to = place / "app" / (name if folder == "./" else folder)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            to.parent.mkdir(exist_ok=True)
            copy(ROOT / name, to)
    venv.create(place / "venv", with_pip=True)
    (install,) = re.findall(r"^RUN pip (install .*?) &&", text, re.MULTILINE)
    command = [str(place / "venv/bin/python"), "-m", "pip", *shlex.split(install)]
    done = subprocess.run(command, cwd=place / "app", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXPLORER_")}
    path = os.pathsep.join([str(place / "venv/bin"), os.environ["PATH"]])
    return kept | {"PATH": path, "VIRTUAL_ENV": str(place / "venv")}


@pytest.fixture(params=["installed", pytest.param("image", marks=pytest.mark.container)])
def container(
    request: pytest.FixtureRequest, tmp_path: Path, tiny_bundle: Path
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str], str]]:
    """The command that the container runs, in the installed package, on a port that is free."""
    environment: dict[str, str] = request.getfixturevalue(request.param)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    places = {BUNDLES_VARIABLE: str(tiny_bundle.parent), FOLDER_VARIABLE: str(tmp_path / "data")}
    command = [port if part == "8501" else part for part in steps("CMD")]
    command[command.index("0.0.0.0")] = "127.0.0.1"
    command[0] = str(shutil.which(command[0], path=environment["PATH"]))
    process = subprocess.Popen(command, cwd=tmp_path, env=environment | places)
    yield process, environment, port
    stop(process)


def test_the_containers_command_serves_and_its_health_check_passes(
    container: tuple[subprocess.Popen[bytes], dict[str, str], str], tmp_path: Path
) -> None:
    process, environment, port = container
    python = str(shutil.which("python", path=environment["PATH"]))
    check = [python, *(part.replace("8501", port) for part in steps("HEALTHCHECK")[1:])]
    end = time.monotonic() + PATIENCE
    while run(environment, tmp_path, *check).returncode and time.monotonic() < end:
        assert process.poll() is None, "the server stopped"
        time.sleep(0.5)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/neuron", timeout=PATIENCE) as page:
        assert page.status == 200
    stop(process)
    assert run(environment, tmp_path, *check).returncode != 0

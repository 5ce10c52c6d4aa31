"""Fixtures and rules that every test shares."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from stream import topics_admin
from stream.settings import PREFIX, TEST_PREFIX, Settings
from support.broker import Namespace, broker_for_tests, delete_namespace

# For torch, which tests import when they need it: the models of tests are tiny, and its threads, which spin while they
# wait for each other, take eight times as long on a busy machine as one thread does.
os.environ.setdefault("OMP_NUM_THREADS", "1")
DATASETS = Path(__file__).resolve().parents[2] / "shared" / "datasets"
# Examples take as long as a shared machine lets them: no test asserts on time.
hypothesis.settings.register_profile("aegis", deadline=None)
hypothesis.settings.load_profile("aegis")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the users of the broker, and skips what this machine cannot run, each with its reason."""
    lacking = {
        "data": None if DATASETS.is_dir() else f"the data sets are not at {DATASETS}",
        # Looked up, not imported: an extra that is there and broken must fail, not skip.
        "train": None if importlib.util.find_spec("torch") else "the extra `train` is not installed (make setup-train)",
        "gpu": None if Path("/dev/nvidiactl").exists() else "there is no CUDA device",
    }
    for item in items:
        if "broker" in getattr(item, "fixturenames", ()):
            item.add_marker("broker")
        for marker, reason in lacking.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that is a coroutine function on an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own AEGIS_ variables must not decide whether a test passes."""
    for name in list(os.environ):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a real broker: AEGIS_TEST_BROKER's, else an embedded one for this session."""
    with broker_for_tests(tmp_path_factory.mktemp("broker")) as bootstrap:
        yield bootstrap


@pytest.fixture
def namespace() -> Namespace:
    """Names for this test's topics and application, which no other test has."""
    return Namespace.new()


@pytest.fixture
def settings(broker: str, namespace: Namespace, tmp_path: Path) -> Iterator[Settings]:
    """A worker's settings for this test alone; its topics are not made yet, and are deleted at the end."""
    yield namespace.settings(broker, data_dir=tmp_path / "state", partitions=4)
    asyncio.run(delete_namespace(broker, namespace))


@pytest.fixture
def topics(settings: Settings) -> Settings:
    """The same settings with every topic of the contract made."""
    asyncio.run(topics_admin.create(settings))
    return settings


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of the real data sets; only tests marked `data` may ask for it."""
    return DATASETS

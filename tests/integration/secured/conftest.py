"""A broker that asks who comes, one a module, on which nobody may do anything at first."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator

import pytest

from stream import topics_admin
from stream.settings import Settings
from support.acls import allow_nothing
from support.broker import Namespace
from support.secured import Secured, secured


@pytest.fixture(scope="module")
def broker_asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.fixture(scope="module")
def plain(broker_asking: Secured, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the tests themselves; the topics are made."""
    folder = tmp_path_factory.mktemp("state")
    settings = Namespace.new().settings(broker_asking.plain, partitions=2, data_dir=folder, label_horizon=60.0)
    asyncio.run(topics_admin.create(settings))
    return settings


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Such sockets are collected here, not in the middle of another module's test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(autouse=True)
def _nothing_granted(broker_asking: Secured) -> Iterator[None]:
    yield
    allow_nothing(broker_asking.plain)

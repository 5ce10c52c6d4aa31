"""Faust, with the hooks that a worker which must not lose a label needs.

Faust gives the group membership, the assignment of changelogs together with their inputs, the streams and the agents.
Ours are the consumer (`consumer.py`), the store and its recovery (`ownership.py`), and the offsets. Nothing of Faust's
is patched: every change is a subclass that Faust is given."""

import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from aiokafka import AIOKafkaClient
from faust.stores import STORES, base
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP
from mode.utils.objects import cached_property
from yarl import URL

from stream.assignment import WholePartitions
from stream.consumer import BatchConsumer, ResumeOnce, Transport
from stream.errors import FencedError, PipelineError, StreamError
from stream.ownership import Ownership
from stream.partitions import Fatal
from stream.settings import Settings
from stream.topics import METADATA_MS

STORE_SCHEME = "aegis"
COMMIT_SECONDS = 0.5
"""Between commits: what a crash reads again, at most, besides what was in flight."""
POLL_RECORDS = 16_000
"""In one look at what was fetched: a look waits for its turn on the loop, which a batch being decided holds for 30 ms,
so few looks must bring much."""
BUFFERED_EVENTS = 8
"""Fetched batches that Faust holds for one agent before it stops fetching."""


def _of(service: Any) -> "AegisApp":
    """The app that a part of Faust belongs to; Faust knows it by its interface only."""
    app: AegisApp = service.app
    return app


class StateStore(base.Store[Any, Any]):
    """Faust's view of the state: who owns it is decided in `on_rebalance`, and there is never anything for Faust to
    recover."""

    def persisted_offset(self, tp: TP) -> int:
        return _of(self).ownership.last_offset(tp.partition)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Data and offset are kept together, by the partition."""

    def reset_state(self) -> None:
        """A partition given back has closed its store already."""

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        _of(self).fatal(PipelineError("Faust began a recovery of its own: it was not told where the state stands"))

    async def backup_partition(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("the changelog is the backup")

    def restore_backup(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("the changelog is the backup")

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        assignor = self.app.assignor
        actives, standbys = assignor.assigned_actives(), assignor.assigned_standbys()
        await _of(self).ownership.claim(assigned, actives, standbys, generation_id)


class StateRecovery(Recovery):
    def need_recovery(self) -> bool:
        return False  # `on_recovery_completed` restores, with a reader of its own

    def add_standby(self, table: Any, tp: TP) -> None:
        """Faust reads no standby either: `standbys.py` does."""

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """The hook that knows its generation, is awaited and may raise."""
        app = _of(self)
        if generation_id != app.consumer_generation_id or generation_id != app.ownership.claimed:
            return
        try:
            await app.ownership.restore(generation_id)
            ready = await app.ownership.begin(app.batches, generation_id)
        except StreamError as error:
            app.fatal(error)
            raise
        if ready:
            await super().on_recovery_completed(generation_id)


class StateTables(TableManager):
    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = StateRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class AegisApp(faust.App):
    """A Faust app whose stop drains first. `drain` must end within its own deadline."""

    ownership: Ownership
    fatal: Fatal
    drain: Callable[[], Awaitable[None]]
    inputs: frozenset[str]
    secure: Callable[[AIOKafkaClient], None]

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_consumer(self) -> BatchConsumer:
        consumer = super()._new_consumer()
        assert isinstance(consumer, BatchConsumer)
        consumer.inputs = self.inputs
        consumer.before_revocation = self._release
        consumer.replaced = self._replaced
        return consumer

    @property
    def batches(self) -> BatchConsumer:
        """The consumer, by its own type; made at the first look."""
        consumer = self.consumer
        assert isinstance(consumer, BatchConsumer)
        return consumer

    async def _release(self) -> None:
        self.ownership.release()
        await self.drain()

    def _replaced(self) -> None:
        name = self.conf.consumer_group_instance_id
        self.fatal(FencedError(f"the group knows another worker by the name {name} (AEGIS_INSTANCE_ID): one name each"))

    @cached_property
    def flow_control(self) -> ResumeOnce:
        return ResumeOnce(loop=self.loop)

    async def on_stop(self) -> None:
        await self._release()
        if self.batches.intakes:
            await self.batches.commit()
        await super().on_stop()


STORES.aliases[STORE_SCHEME] = f"{__name__}:StateStore"


def store_url() -> URL:
    return URL(f"{STORE_SCHEME}://")


def _name(settings: Settings) -> str:
    return f"static/{settings.instance_id}" if settings.instance_id else f"{socket.gethostname()}-{os.getpid()}"


def faust_settings(settings: Settings) -> dict[str, Any]:
    """What Faust's own settings are to be."""
    return {
        "id": settings.app_id,
        "broker": [f"kafka://{host.strip()}" for host in settings.broker.split(",")],
        "store": store_url(),
        "datadir": settings.data_dir,
        "TableManager": StateTables,
        "PartitionAssignor": WholePartitions,
        "web_enabled": False,
        # The assignor tells workers apart by it: a static member gets what was assigned to it under its last one.
        "canonical_url": f"http://{_name(settings)}",
        "consumer_group_instance_id": settings.instance_id,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": settings.standbys,
        "stream_wait_empty": False,
        "stream_buffer_maxsize": BUFFERED_EVENTS,
        "consumer_auto_offset_reset": "earliest",
        "consumer_metadata_max_age_ms": METADATA_MS,
        "broker_max_poll_records": POLL_RECORDS,
        "broker_commit_interval": COMMIT_SECONDS,
        "broker_session_timeout": settings.session_timeout,
        "broker_heartbeat_interval": settings.heartbeat,
        "broker_rebalance_timeout": max(30.0, 2 * settings.session_timeout),
        "broker_request_timeout": max(60.0, settings.session_timeout + 5.0),
    }

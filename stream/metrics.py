"""What the worker counts, in a registry that is handed in. Never an id, a text or a tenant as a label: the values of
labels are names of topics, partitions, experts, roles, and closed sets of words.

`python -m stream.metric_pages` writes what is said here into deploy/docs/metrics.md."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector

from ensemble.policy import CLASSES
from stream.metric_kinds import BatchHistogram, Catalogue
from stream.state import VERSION

__all__ = ["BatchHistogram", "Metrics"]
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TURNS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2000)
"""Turns in a batch, up to `stream.score.LARGEST`."""
DELAYS = (10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 2 * 86400.0, 4 * 86400.0, 7 * 86400.0)
"""Seconds that a label was late, up to the default label horizon."""
TURN_OUTCOMES = ("judged", "repeated", "rejected")
LABEL_OUTCOMES = (
    *("learned", "corrected", "confirmed", "waiting", "repeated", "revoked"),
    *("early", "forwarded", "rejected"),
)
"""What becomes of a label: the class of its turn is learned, changes, stays, or waits for a quorum; it was known
already, or taken back; its turn is not known here (yet); it cannot be used."""


class Metrics(Catalogue):
    """One instance a worker."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry)
        self._of_the_traffic()
        self._of_the_inputs()
        self._of_the_experts()
        self._of_learning()
        self._of_the_state()
        self._of_the_worker()

    def _of_the_traffic(self) -> None:
        self.begin("Turns and verdicts")
        self.verdicts = self.counter("aegis_verdicts", "Verdicts published.", ["label"], [(name,) for name in CLASSES])
        self.repeated = self.counter(
            "aegis_turns_repeated", "Turns seen again, whose stored verdict was published again."
        )
        self.undecided = self.counter(
            "aegis_turns_undecided",
            "Turns on which no expert that votes was awake: the policy says what that means (fail closed: unsafe).",
        )
        about = "From the broker's timestamp of a turn to its decision. Exemplars: sampled turns."
        self.latency = self.batch_histogram("aegis_latency_seconds", about, SECONDS)
        self.batch = self.histogram(
            "aegis_batch_seconds",
            "From the first byte read of a batch to its forecasts. Exemplars: a sampled turn of the batch.",
            SECONDS,
        )
        self.publish = self.histogram(
            "aegis_publish_seconds",
            "From the forecasts of a batch until the broker has its pending records and its verdicts: two round trips.",
            SECONDS,
        )
        self.batch_turns = self.histogram(
            "aegis_batch_turns", "Turns that experts were asked about together, over all partitions.", TURNS
        )
        self.dead_letters = self.counter("aegis_dead_letters", "Messages set aside.", ["reason"])
        self.replayed = self.counter(
            "aegis_replayed",
            "Dead letters sent again, by topic and by what became of them; one on its way is counted at each stop.",
            ["topic", "outcome"],
            [*(("turns", outcome) for outcome in TURN_OUTCOMES), *(("labels", outcome) for outcome in LABEL_OUTCOMES)],
        )

    def _of_the_inputs(self) -> None:
        self.begin("Inputs")
        self.lag = self.table(
            "aegis_lag_records",
            "Records of an input that are not done yet: the end of the partition, less what may be committed.",
            ["topic", "partition"],
        )
        self.oldest = self.table(
            "aegis_oldest_input_seconds",
            "Age, by the broker's timestamp, of the oldest record of an input that is not done; 0 where none waits.",
            ["topic", "partition"],
        )
        self.partitions = self.gauge(
            "aegis_partitions", "Partitions that every topic of the contract has, as last heard."
        )
        self.owned = self.gauge("aegis_partitions_owned", "Partitions worked on by this worker.")
        self.generations = self.counter(
            "aegis_generations",
            "Generations of the group in which this worker began to work: a rebalance each.",
        )
        self.holes = self.counter("aegis_holes", "Partitions read again because delivered records did not arrive.")

    def _of_the_experts(self) -> None:
        self.begin("Experts")
        self.expert_seconds = self.histogram(
            "aegis_expert_seconds",
            "How long an expert took for one batch, or was waited for where it timed out. Heads on one trunk each have"
            " the time of the trunk.",
            SECONDS,
            ["expert"],
        )
        self.asleep = self.counter(
            "aegis_expert_asleep", "Turns on which an expert gave no advice.", ["expert", "status"]
        )
        self.tokens = self.count_table(
            "aegis_expert_tokens", "Tokens that a trunk has read, without padding.", ["trunk"]
        )
        self.expert_mode = self.gauge(
            "aegis_expert_mode", "1 for each expert that is asked, by whether it votes.", ["expert", "mode"]
        )
        self.expert_changes_refused = self.counter(
            "aegis_expert_changes_refused",
            "Modes of experts that could not be followed.",
            ["reason"],
            [("no_voter",), ("not_loadable",)],
        )

    def _of_learning(self) -> None:
        self.begin("Learning")
        self.labels = self.counter(
            "aegis_labels",
            "Labels read, by what became of them.",
            ["outcome"],
            [(outcome,) for outcome in LABEL_OUTCOMES],
        )
        self.label_delay = self.batch_histogram(
            "aegis_label_delay_seconds",
            "From the decision on a turn to the first label that was learned of it.",
            DELAYS,
        )
        self.early = self.table(
            "aegis_early_turns", "Turns that are not known (yet) and have labels that wait for them.", ["partition"]
        )
        here = "Told by the worker that owns partition 0"
        self.regret_ratio = self.gauge(
            "aegis_regret_ratio", f"Largest regret of any context over its bound; above 1 is an alarm. {here}."
        )
        self.contexts = self.table("aegis_contexts", f"Contexts that have learned something. {here}.", ["role"])
        self.rounds = self.table("aegis_rounds", f"Labelled turns that were learned from. {here}.", ["role"])
        self.regret = self.table(
            "aegis_regret",
            f"Largest regret to an expert, in units of loss, of the context of this role nearest its bound. {here}.",
            ["role"],
        )
        self.bound = self.table("aegis_regret_bound", "The bound on that regret, where one is guaranteed.", ["role"])
        self.loss = self.table(
            "aegis_loss",
            "Mean loss of the published scores over the labelled turns of all contexts of a role, since their policy"
            f" last changed. {here}.",
            ["role"],
        )
        self.weight = self.table(
            "aegis_expert_weight",
            f"Mean weight of an expert over the contexts of a role, each as heavy as its labelled turns. {here}.",
            ["expert", "role"],
        )
        self.drift = self.gauge(
            "aegis_drift",
            "Contexts in which the recent loss of an expert or of the ensemble is worse or better than its long run."
            f" {here}.",
            ["direction"],
        )
        self.view_lag = self.gauge(
            "aegis_view_lag_records", "Records of moments.v1 that the merged view has still to read."
        )

    def _of_the_state(self) -> None:
        self.begin("State and recovery")
        self.pending = self.table(
            "aegis_pending_turns",
            "Turns that wait for labels: counted every ten minutes, with what was decided since; not there before the"
            " first count.",
            ["partition"],
        )
        self.state_records = self.table(
            "aegis_state_records", "Records of the state of all kinds, as the store estimates them.", ["partition"]
        )
        self.expired = self.counter("aegis_pending_expired", "Pending turns whose label horizon has passed.")
        self.conversations_expired = self.counter(
            "aegis_conversations_expired", "Conversations forgotten since they were idle."
        )
        self.recovered = self.gauge("aegis_recovery_records", "Changelog records read by recoveries.")
        self.recovery_left = self.gauge(
            "aegis_recovery_records_left", "Changelog records that the running recovery has still to read."
        )
        self.recovery_seconds = self.gauge("aegis_recovery_seconds", "How long the last recovery took.")
        self.standbys = self.gauge("aegis_standbys", "Partitions of others of which a copy is kept up here.")
        self.standby_lag = self.gauge(
            "aegis_standby_lag_records", "Changelog records that those copies have still to read."
        )
        self.disk_free = self.gauge(
            "aegis_state_disk_free_bytes", "Room that this worker may still use where its state folder lies."
        )
        self.disk_size = self.gauge("aegis_state_disk_bytes", "Size of that file system.")

    def _of_the_worker(self) -> None:
        self.begin("The worker")
        self.ready = self.gauge(
            "aegis_ready",
            "1 when /readyz says so: the partitions are restored, the merged view has caught up, all experts' threads"
            " live, the broker answers, and nothing stands still.",
        )
        self.condition = self.table(
            "aegis_condition", "1 for the one condition in which the worker is (see operations.md).", ["condition"]
        )
        self.silence = self.gauge(
            "aegis_broker_silent_seconds",
            "Since the broker last answered this worker, which asks every 5 s; a restart resets it.",
        )
        self.unacknowledged = self.gauge(
            "aegis_write_oldest_seconds",
            "Age of the oldest write that the broker has not acknowledged; at AEGIS_WRITE_TIMEOUT the worker ends.",
        )
        self.stood = self.gauge(
            "aegis_stalled_seconds",
            "How long the partition that has stood longest has not moved though records wait in it; at"
            " AEGIS_STALL_TIMEOUT the worker ends.",
        )
        self.loop_delay = self.gauge(
            "aegis_loop_delay_seconds",
            "How much later than asked for the event loop came to its look once a second: what else waited, too.",
        )
        build = self.gauge("aegis_build_info", "1, with the version that runs.", ["version"])
        build.labels(VERSION).set(1)
        ProcessCollector(registry=self.registry)
        for name, kind, about in PROCESS:
            self.describe(name, kind, (), about)


PROCESS = (
    ("process_cpu_seconds_total", "counter", "Processor time of all threads."),
    ("process_open_fds", "gauge", "Open files and connections."),
    ("process_max_fds", "gauge", "How many there may be."),
    ("process_resident_memory_bytes", "gauge", "Memory in use."),
    ("process_virtual_memory_bytes", "gauge", "Address space in use."),
    (
        "process_start_time_seconds",
        "gauge",
        "When the process began, in seconds since 1970: it changes with a restart.",
    ),
)
"""What prometheus_client's own collector tells, on Linux."""

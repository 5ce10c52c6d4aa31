"""Which worker gets which partitions: Faust's sticky assignor, made to give a partition of every topic to one worker.

Faust groups topics by their number of partitions and assigns each group by itself. While a growth is under way the
numbers differ, and turns p and changelog p could go to two workers; then nobody may work on p (`Ownership.claim`). Here
all are one group of as many partitions as the topic with the fewest has: one that is not there in every topic yet
is nobody's, and its records wait until it is.
"""

from typing import Any

from faust.assignor.partition_assignor import CopartitionedGroups, PartitionAssignor


class WholePartitions(PartitionAssignor):
    """The protocol between workers is Faust's: workers of both kinds may be in one group."""

    @classmethod
    def _get_copartitioned_groups(cls, topics: set[str], cluster: Any, subscriptions: Any) -> CopartitionedGroups:
        """The leader assigns anew when it sees that a number has changed, also from 0: a topic not heard of yet."""
        whole = min(len(cluster.partitions_for_topic(topic) or ()) for topic in topics)
        return {whole: [set(topics)]} if whole else {}

    def assigned_partitions(self) -> int:
        """How many the group has given to its workers, by what the leader told each of them."""
        return len({tp.partition for tp in self._tps_url})

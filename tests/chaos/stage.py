"""What surrounds the workers of a run and can be harmed: brokers and networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos.network import Link, Network, Weather
from support.brokers import Brokers, Node


@dataclass(frozen=True)
class Stage:
    """`broker`: where clients that nobody harms find the brokers. Without nodes of its own it harms none."""

    broker: str
    nodes: list[Node] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    """The network of each worker."""

    def repair(self) -> None:
        """Whatever a run that failed has left broken."""
        for link in self.links:
            link.change(Weather.CLEAR)
        for node in self.nodes:
            if not node.running:
                node.spawn()
            node.wait()


@contextmanager
def staged(folder: Path, nodes: int, workers: int) -> Iterator[Stage]:
    """Brokers of our own, each worker's way to them through a proxy; gone in the end."""
    network = Network()
    with Brokers(folder, nodes, workers) as brokers:
        links = [Link(network, [node.listeners[client] for node in brokers.nodes]) for client in range(workers)]
        brokers.start({(n, c): link.addresses[n] for c, link in enumerate(links) for n in range(nodes)})
        try:
            yield Stage(brokers.bootstrap, brokers.nodes, links)
        finally:
            for link in links:
                link.close()
            network.close()

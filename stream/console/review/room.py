"""One console's review queue: its parts, put together, and the time that they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from stream.console.review.candidates import Candidate
from stream.console.review.desk import Desk
from stream.console.review.feed import Feed
from stream.console.review.ledger import Ledger
from stream.console.review.options import Options
from stream.console.review.queue import Queue, Wanted
from stream.console.review.texts import Texts
from stream.console.review.voting import Publisher
from stream.policies import Policies
from stream.requests import Requests
from stream.settings import Settings
from stream.topics import TopicNames
from stream.web.callers import Caller


class Review:
    """One console's queue, from start to clean-up."""

    def __init__(self, settings: Settings, options: Options) -> None:
        self.settings = settings
        self.options = options
        policies, requests = Policies(settings), Requests()

        def annotators(candidate: Candidate) -> int:
            return max(options.annotators, policies.of(f"{candidate.tenant}/").quorum)

        self.ledger = Ledger()
        self.queue = Queue(
            options.most,
            self.ledger.said,
            Wanted(annotators, options.overlap),
            options.order,
            int(settings.label_horizon * 1000),
            int(options.lease * 1000),
        )
        self.feed = Feed(settings, self.queue, self.ledger, requests)
        self._texts = Texts(settings, requests)
        self._publisher = Publisher(settings)
        self.desk = Desk(TopicNames.of(settings), self.queue, self.ledger, self._texts, self._publisher)

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Reads the topics while the application runs."""
        feeding = asyncio.create_task(self.feed.run())
        yield
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await self._publisher.close()
        await self._texts.close()

    def may_export(self, caller: Caller) -> bool:
        """Whether this caller may download texts of people."""
        return caller.name in self.options.exporters


REVIEW: Final = web.AppKey("review", Review)

"""The live page: what is followed on the broker, the bounded aggregates kept of it, and how they reach browsers."""

from stream.console.live.routes import attach

__all__ = ["attach"]

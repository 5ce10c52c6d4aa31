"""The live page: what is followed on the broker, the bounded aggregates kept of it, and how they reach browsers."""

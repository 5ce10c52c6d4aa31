"""By which rules the votes on each tenant's turns are counted now: the limits of its policy, and what operators
revoked."""

from dataclasses import dataclass, field
from hashlib import blake2b

from ensemble.votes import Limits
from stream.labels import Counting
from stream.policies import Policies
from stream.requests import Requests
from stream.state import tenant_of


@dataclass(slots=True)
class Countings:
    """The same for every worker with the same settings that has read the same requests."""

    policies: Policies
    requests: Requests = field(default_factory=Requests)
    _known: dict[str, Counting] = field(default_factory=dict)
    _version: int = 0

    def of(self, context: str) -> Counting:
        """Of the tenant that the context belongs to."""
        if self._version != self.requests.version:
            self._known.clear()
            self._version = self.requests.version
        found = self._known.get(context)
        if found is None:
            limits = self.policies.of(context).limits
            found = self._known[context] = Counting(limits, self.requests.revoked_in(tenant_of(context)))
        return found

    def limits_digest(self) -> bytes:
        """What differs when annotators are trusted otherwise; empty when nobody is limited."""
        limits = self.policies.limits()
        if all(each == Limits() for each in limits.values()):
            return b""
        # Sorted, and of all tenants that the settings name: which of them have turns is not known here.
        lines = sorted(_line(tenant, each) for tenant, each in limits.items())
        return blake2b("\n".join(lines).encode(), digest_size=16).digest()

    def limits_of(self, context: str) -> str:
        """What differs when the annotators of this context are trusted otherwise; empty where nobody is limited."""
        limits = self.policies.of(context).limits
        return "" if limits == Limits() else blake2b(_line(None, limits).encode(), digest_size=8).hexdigest()


def _line(tenant: str | None, limits: Limits) -> str:
    return repr((tenant or "", tenant is None, limits.quorum, sorted(limits.weights.items()), limits.others))

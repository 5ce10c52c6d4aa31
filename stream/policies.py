"""Which policy reads a tenant's labels."""

from ensemble.policy import Policy
from ensemble.votes import Limits
from stream.settings import Settings
from stream.state import tenant_of


class Policies:
    """From the settings; a change takes effect at the next start and needs no replay, since moments are read under any
    policy."""

    def __init__(self, settings: Settings) -> None:
        known = settings.defined_policies()
        self._default = known[settings.policy]
        self._tenants = {tenant: known[name] for tenant, name in settings.tenant_policies.items()}

    def of(self, context: str) -> Policy:
        """The policy of the tenant that the context belongs to."""
        return self._tenants.get(tenant_of(context), self._default)

    def limits(self) -> dict[str | None, Limits]:
        """How far each tenant's annotators are trusted; None stands for tenants that are not named."""
        return {None: self._default.limits, **{tenant: policy.limits for tenant, policy in self._tenants.items()}}

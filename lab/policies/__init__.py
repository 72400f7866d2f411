"""How a call is bounded and recovered: one layer a file, nested as the tuple in `compose` says."""

from lab.policies.breaker import Breaker
from lab.policies.budget import Budget
from lab.policies.cache import Cache, Near
from lab.policies.compress import Compress
from lab.policies.fallback import Fallback
from lab.policies.hedge import Hedge
from lab.policies.limit import Limit
from lab.policies.policy import Policy
from lab.policies.repair import Repair
from lab.policies.retry import Retry
from lab.policies.timeout import Timeout

__all__ = [
    "Breaker",
    "Budget",
    "Cache",
    "Compress",
    "Fallback",
    "Hedge",
    "Limit",
    "Near",
    "Policy",
    "Repair",
    "Retry",
    "Timeout",
]

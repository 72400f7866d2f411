"""How a call is bounded and recovered: one policy a file, composed in the order that `Policy` prints."""

from lab.policies.policy import Policy
from lab.policies.timeout import Timeout

__all__ = ["Policy", "Timeout"]

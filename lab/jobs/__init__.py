"""What outlives its caller: experiments in the background, webhooks."""

from lab.jobs.background import Jobs

__all__ = ["Jobs"]

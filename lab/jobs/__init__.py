"""What outlives its caller: experiments in the background, webhooks."""

from lab.jobs.background import Jobs, experiment

__all__ = ["Jobs", "experiment"]

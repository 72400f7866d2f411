"""What outlives its caller: flows and their steps, jobs and their workers, webhooks."""

from lab.jobs.job import Job

__all__ = ["Job"]

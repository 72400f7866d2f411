"""What a job may be called, and how it may be asked for."""

from __future__ import annotations

from lab import errors
from lab.jobs.flow import PREFIX

LANES = ("interactive", "batch")
"""Where jobs wait; those of one don't wait for those of the other."""


def check(id: str | None, user: str | None, lane: str, timeout: float | None, url: str | None) -> None:
    """Raises `InvalidRequestError` for what can't be: an `id`, a `user`, a `timeout` in seconds, a webhook's `url`."""
    if id is not None:
        fits = isinstance(id, str) and id.strip() and id.isprintable() and len(id) <= 150
        if not fits or id.startswith(PREFIX):
            raise errors.InvalidRequestError(f"id={id!r}: up to 150 printable characters, not `{PREFIX}...`")
    if user is not None and (not isinstance(user, str) or not user.strip()):
        raise errors.InvalidRequestError(f"user={user!r}: a string")
    if lane not in LANES:
        raise errors.InvalidRequestError(f"lane={lane!r}: one of {', '.join(LANES)}")
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (number and 0 < timeout < 10**8):
        raise errors.InvalidRequestError(f"timeout={timeout!r}: seconds, more than none")
    if url is not None:
        from lab.jobs import webhook  # HTTP is slow to import, and only webhooks need it

        try:
            webhook.check(url)
        except ValueError as odd:
            raise errors.InvalidRequestError(str(odd)) from odd

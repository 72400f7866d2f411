"""Names that are likely misspelt: a provider would bill the request, and leave the parameter aside without a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from lab import errors
from lab.provider.loading import load

LIKELY = 0.85
"""How alike two names are (difflib's ratio, 0 to 1) when one is taken for a slip of the other."""
_OTHERS = frozenset(
    """
    top_k top_a min_p min_tokens stop_token_ids repetition_penalty length_penalty prompt_logprobs echo best_of
    models provider route transforms plugins reasoning include_reasoning verbosity safety_settings thinking
    prompt_cache_key prompt_cache_options cache_control guided_json guided_regex guided_choice guided_grammar
""".split()
)
"""Parameters of some providers that are no slips, however alike."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was likely meant; None where none is near."""
    return next(iter(get_close_matches(name.lower(), list(known), 1, LIKELY)), None)


def spelled(params: Mapping[str, Any]) -> None:
    """Raise `InvalidRequestError` where a parameter is likely a slip of a known one. Others pass, known or not."""
    known = _known()
    for name in params:
        if name not in known and (meant := nearest(name, _chat())):
            raise errors.InvalidRequestError(
                f"`{name}` is no parameter: did you mean `{meant}`? (extra_body={{{name!r}: ...}} sends it as it is)"
            )


@cache
def _chat() -> frozenset[str]:
    return frozenset(load().constants.OPENAI_CHAT_COMPLETION_PARAMS) - {"model", "messages"}


@cache
def _known() -> frozenset[str]:
    return _chat() | _OTHERS | frozenset(load().types.utils.all_litellm_params)

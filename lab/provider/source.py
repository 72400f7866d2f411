"""One attempt: a call goes in, its events come out.

A call goes one of two ways, and its attempt says which.

`wire`: LiteLLM's provider configuration writes the request and reads the answer, the lab sends the bytes
itself and so sees true times, raw status and the real end of a stream. Only providers in `ADMITTED` go this
way; for each of them a test shows that host, key and body equal those of `litellm.acompletion`.
`carried`: `litellm.acompletion`, its retries off, for everything else.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from lab import errors, redact
from lab.aside import short_turns
from lab.provider import child, embedding, failures, own, tokens
from lab.provider.carried import carried
from lab.provider.dialect import translate, usual_address
from lab.provider.fit import fit
from lab.provider.form import Form, formed
from lab.provider.loading import let_go, loaded, warm
from lab.provider.marking import stable
from lab.provider.prices import Pricer, pricer, provider_of, worst_cost
from lab.provider.reading import read_stream, read_whole
from lab.provider.request import Request
from lab.provider.spelling import nearest, spelled
from lab.provider.wire import Marks, Wire
from lab.values import Call, Event, Price, Usage

GIVE_WAY = 32
"""Events of one attempt after which other calls have their turn: a stream may hand over thousands at once."""

MANY = 5_000
"""Events from which a stream is a long one."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A call as its provider wants it: a `request` for the wire, or None where LiteLLM carries it, by `name` and with
    `params`."""

    call: Call
    request: Request | None
    name: str
    params: dict[str, Any]
    prices: Mapping[str, Any] | None
    form: Form | None


class Provider:
    """Turns a call into a stream of events, by wire or carried. Used on one event loop."""

    def __init__(self) -> None:
        self._wire: Wire | None = None

    async def ready(self, call: Call) -> None:
        """Return once LiteLLM is loaded and, for a model of the lab's own, its process has started; or has failed to:
        `open` says why."""
        if not (importing := warm()).done():
            await asyncio.wait([asyncio.wrap_future(importing)])
        owner = call.model.partition("/")[0]
        if (
            owner in own.SERVERS
            and "api_base" not in call.params
            and (server := child.shared(own.SERVERS[owner])).up() is None
        ):
            await asyncio.wait([asyncio.get_running_loop().run_in_executor(None, server.endpoint)])

    async def open(self, call: Call, *, connect: float | None = None) -> AsyncGenerator[Event]:
        """Send `call` once: `sent`, then what comes, then `done`. Raises a `LabError` for whatever is no answer.

        `connect` is how many seconds the connection may take; None is no limit.
        """
        sent, odd, count = False, None, 0
        events = self._open(call, connect)
        long = ExitStack()
        try:
            async for event in events:
                sent = True
                yield event
                count += 1
                if not count % GIVE_WAY:
                    await asyncio.sleep(0)
                if count == MANY:
                    long.enter_context(short_turns())
        except (errors.LabError, errors.LedgerError):
            raise
        except Exception as failure:  # what LiteLLM, aiohttp and odd answers raise is no business of the caller's
            odd = f"{type(failure).__name__}: {failure}"
        finally:
            long.close()
            await events.aclose()
        if odd is not None:
            odd = redact.text(odd, redact.secrets(call.params))[:500]
            if sent:
                raise errors.MalformedError(f"{call.model}: the answer can't be read: {odd}")
            raise errors.InvalidRequestError(f"{call.model}: the request can't be sent: {odd}")

    async def _open(self, call: Call, connect: float | None) -> AsyncGenerator[Event]:
        await loaded()
        if call.embeds:
            async for event in embedding.events(call):
                yield event
            return
        written = await self._written(call)
        call, request, form = written.call, written.request, written.form
        events = (
            self._by_wire(call, request, self._pricer(request.provider, request.model, written.prices), connect)
            if request is not None
            else self._carried(call, written.name, written.params, connect, written.prices)
        )
        try:
            async for event in events:
                yield replace(event, form=form) if form is not None and event.kind == "sent" else event
        finally:
            await events.aclose()

    async def _written(self, call: Call) -> _Written:
        """The call in its provider's own words."""
        name, params, prices, thinking = call.model, dict(call.params), None, dict[str, Any]()
        owner, _, plainly = call.model.partition("/")
        if owner in own.SERVERS:
            if "api_base" not in params:
                endpoint = await child.reached(own.SERVERS[owner])
                prices = endpoint.models.get(own.plain(plainly))
                if prices is None:
                    meant = nearest(plainly, endpoint.models)
                    raise errors.UnsupportedError(
                        f"no model {call.model!r}{f' (did you mean {owner}/{meant}?)' if meant else ''}: there is "
                        f"{', '.join(f'{owner}/{model}' for model in endpoint.models)}"
                    )
                params["api_base"] = endpoint.url
            name, params["api_base"] = own.spoken(plainly, params["api_base"])
            thinking = own.thinking(plainly, params)
            params["api_key"] = params.get("api_key", "none-needed")
        if (address := usual_address(name, params)) is not None:
            params["api_base"] = address
        spelled(call.params)
        fit(call.model, name, call.messages, call.params, prices)
        messages, params, form = formed(call, name, params, own=owner in own.SERVERS)
        call = call if form is None else replace(call, messages=messages)
        how: dict[str, Any] = {"streamed": call.streamed, "as_written": call.model, "stable": stable(call)}
        request = translate(name, messages, params, **how)
        if request is not None and thinking:
            request = replace(request, body=own.merged(request.body, thinking))
        return _Written(call, request, name, params, prices, form)

    def _pricer(self, provider: str, model: str, own: Mapping[str, Any] | None) -> Pricer:
        return pricer(provider, model, own)

    def _carried(
        self, call: Call, name: str, params: dict[str, Any], connect: float | None, prices: Mapping[str, Any] | None
    ) -> AsyncGenerator[Event]:
        return carried(call, name, params, connect, prices)

    async def _by_wire(self, call: Call, request: Request, price: Pricer, limit: float | None) -> AsyncGenerator[Event]:
        loop, wire = asyncio.get_running_loop(), self._pool()
        payload = json.dumps(request.body).encode()
        marks = Marks(loop.time())
        yield Event("sent", marks.start, way="wire", price=price(Usage(), None))
        async with wire.post(request.url, request.headers, payload, marks, connect=limit) as response:
            connect = None if marks.connected is None else marks.connected - marks.start
            yield Event("headers", loop.time(), status=response.status, connect=connect)
            if response.status >= 300:
                text = (await response.body(64 * 1024)).decode("utf-8", "replace")
                text = redact.text(text, redact.secrets(call.params))[:60_000]
                raise failures.from_status(response.status, response.headers, text, model=call.model, now=time.time())
            reader = read_stream if call.streamed else read_whole
            async for event in reader(call, request, price, response):
                yield event

    def _pool(self) -> Wire:
        if self._wire is None:
            self._wire = Wire()
        return self._wire

    async def worst_case(self, call: Call) -> float | None:
        """The most that one attempt can cost, in US dollars; None where no price is known."""
        await loaded()
        owner, _, plainly = call.model.partition("/")
        if owner in own.SERVERS and "api_base" not in call.params:
            endpoint = await child.reached(own.SERVERS[owner])
            return worst_cost(call, f"openai/{plainly}", endpoint.models.get(own.plain(plainly)), self._pricer)
        return worst_cost(call, call.model, None, self._pricer)

    async def price(self, call: Call) -> Price | None:
        """US dollars a token; None where no price is known."""
        await loaded()
        owner, _, plainly = call.model.partition("/")
        if owner in own.SERVERS and "api_base" not in call.params:
            endpoint = await child.reached(own.SERVERS[owner])
            return self._pricer("openai", plainly, endpoint.models.get(own.plain(plainly)) or {})(Usage(), None)
        known = provider_of(call.model)
        return None if known is None else self._pricer(*known, None)(Usage(), None)

    async def embed(self, model: str, text: str) -> tuple[Any, float | None]:
        """The embedding of a text, and what it cost: see `lab.provider.embedding.embedded`."""
        return await embedding.embedded(model, text)

    async def tokens(self, text: str) -> int:
        """As LiteLLM's own encoding counts them: see `lab.provider.tokens`."""
        return await asyncio.to_thread(tokens.count, text)

    async def close(self) -> None:
        """Close the connections."""
        if self._wire is not None:
            await self._wire.close()
        await let_go()

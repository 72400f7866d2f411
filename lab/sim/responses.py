"""A script in the words of OpenAI's responses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.openai import OpenAI
from lab.sim.script import Script, Step
from lab.sim.speaker import Speaker

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Responses(Speaker):
    """One answer under way."""

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        super().__init__(name, body, script)
        self._started = False
        self._called = 0

    @classmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Input and instructions, limit, form, effort, tools."""
        given = body.get("input")
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else cls.messages(given, "input")
        before = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
        form = (body.get("text") or {}).get("format") or {}
        results = [item.get("output") for item in messages if item.get("type") == "function_call_output"]
        offered = [] if body.get("tool_choice") == "none" else body.get("tools") or []
        return {
            "messages": before + messages,
            "max_tokens": body.get("max_output_tokens"),
            "seed": None,
            "schema": form.get("schema") if form.get("type") == "json_schema" else None,
            "thinking": (body.get("reasoning") or {}).get("effort"),
            "tools": [tool for tool in offered if tool.get("type") == "function"],
            "results": [_text(said) for said in results] if messages[-1].get("type") == "function_call_output" else [],
        }

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """As OpenAI's other interface has it."""
        return OpenAI.error(status, code, message, headers)

    def whole(self) -> dict[str, Any]:
        """A response of items."""
        return self._response(self._status(), self._items() if self.script.choices else None)

    def events(self, step: Step) -> Iterator[str]:
        """From `response.created` to `response.completed`."""
        if not self._started:
            self._started = True
            yield self._event("response.created", response=self._response("in_progress", []))
        if step.action == "error":
            yield self._event("error", error={"message": step.text, "code": "server_error"})
        if not self.script.choices:
            return
        if step.action == "thought":
            yield self._event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta=step.text)
        if step.action == "piece":
            if self.script.quirk == "heartbeats":
                yield ": heartbeat\n\n"
            yield self._event("response.output_text.delta", output_index=1, content_index=0, delta=step.text)
        if step.action == "call":
            item, place = self._call(self._called), self._called + 1
            arguments, item["arguments"] = item["arguments"], ""
            yield self._event("response.output_item.added", output_index=place, item=item)
            yield self._event("response.function_call_arguments.delta", output_index=place, delta=arguments)
            self._called += 1
        if step.action == "finish":
            if self.script.refusal is not None:
                yield self._event("response.refusal.delta", output_index=1, delta=self.script.refusal)
            for place, item in enumerate(self._items()):
                if item["type"] == "reasoning":
                    yield self._event("response.output_item.done", output_index=place, item=item)
            status = self._status()
            kind = "response.incomplete" if status == "incomplete" else "response.completed"
            yield self._event(kind, response=self._response(status, self._items()))

    def _status(self) -> str:
        finish = self.script.finish
        return "incomplete" if finish and finish.text in _REASONS else "completed"

    def _event(self, kind: str, **more: Any) -> str:
        return self.data({"type": kind, **more}, kind)

    def _items(self) -> list[dict[str, Any]]:
        script, items = self.script, list[dict[str, Any]]()
        if script.thoughts:
            thought: dict[str, Any] = {"type": "reasoning", "id": f"rs_{self.identity[:12]}"}
            items.append({**thought, "summary": [{"type": "summary_text", "text": script.thoughts}]})
        items += [self._call(place) for place in range(len(script.calls))]
        if script.refusal is not None:
            content = [{"type": "refusal", "refusal": script.refusal}]
        else:
            content = [{"type": "output_text", "text": script.text}]
        if (not script.calls and script.content != "null") or script.refusal is not None:
            said = {"type": "message", "id": f"msg_{self.identity[:12]}", "role": "assistant", "status": "completed"}
            items.append({**said, "content": content})
        return items

    def _call(self, place: int) -> dict[str, Any]:
        call = self.script.calls[place]
        return {
            "type": "function_call",
            "id": f"fc_{self.identity[:12]}{place}",
            "call_id": f"call_{self.identity[:12]}{place}",
            "name": call["name"],
            "arguments": json.dumps(call["arguments"], ensure_ascii=False),
            "status": "completed",
        }

    def _response(self, status: str, items: list[dict[str, Any]] | None) -> dict[str, Any]:
        script, finish = self.script, self.script.finish
        body: dict[str, Any] = {
            "id": f"resp_{self.identity[:16]}",
            "object": "response",
            "created_at": 0,
            "model": self.name,
            "status": status,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        if items is not None:
            body["output"] = items
        if status == "incomplete" and finish:
            body["incomplete_details"] = {"reason": _REASONS[finish.text]}
        if script.usage and status != "in_progress":
            asked, answered = script.prompt_tokens, script.tokens + script.thought
            body["usage"] = {
                "input_tokens": asked,
                "input_tokens_details": {"cached_tokens": script.cache_read},
                "output_tokens": answered,
                "output_tokens_details": {"reasoning_tokens": script.thought},
                "total_tokens": asked + answered,
            }
        return body


def _text(output: Any) -> str:
    """What a function has answered: a text, or parts of one."""
    return "".join(str(part.get("text") or "") for part in output) if isinstance(output, list) else str(output)

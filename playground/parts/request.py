"""The request: what is to be asked of which models, with which parameters, in which shape, within which bounds. What is
set is said beside the button, so that nothing acts unseen."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab import Cache, Fallback, Hedge, Lab, Policy, Prompt, Retry, Timeout, errors
from lab.call.prompts import Filled
from lab.evals.asks import Ask
from lab.show import units
from lab.show.text import one_line
from playground.parts import backend, choices, drawing, escape, opened, places, templates

EDITED = ", edited"
"""After the name of a prompt whose template was changed in the form, and not saved."""
EFFORTS = ("none", "minimal", "low", "medium", "high")
TYPES = {"text": "string", "number": "number", "whole number": "integer", "yes or no": "boolean", "texts": "array"}
PLAIN = {
    "max_tokens": "max_tokens",
    "heat": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "effort": "reasoning_effort",
}
"""Keys of widgets, and the parameters they set."""
PICTURE = 5
"""Megabytes of a picture."""
_PARTS: dict[str, Any] = {"timeout": Timeout, "retry": Retry, "hedge": Hedge, "fallback": Fallback, "cache": Cache}
_RANGES = {  # of the parameters that are numbers, and whether they are whole ones
    "max_tokens": (1, 100_000, True),
    "seed": (0, 2**31 - 1, True),
    "temperature": (0.0, 2.0, False),
    "top_p": (0.0, 1.0, False),
}
_LIMITS = {"limit_first": "first_token", "limit_attempt": "attempt", "limit_total": "total"}
_EMPTY = {"field": [""], "type": ["text"], "required": [True], "about": [""]}


def form(lab: Lab, beside: Callable[[Lab], None]) -> tuple[Ask | None, bool]:
    """Draw it, with what stands `beside` its buttons: what is asked (None where something is missing, and it says
    what), and whether Run was pressed."""
    begin(lab)
    left, right = st.columns([3, 2])
    with right:
        models = st.multiselect(
            "Models",
            choices.models(),
            accept_new_options=True,
            placeholder="Pick, or type any LiteLLM model name",
            help="Offered: the local model, simulated ones, and models whose key is in the environment or `.env`.",
            key="models",
            persist_state="session",
        )
    prompts, missing = question(lab, left, right)
    with st.expander("Parameters, schema, bounds", icon=":material/tune:"):
        sampling, shape, bounds = st.tabs(["Parameters", "Schema", "Timeouts, retries, cache"])
        with sampling:
            params, odd = parameters()
        with shape:
            schema, misshapen = schemas()
        with bounds:
            policy = policies(lab, models)
    ask = Ask(prompts=tuple(prompts), models=tuple(dict.fromkeys(models)), params=params, schema=schema, policy=policy)
    with bounds:
        worst(lab, ask)
    with st.container(horizontal=True, vertical_alignment="center", key="run-row"):
        ran = st.button("Run", type="primary", icon=":material/play_arrow:", shortcut="Ctrl+Enter", key="run")
        stopped = st.button("Stop", icon=":material/stop:", key="stop")
        beside(lab)
        drawing.chips(chips(ask))
    if stopped:
        st.session_state["stopping"] = True
    wrong = [why for why in (missing, odd, misshapen) if why]
    for why in wrong if ran else [why for why in (odd, misshapen) if why]:
        st.warning(escape.markdown(why), icon=":material/edit:")
    return (None if wrong else ask), ran


def begin(lab: Lab) -> None:
    """What the form holds before anybody has touched it."""
    usual, state = lab.policy, st.session_state
    if "picking" in state:  # what was just saved
        state["saved"] = state.pop("picking")
    state.setdefault("models", choices.models()[:3])
    state.setdefault("question_text", "What is the capital of France?")
    state.setdefault("shape", "text")
    for name in _PARTS:
        state.setdefault(f"with_{name}", getattr(usual, name) is not None)
    timeout = usual.timeout or Timeout()
    for key, name in _LIMITS.items():
        state.setdefault(key, getattr(timeout, name))
    state.setdefault("attempts", (usual.retry or Retry()).attempts)
    state.setdefault("hedge_after", 2.0)
    state.setdefault("cache_hours", 24.0)


def question(lab: Lab, left: DeltaGenerator, right: DeltaGenerator) -> tuple[list[tuple[str, Any]], str | None]:
    """What is asked: saved prompts with their variables, or what is written; and what is missing of it."""
    saved = choices.prompts()
    picked = right.multiselect(
        "Saved prompts", list(saved), key="saved", placeholder="none: what is written", persist_state="session"
    )
    picked = [name for name in picked if name in saved]
    with left:
        if picked:
            return filled(lab, picked, [saved[name] for name in picked])
        turns(st.session_state.get("turns") or [])
        written = st.text_area("Prompt", height=122, key="question_text", persist_state="session")
        system = st.text_area("System message", height=68, key="system", persist_state="session", placeholder="none")
    with right:
        images = pictures()
    return messages(system, st.session_state.get("turns") or [], written, images)


def messages(
    system: str, before: Sequence[Mapping[str, Any]], written: str, images: Sequence[str]
) -> tuple[list[tuple[str, Any]], str | None]:
    """What was written, as messages."""
    if not written.strip() and not images:
        return [], "the prompt is empty: write something to send"
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    content: Any = [{"type": "text", "text": written}, *parts] if parts else written
    first = [{"role": "system", "content": system}] if system.strip() else []
    return [("", (*first, *before, {"role": "user", "content": content}))], None


def turns(before: Sequence[Mapping[str, Any]]) -> None:
    """The conversation so far."""
    if not before:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            whose = st.session_state.get("turns_of") or "an earlier model"
            st.caption(f"The conversation so far: {len(before)} messages, answered by {escape.markdown(whose)}.")
            if st.button("Begin anew", icon=":material/close:", type="tertiary", key="forget-turns"):
                st.session_state["turns"] = []
                st.rerun()
        for number, message in enumerate(before):
            opened.said(message, f"turn-{number}")


def filled(lab: Lab, labels: Sequence[str], prompts: Sequence[Prompt]) -> tuple[list[tuple[str, Any]], str | None]:
    """Saved prompts: their variables to fill in, and of a single one its template to edit."""
    if len(prompts) == 1:
        new = edited(lab, prompts[0])
        labels = [labels[0] if new.hash == prompts[0].hash else f"{labels[0]}{EDITED}"]
        prompts = [new]
    names = list(dict.fromkeys(variable for prompt in prompts for variable in prompt.variables))
    values = {
        name: st.text_area(name, height="content", key=f"variable-{name}", persist_state="session") for name in names
    }
    blank = {name for prompt in prompts for name in prompt.blank}
    missing = [name for name in names if not values[name].strip() and name not in blank]
    if missing:
        return [], f"fill in {' and '.join(missing)}"
    asked: list[tuple[str, Any]] = []
    for label, prompt in zip(labels, prompts, strict=True):
        try:
            asked.append((label, prompt.fill(**{name: values[name] for name in prompt.variables})))
        except errors.InvalidRequestError as odd:
            return asked, str(odd)
    return asked, None


def edited(lab: Lab, prompt: Prompt) -> Prompt:
    """The template of a saved prompt, as it is edited here."""
    with st.expander("The template", icon=":material/edit_note:"):
        new = templates.edited(prompt, "template")
        number = templates.save(lab, prompt, new, "template")
    if number is not None:
        st.session_state["picking"] = [f"{new.name} v{number}"]
        st.rerun()
    return new


def pictures() -> list[str]:
    """Pictures that go with the question, as data URLs."""
    kept: list[str] = st.session_state.setdefault("images", [])
    files = st.file_uploader(
        "Images",
        ["png", "jpg", "jpeg", "webp", "gif"],
        accept_multiple_files=True,
        key=f"pictures-{st.session_state.get('pictures_round', 0)}",
        max_upload_size=PICTURE,
    )
    for file in files:
        url = f"data:{file.type};base64,{base64.b64encode(file.getvalue()).decode()}"
        if url.startswith(places.PICTURES) and url not in kept:
            kept.append(url)
    if kept:
        with st.container(horizontal=True, vertical_alignment="center"):
            for url in kept:
                st.image(url, width=56)
            if st.button("Remove", icon=":material/close:", type="tertiary", key="forget-pictures"):
                show_pictures([])
                st.rerun()
    return list(kept)


def parameters() -> tuple[dict[str, Any], str | None]:
    """Sampling, length, effort, and whatever else a provider takes; and what is wrong with it."""
    first, second, third = st.columns(3)
    limit = first.number_input(
        "Max tokens", 1, 100_000, None, placeholder="the model's own", key="max_tokens", persist_state="session"
    )
    heat = second.number_input(
        "Temperature", 0.0, 2.0, None, 0.1, placeholder="the model's own", key="heat", persist_state="session"
    )
    top = third.number_input(
        "Top p", 0.0, 1.0, None, 0.05, placeholder="the model's own", key="top_p", persist_state="session"
    )
    seed = first.number_input("Seed", 0, 2**31 - 1, None, placeholder="none", key="seed", persist_state="session")
    effort = second.selectbox(
        "Reasoning effort",
        EFFORTS,
        index=None,
        placeholder="the model's own",
        key="effort",
        persist_state="session",
    )
    stop = third.text_input(
        "Stop at", key="stop_at", placeholder="texts, with commas between them", persist_state="session"
    )
    extra = st.text_area(
        "Other parameters, as JSON",
        key="extra",
        height=68,
        placeholder='{"presence_penalty": 0.5}',
        persist_state="session",
        help="Whatever the provider takes, by LiteLLM's names. Keys belong into the environment.",
    )
    chosen = {"max_tokens": limit, "temperature": heat, "top_p": top, "seed": seed, "reasoning_effort": effort}
    params: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if texts := [text.strip() for text in stop.split(",") if text.strip()]:
        params["stop"] = texts
    if not extra.strip():
        return params, None
    try:
        more = json.loads(extra)
    except ValueError as odd:
        return params, f"other parameters: not JSON: {odd}"
    if not isinstance(more, dict):
        return params, 'other parameters: an object, such as {"presence_penalty": 0.5}'
    return params | more, None


def schemas() -> tuple[dict[str, Any] | None, str | None]:
    """What the answer is to be, from a form or as JSON; and what is wrong with it."""
    how = st.segmented_control("The answer is", ["text", "fields", "JSON schema"], key="shape", persist_state="session")
    if how == "fields":
        rows = st.data_editor(
            pd.DataFrame(st.session_state.get("fields_given") or _EMPTY),
            num_rows="dynamic",
            hide_index=True,
            key=f"fields-{st.session_state.get('fields_round', 0)}",
            column_config={
                "field": st.column_config.TextColumn("Field", required=True),
                "type": st.column_config.SelectboxColumn("Type", options=list(TYPES), required=True, default="text"),
                "required": st.column_config.CheckboxColumn("Required", default=True),
                "about": st.column_config.TextColumn("What it is", width="large"),
            },
        )
        return of_fields(rows.to_dict("records"))
    if how == "JSON schema":
        written = st.text_area(
            "JSON schema",
            key="schema_text",
            height=180,
            persist_state="session",
            placeholder='{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
        )
        if not written.strip():
            return None, None
        try:
            schema = json.loads(written)
        except ValueError as odd:
            return None, f"the schema: not JSON: {odd}"
        return (schema, None) if isinstance(schema, dict) else (None, "the schema: a JSON object")
    st.caption("Free text. With fields, or a JSON schema, the answer is a value that is checked.")
    return None, None


def of_fields(rows: Sequence[Mapping[Any, Any]]) -> tuple[dict[str, Any] | None, str | None]:
    """The JSON schema of a table of fields; and what is wrong with it."""
    named = [(_said(row.get("field")), row) for row in rows]
    named = [(name, row) for name, row in named if name]
    if not named:
        return None, "the schema: give each field a name, or let the answer be text"
    if len({name for name, _ in named}) < len(named):
        return None, "the schema: two fields have one name"
    properties: dict[str, Any] = {}
    for name, row in named:
        kind = TYPES.get(str(row.get("type")), "string")
        properties[name] = {"type": kind, **({"items": {"type": "string"}} if kind == "array" else {})}
        if about := _said(row.get("about")):
            properties[name]["description"] = about
    required = [name for name, row in named if row.get("required") is not False]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}, None


def _said(cell: Any) -> str:
    """What a cell of a table says; an empty one may be None, or not a number."""
    return cell.strip() if isinstance(cell, str) else ""


def policies(lab: Lab, models: Sequence[str]) -> dict[str, Any] | None:
    """The bounds that are not the Lab's own."""
    usual = lab.policy
    chosen: dict[str, Any] = {}
    left, right = st.columns(2)
    with left:
        chosen["timeout"] = timeouts(usual.timeout)
        chosen["retry"] = retries(usual.retry)
    with right:
        chosen["hedge"] = hedges(usual.hedge)
        chosen["fallback"] = fallbacks(usual.fallback, models)
        chosen["cache"] = caches(usual.cache)
    before = usual.content()
    policy = Policy(**{name: part for name, part in chosen.items()}).content()
    changed = {name: policy[name] for name in chosen if policy[name] != before[name]}
    return changed or None


def timeouts(usual: Timeout | None) -> Timeout | None:
    """How long it may take."""
    if not st.toggle("Timeouts", key="with_timeout", help="None: a call may wait for ever"):
        return None
    base = usual or Timeout()
    first, second, third = st.columns(3)
    given = {
        "first_token": first.number_input("First token (s)", 0.1, 3600.0, None, key="limit_first"),
        "attempt": second.number_input("A request (s)", 0.1, 3600.0, None, key="limit_attempt"),
        "total": third.number_input("In all (s)", 0.1, 36000.0, None, key="limit_total"),
    }
    try:
        return Timeout(**{**asdict(base), **given})
    except ValueError as odd:
        st.warning(escape.markdown(odd), icon=":material/edit:")
        return usual


def retries(usual: Retry | None) -> Retry | None:
    """How often it is tried."""
    if not st.toggle("Retries", key="with_retry", help="What fails for a moment is asked again"):
        return None
    base = usual or Retry()
    many = st.number_input("Attempts, at most", 1, 10, key="attempts")
    return Retry(**{**asdict(base), "attempts": many})


def hedges(usual: Hedge | None) -> Hedge | None:
    """Whether a slow request gets a second one beside it."""
    if not st.toggle("Hedge", key="with_hedge", help="A second request where the first is slow; both are paid"):
        return None
    after = st.number_input("A second request after (s)", 0.05, 600.0, step=0.5, key="hedge_after")
    return Hedge(after=after, budget=1.0)


def fallbacks(usual: Fallback | None, models: Sequence[str]) -> Fallback | None:
    """Another model, where this one fails."""
    if not st.toggle("Fallback", key="with_fallback", help="Another model, where this one fails"):
        return None
    offered = [model for model in choices.models() if model not in models]
    other = st.selectbox("To", offered, index=None, accept_new_options=True, key="fallback_to", placeholder="a model")
    return Fallback(str(other)) if other else usual


def caches(usual: Cache | None) -> Cache | None:
    """Whether the same request is answered out of the store."""
    if not st.toggle("Cache", key="with_cache", help="The same request is answered again for nothing, at once"):
        return None
    hours = st.number_input("For (hours)", 0.01, 10_000.0, key="cache_hours")
    return Cache(ttl=hours * 3600)


def worst(lab: Lab, ask: Ask) -> None:
    """What all of it may come to, before it is sent."""
    if not ask.prompts or not ask.models:
        return
    try:
        policy = ask.bounded(lab.policy)
        lines = [
            (model, lab.explain(_asked(asked), model=model, policy=policy, schema=ask.schema, **dict(ask.params)))
            for _label, asked in ask.prompts[:4]
            for model in ask.models[:8]
        ]
    except (errors.LabError, ValueError, TypeError) as odd:
        st.caption(escape.markdown(one_line(str(odd), 300)))
        return
    said = dict.fromkeys(f"{model} {_head(line)}" for model, line in lines)
    st.caption("At worst: " + "; ".join(escape.markdown(line) for line in said))


def _head(explanation: str) -> str:
    return explanation.split("\n", 1)[0].removeprefix("at worst: ")


def _asked(asked: Any) -> Any:
    return list(asked) if isinstance(asked, tuple) else asked


def chips(ask: Ask) -> list[str]:
    """What is set, each in a few words."""
    said = [f"{name} {one_line(json.dumps(value, ensure_ascii=False), 40)}" for name, value in ask.params.items()]
    for _label, asked in ask.prompts[:1]:
        if isinstance(asked, tuple):
            roles = [message["role"] for message in asked]
            said += ["system message"] if "system" in roles else []
            said += (
                [f"{len(roles) - 1 - ('system' in roles)} turns before"] if len(roles) > 1 + ("system" in roles) else []
            )
            last = asked[-1].get("content") if asked else None
            if isinstance(last, list) and len(last) > 1:
                said.append(f"{len(last) - 1} image{'s' if len(last) > 2 else ''}")
    if ask.schema is not None:
        fields = ", ".join((ask.schema.get("properties") or {}).keys())
        said.append(f"schema: {one_line(fields, 40)}" if fields else "schema")
    for name, part in (ask.policy or {}).items():
        said.append(_part(name, part))
    return said


def _part(name: str, part: Mapping[str, Any] | None) -> str:
    if part is None:
        return {"timeout": "no timeouts", "retry": "no retries"}.get(name, f"no {name}")
    if name == "timeout":
        return "timeouts " + ", ".join(
            f"{key.replace('_', ' ')} {units.seconds(float(part[key]))}"
            for key in ("first_token", "attempt", "total")
            if part.get(key) is not None
        )
    if name == "retry":
        return f"{part['attempts']} attempts"
    if name == "hedge":
        return f"hedge after {units.seconds(float(part['after']))}"
    if name == "fallback":
        return f"fallback to {', '.join(part['models'])}"
    if name == "cache":
        return f"cache {units.duration(float(part['ttl']))}"
    return name


def load(ask: Ask) -> None:
    """Put what was asked into the form, to be changed and asked again. To be called before it is drawn."""
    state = st.session_state
    state["models"] = list(ask.models)
    held = {name for name, value in ask.params.items() if _holds(name, value)}
    for key, name in PLAIN.items():
        state[key] = ask.params[name] if name in held else None
    stop = ask.params["stop"] if "stop" in held else []
    state["stop_at"] = stop if isinstance(stop, str) else ", ".join(stop)
    others = {name: value for name, value in ask.params.items() if name not in held}
    state["extra"] = json.dumps(others, ensure_ascii=False) if others else ""
    state["shape"] = "text" if ask.schema is None else "JSON schema"
    state["schema_text"] = "" if ask.schema is None else json.dumps(ask.schema, ensure_ascii=False, indent=2)
    _load_policy(ask.policy or {})
    asked = ask.prompts[0][1] if ask.prompts else ()
    if not isinstance(asked, tuple):
        saved = choices.prompts()
        names = [label.removesuffix(EDITED) for label, _ in ask.prompts]
        state["saved"] = [name for name in names if name in saved]
        for name, (_label, filled) in zip(names, ask.prompts, strict=True):
            for variable, value in getattr(filled, "variables", {}).items():
                state[f"variable-{variable}"] = value if isinstance(value, str) else json.dumps(value)
            if name in saved and isinstance(filled, Filled):
                templates.load(saved[name], filled.prompt, "template")
        if state["saved"]:
            return
        asked = tuple(asked.messages)
    state["saved"] = []
    system = [message for message in asked[:1] if message.get("role") == "system"]
    rest = list(asked[len(system) :])
    last = rest.pop() if rest and rest[-1].get("role") == "user" else {"content": ""}
    state["system"] = str(system[0].get("content") or "") if system else ""
    state["turns"], state["turns_of"] = rest, ", ".join(ask.models)
    content = last.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": str(content or "")}]
    state["question_text"] = "\n".join(str(part["text"]) for part in parts if isinstance(part.get("text"), str))
    show_pictures([url for part in parts if (url := places.picture(part)) is not None])


def show_pictures(urls: Sequence[str]) -> None:
    """These pictures go with the question, and none that was uploaded before."""
    st.session_state["images"] = list(urls)
    st.session_state["pictures_round"] = st.session_state.get("pictures_round", 0) + 1


def _holds(name: str, value: Any) -> bool:
    """Whether a widget of the form can show this value of a parameter as it is; else it is among the others."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "stop":
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else [None]
        return all(isinstance(text, str) and text == text.strip() != "" and "," not in text for text in texts)
    if name in ("max_tokens", "seed"):
        most = 100_000 if name == "max_tokens" else 2**31 - 1
        return (
            isinstance(value, int)
            and number
            and (name == "seed") <= 1
            and (0 if name == "seed" else 1) <= value <= most
        )
    if name in ("temperature", "top_p"):
        return number and 0 <= value <= (2 if name == "temperature" else 1)
    return name == "reasoning_effort" and value in EFFORTS


def _load_policy(policy: Mapping[str, Any]) -> None:
    state = st.session_state
    usual = backend.lab().policy.content()
    whole = {name: policy.get(name, usual[name]) for name in _PARTS}
    for name, part in whole.items():
        state[f"with_{name}"] = part is not None
    timeout, retry = whole["timeout"] or asdict(Timeout()), whole["retry"] or asdict(Retry())
    for key, name in _LIMITS.items():
        state[key] = timeout.get(name)
    state["attempts"] = retry["attempts"]
    if whole["hedge"]:
        state["hedge_after"] = float(whole["hedge"]["after"])
    if whole["fallback"]:
        state["fallback_to"] = whole["fallback"]["models"][0]
    if whole["cache"]:
        state["cache_hours"] = float(whole["cache"]["ttl"]) / 3600

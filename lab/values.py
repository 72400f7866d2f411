"""The values that pass between the rooms. Frozen; times are seconds, money is US dollars."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from lab.show import units
from lab.show.html import reply_html
from lab.show.text import one_line

T = TypeVar("T", covariant=True)
Lane = Literal["interactive", "batch"]
CachedAs = Literal["exact", "near"]
Role = Literal["first", "retry", "hedge", "fallback", "repair"]
_NONE: Any = None
"""Of whatever type a value would be."""


class Template(Protocol):
    """A named prompt, as a call knows it: `lab.call.prompts.Prompt`."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def hash(self) -> str:
        """Of its content: its version."""

    @property
    def messages(self) -> tuple[Mapping[str, Any], ...]:
        """Its texts, with the marks of its variables in them."""

    @property
    def passages(self) -> tuple[str, ...]:
        """The variables that hold passages."""

    @property
    def question(self) -> str | None:
        """The variable that holds the question to them."""

    @property
    def blank(self) -> tuple[str, ...]:
        """The variables that may be empty."""

    @property
    def stable(self) -> str | None:
        """The part that stays the same from call to call."""


class Schema(Protocol):
    """What an answer is to be, as a call knows it: `lab.checks.Schema`."""

    native: bool | None
    name: str
    json: dict[str, Any]
    sent: dict[str, Any]
    strict: bool

    def content(self) -> str:
        """The schema as JSON, the same for the same schema."""

    def read(self, text: str) -> tuple[Any, Checked]:
        """The value in a text (None where there is none), and what was found on the way."""

    def instruction(self) -> str:
        """What a model is told that can't be held to it."""


class Check(Protocol):
    """A test of an answer, as a call knows it: `lab.checks.Check`."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""

    def content(self) -> str:
        """What tells it from another one."""

    def examine(self, output: Any) -> Checked | Awaitable[Checked]:
        """What is wrong with an output, if anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Where a router has sent a call. `why`: `score` (the gain of the dearest model that was predicted, up to `cut` or
    above it), `other way` (one of the share that looks whether the promise holds), or in words why nothing was
    chosen."""

    router: str
    version: int
    model: str
    why: str
    score: float | None = None
    cut: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortened:
    """How much less a call sends: tokens of its messages `before` and `after`, as they are counted here, and the
    passages that were `left_out`."""

    before: int
    after: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One logical request: what was asked, of which model, and for whom."""

    call_id: str
    model: str
    messages: tuple[Mapping[str, Any], ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    streamed: bool = False
    user: str | None = None
    tags: tuple[str, ...] = ()
    lane: Lane = "interactive"
    prompt_name: str | None = None
    prompt_version: int | None = None
    prompt: Template | None = None
    """The prompt that was filled in."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    experiment: str | None = None
    cell: str | None = None
    job: str | None = None
    """The job that asks it."""
    step: str | None = None
    """Which of its steps it is."""
    key: str | None = None
    schema: Schema | None = None
    checks: tuple[Check, ...] = ()
    routed: Routed | None = None
    """Where its router has sent it; its model is the chosen one then."""
    passages: tuple[int, ...] = ()
    """The places of the messages that are marked as passages."""
    shortened: Shortened | None = None
    """How much less it sends, where it was made shorter."""
    embeds: bool = False
    """Its messages are texts to be embedded: its value is their vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of an answer that something is wrong with: where it is (characters), what it says, and why."""

    start: int
    end: int
    text: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one check found. `message` is what is wrong, in words that a model can act on; `score` is a share from 0
    to 1, where the check has one, and `threshold` what it had to reach. `step` says how a value was read: `strict`,
    `unfenced` or `repaired`. `broken`: the check itself failed, which no other answer mends."""

    name: str
    passed: bool
    message: str = ""
    score: float | None = None
    threshold: float | None = None
    step: str | None = None
    parts: tuple[Part, ...] = ()
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """How a key stands: `mine` to run, `done` with the reply of `call_id`, `other` to wait for, or for a `different`
    request."""

    state: Literal["mine", "done", "other", "different"]
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens in disjoint buckets: each token is in exactly one of them.

    `input` is neither read from nor written to the provider's cache; `output` excludes `reasoning`.
    `estimated` says that the provider reported no usage and the lab counted the text instead. `before` is what would
    have been sent in all, had nothing been made shorter; None where nothing was.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    estimated: bool = False
    raw: Mapping[str, Any] | None = None
    before: int | None = None

    @property
    def input_tokens(self) -> int:
        """All that was sent."""
        return self.input + self.cache_read + self.cache_write

    @property
    def output_tokens(self) -> int:
        """All that was generated."""
        return self.output + self.reasoning


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars a token, one figure a bucket of `Usage`. `estimated`: no list has it, it follows from another."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    reasoning: float
    estimated: bool = False

    def cost(self, usage: Usage) -> float:
        """What `usage` costs at this price, in US dollars."""
        return (
            usage.input * self.input
            + usage.cache_read * self.cache_read
            + usage.cache_write * self.cache_write
            + usage.output * self.output
            + usage.reasoning * self.reasoning
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one attempt brought back, whole."""

    text: str
    finish_reason: str
    usage: Usage
    price: Price | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    answered_by: str | None = None
    request_id: str | None = None
    refusal: str | None = None
    reasoning: str = ""
    """What the model says it thought before it answered."""
    charged: float | None = None
    """US dollars, where its provider says what it took."""
    filtered: str | None = None
    """What the provider's filter found, where it stopped the answer."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What its provider wants to be handed back with it, as fields of an assistant's message: signed thoughts."""

    @property
    def cost(self) -> float | None:
        """US dollars: what its provider says it took, else by the price; None when that is unknown."""
        if self.charged is not None:
            return self.charged
        return None if self.price is None else self.price.cost(self.usage)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in an attempt, in this order.

    `sent`: the request leaves (`way` says how, `form` how it asks for a schema, `price` what its tokens cost).
    `headers`: the answer's headers are in (`status`; `connect` in seconds). `alive`: nothing of the answer, but the
    provider lives. `thought`: text that the model thinks before it answers. `token`: a part of the answer that is no
    text (a tool call). `piece`: text of the answer came. `done`: the whole `answer`, once, with the number of the
    `attempt` that brought it, the `value` read from it (of a call that embeds its vectors) and what its `checks` found;
    `reply` is what the caller is handed, once it is on record. `at` is in seconds on the event loop's clock, read when
    the bytes were handed over by the socket.
    """

    kind: Literal["sent", "headers", "alive", "thought", "token", "piece", "done"]
    at: float
    text: str = ""
    way: str | None = None
    status: int | None = None
    connect: float | None = None
    price: Price | None = None
    answer: Answer | None = None
    attempt: int = 0
    form: str | None = None
    value: Any = None
    checks: tuple[Checked, ...] = ()
    reply: Reply[Any] | None = None

    @property
    def handed(self) -> bool:
        """Whether it brings what a caller reads, be it a thought: from then on nothing is asked again in silence."""
        return self.kind in ("piece", "thought")


Rest = Literal["expired", "cancelled", "lost"]
"""What became of a line of a batch that no result came for."""


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One request on its way into a batch. `service` is the provider's (`lab.call.batching.Service`), `scope` the
    experiment it belongs to: whoever asks it again in the same, for the same `cell`, is given what came of it."""

    service: Any
    model: str
    body: bytes
    call_id: str
    scope: str
    cell: str


@dataclass(frozen=True, slots=True)
class BatchState:
    """How a batch stands: `working`, `ended`, or `refused` as a whole (`message` says why); how many of its lines are
    `completed` and `failed`; where its results are, and what became of those that are not among them."""

    stands: Literal["working", "ended", "refused"]
    completed: int = 0
    failed: int = 0
    message: str | None = None
    results: tuple[str, ...] = ()
    rest: Rest = "lost"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What came of one line of a batch: an HTTP status and a body, or the way in which it came to nothing. `sent_at` is
    when the batch was made, in Unix time."""

    status: int = 0
    body: bytes = b""
    ended: Literal["answered", "broken"] | Rest = "answered"
    sent_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One physical request, as its row in the ledger. `wait` is the delay before it was sent; `ttft` the time to the
    first token, be it of a thought, and `thinking` that from there to the first of the answer, where it thinks."""

    call_id: str
    number: int
    model: str
    role: Role = "first"
    way: str | None = None
    form: str | None = None
    started_at: float = 0.0
    status: str = "running"
    kind: str | None = None
    phase: str | None = None
    reason: str | None = None
    error: str | None = None
    body: str | None = None
    http_status: int | None = None
    retry_after: float | None = None
    wait: float = 0.0
    connect: float | None = None
    ttft: float | None = None
    thinking: float | None = None
    latency: float | None = None
    won: bool = False
    answer: Answer | None = None
    cost: float | None = None
    cost_estimated: bool = False
    loop_lag: float | None = None
    saturated: bool = False
    partial: str = ""
    thoughts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[T]):
    """What a call returns when it succeeds.

    `latency`, `ttft` (time to first token, be it of a thought; None unless streamed) and `thinking` (from there to the
    first token of the answer; None where no thoughts were streamed) are those of the winning attempt, in seconds,
    measured at the socket. `reasoning` is what the model says it thought. `elapsed` is what its caller waited in all,
    from intake to the end, with every retry and wait; `queue` is the part of it before the first request left. `cost`
    is US dollars for all attempts, None when a price is unknown. `value` is what the schema made of the text: an
    `Order` in a `Reply[Order]`, and None without a schema. `checks` is what each check found, and `valid` whether all
    of them passed. `cached` says that the answer came out of the store: True under its key, and out of the cache
    `exact` or `near`, for the same request or for one that may have the same answer; `cached_from` is the call that it
    was the answer of. Out of the cache it costs nothing, has no time but `elapsed`, and `saved` is the US dollars (None
    where unknown) and `saved_seconds` the time that it had taken. `routed`
    says where a router has sent the call, and why: `model` is the name that was asked, `route/<name>`.
    """

    text: str
    call_id: str
    model: str
    finish_reason: str
    usage: Usage
    cost: float | None
    latency: float
    ttft: float | None
    elapsed: float
    queue: float = 0.0
    attempts: int = 1
    answered_by: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    value: T = _NONE
    checks: tuple[Checked, ...] = ()
    cached: bool | CachedAs = False
    cached_from: str | None = None
    saved: float | None = None
    saved_seconds: float | None = None
    hedged: bool = False
    fell_back: bool = False
    routed: Routed | None = None
    reasoning: str = ""
    thinking: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What its provider wants to be handed back with it, as fields of an assistant's message: signed thoughts."""
    asked: tuple[Mapping[str, Any], ...] = ()
    """The messages that it answers."""

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message of a conversation: with its tool calls, and with the signed thoughts that its
        provider wants back with them."""
        said: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.tool_calls:
            said["tool_calls"] = [dict(call) for call in self.tool_calls]
            if self.reasoning:
                said["reasoning_content"] = self.reasoning
        return said | dict(self.extra)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation so far, this answer included: add what comes next, and ask with it."""
        return [*(dict(message) for message in self.asked), self.message]

    @property
    def valid(self) -> bool:
        """Whether every check passed. An answer that did not is only returned where `Repair(then="return")` says so."""
        return all(check.passed for check in self.checks)

    def facts(self) -> str:
        """One line for a person: model, times, tokens, cost."""
        parts = [self.model]
        if self.ttft is not None:
            parts.append(f"first token {units.seconds(self.ttft)}")
        if self.thinking is not None:
            parts.append(f"thinking {units.seconds(self.thinking)}")
        parts.append(f"total {units.seconds(self.elapsed)}")
        thought = f" ({self.usage.reasoning} thought)" if self.usage.reasoning else ""
        parts.append(f"{self.usage.input_tokens}→{self.usage.output_tokens} tokens{thought}")
        parts.append(units.dollars(self.cost))
        if self.attempts > 1:
            parts.append(f"{self.attempts} attempts")
        if isinstance(self.cached, str):
            parts.append(f"{self.cached} hit")
        return " · ".join(parts)

    def __repr__(self) -> str:
        return f"<Reply {one_line(self.text, 60)!r} {self.facts()}>"

    def _repr_html_(self) -> str:
        return reply_html(self.text, self.facts(), self.reasoning)

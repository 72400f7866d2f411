"""The ledger's schema, numbered and append-only: a migration that has been released is never edited."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

APPLICATION_ID = 0x4C414231
"""`LAB1`, in the file's header: tells a ledger from any other SQLite file."""

migrations = Migrations("lab")


@migrations()
def m001_calls_attempts_texts_keys(db: Database) -> None:
    """Calls, their attempts, what was said (searchable), the configurations they ran under, and keys."""
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _M001.split(";;"):
        if statement.strip():
            db.execute(statement)


@migrations()
def m002_texts_kept(db: Database) -> None:
    """Whether a call's words were kept, and what stands in their place where they were not."""
    db.execute("ALTER TABLE texts ADD COLUMN kept INTEGER NOT NULL DEFAULT 1")
    db.execute("ALTER TABLE texts ADD COLUMN digest TEXT")  # JSON: SHA-256 and size of each message and of the answer


@migrations()
def m003_checks_prompts_experiments(db: Database) -> None:
    """What checks found, the versions of prompts, experiments with their cells and scores, and verdicts of gates."""
    for statement in _M003.split(";;"):
        if statement.strip():
            db.execute(statement)


_M003 = """
ALTER TABLE attempts ADD COLUMN form TEXT;;      -- how it asked for a schema: native, json, instructed
ALTER TABLE calls ADD COLUMN valid INTEGER;;     -- whether every check passed; NULL: nothing was checked
ALTER TABLE calls ADD COLUMN cell TEXT;;         -- of its experiment
CREATE INDEX calls_cell ON calls(cell) WHERE cell IS NOT NULL;;
CREATE TABLE checks (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls(call_id),
    attempt INTEGER NOT NULL,          -- whose answer was checked
    place INTEGER NOT NULL,            -- 0, 1, 2 in the order they were asked
    name TEXT NOT NULL,
    passed INTEGER NOT NULL,
    score REAL, threshold REAL,        -- shares from 0 to 1
    step TEXT,                         -- how a value was read: strict, unfenced, repaired
    broken INTEGER NOT NULL DEFAULT 0, -- the check itself failed
    message TEXT,
    parts TEXT,                        -- JSON: start, end, text and why of what is unsupported
    UNIQUE (call_id, attempt, place)
);;
CREATE TABLE prompts (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,          -- 1, 2, 3 per name
    hash TEXT NOT NULL,                -- of the template
    template TEXT NOT NULL,            -- JSON: a list of messages
    blank TEXT NOT NULL DEFAULT '[]',  -- JSON: the variables that may be empty
    created_at REAL NOT NULL,
    changed TEXT NOT NULL,             -- lines against the version before, as a unified diff
    PRIMARY KEY (name, version),
    UNIQUE (name, hash)
);;
CREATE TABLE labels (
    id INTEGER PRIMARY KEY,            -- the last row of a name and label is where it points now
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    version INTEGER NOT NULL,
    moved_at REAL NOT NULL,
    FOREIGN KEY (name, version) REFERENCES prompts(name, version)
);;
CREATE TABLE experiments (
    experiment TEXT PRIMARY KEY,       -- its name
    created_at REAL NOT NULL,
    eval_set TEXT, eval_hash TEXT,     -- name and content of the set, if there was one
    held_out INTEGER NOT NULL DEFAULT 0,
    content TEXT NOT NULL              -- JSON: models, prompts, parameters, repeats, seed, concurrency
);;
CREATE INDEX experiments_eval ON experiments(eval_hash) WHERE eval_hash IS NOT NULL;;
CREATE TABLE cells (
    experiment TEXT NOT NULL REFERENCES experiments(experiment),
    cell TEXT NOT NULL,                -- hash of what is asked: messages, model, parameters, schema, checks, repeat
    place INTEGER NOT NULL,            -- in the grid, before it is shuffled
    current INTEGER NOT NULL DEFAULT 1,-- 0: of an earlier plan of the same name
    prompt_name TEXT, prompt_version INTEGER,
    model TEXT NOT NULL,
    case_id TEXT NOT NULL,
    cluster TEXT NOT NULL,
    tags TEXT NOT NULL DEFAULT '[]',
    repeat INTEGER NOT NULL,
    expected TEXT NOT NULL,            -- hash of what its scores compare with
    PRIMARY KEY (experiment, cell)
) WITHOUT ROWID;;
CREATE TABLE scores (
    call_id TEXT NOT NULL REFERENCES calls(call_id),
    scorer TEXT NOT NULL,
    score REAL,                        -- from 0 to 1; NULL: the scorer failed
    message TEXT,
    PRIMARY KEY (call_id, scorer)
) WITHOUT ROWID;;
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    given_at REAL NOT NULL,
    eval_set TEXT, eval_hash TEXT,
    prompt_name TEXT, prompt_version INTEGER, model TEXT,   -- of the candidate
    baseline TEXT NOT NULL, candidate TEXT NOT NULL,        -- names of experiments
    verdict TEXT NOT NULL,             -- pass, fail, inconclusive
    margin REAL NOT NULL,
    difference REAL, low REAL, high REAL,
    n INTEGER NOT NULL, needed INTEGER
);;
CREATE INDEX verdicts_of ON verdicts(eval_set, model)
"""

_M001 = """
CREATE TABLE configs (
    config TEXT PRIMARY KEY,           -- hash of the content
    content TEXT NOT NULL              -- JSON: parameters and policy, secrets masked
);;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL UNIQUE,
    started_at REAL NOT NULL,          -- Unix time, seconds
    ended_at REAL,
    status TEXT NOT NULL,              -- running, ok, failed, cancelled
    kind TEXT, phase TEXT, reason TEXT,-- of the failure
    error TEXT,
    model TEXT NOT NULL,               -- as asked for
    answered_by TEXT,                  -- as the provider names it
    streamed INTEGER NOT NULL,
    n_attempts INTEGER NOT NULL DEFAULT 0,
    latency REAL, ttft REAL,           -- seconds, of the winning attempt
    queue REAL,                        -- seconds between intake and the first request
    cost REAL,                         -- US dollars, all attempts; NULL is unknown
    cost_estimated INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER, output_tokens INTEGER,
    finish_reason TEXT,
    prompt_name TEXT, prompt_version INTEGER,
    config TEXT REFERENCES configs(config),
    user TEXT,
    tags TEXT NOT NULL DEFAULT '[]',   -- JSON array
    lane TEXT NOT NULL,
    key TEXT,
    cached INTEGER NOT NULL DEFAULT 0,
    hedged INTEGER NOT NULL DEFAULT 0,
    fell_back INTEGER NOT NULL DEFAULT 0,
    experiment TEXT
);;
CREATE INDEX calls_started_at ON calls(started_at);;
CREATE INDEX calls_user ON calls(user) WHERE user IS NOT NULL;;
CREATE INDEX calls_experiment ON calls(experiment) WHERE experiment IS NOT NULL;;
CREATE INDEX calls_model_started_at ON calls(model, started_at);;
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls(call_id),
    number INTEGER NOT NULL,           -- 1, 2, 3 within the call
    role TEXT NOT NULL,                -- first, retry, hedge, fallback, repair
    model TEXT NOT NULL,
    way TEXT,                          -- wire, carried
    started_at REAL NOT NULL,
    status TEXT NOT NULL,              -- running, ok, failed, cancelled
    kind TEXT, phase TEXT, reason TEXT,
    error TEXT, body TEXT,
    http_status INTEGER,
    retry_after REAL,
    wait REAL NOT NULL DEFAULT 0,
    connect REAL, ttft REAL, latency REAL,
    won INTEGER NOT NULL DEFAULT 0,
    cost REAL,
    cost_estimated INTEGER NOT NULL DEFAULT 0,
    price TEXT,                        -- JSON: US dollars a token, a figure a bucket
    input_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER,
    output_tokens INTEGER, reasoning_tokens INTEGER,   -- disjoint
    usage TEXT,                        -- JSON, as the provider sent it
    usage_estimated INTEGER NOT NULL DEFAULT 0,
    finish_reason TEXT,
    request_id TEXT,
    loop_lag REAL,                     -- seconds, the worst while it ran
    saturated INTEGER NOT NULL DEFAULT 0,
    UNIQUE (call_id, number)
);;
CREATE TABLE texts (
    id INTEGER PRIMARY KEY REFERENCES calls(id),
    messages TEXT NOT NULL,            -- JSON, as sent
    prompt TEXT NOT NULL,              -- the messages as plain text
    answer TEXT,
    tool_calls TEXT,                   -- JSON
    done INTEGER NOT NULL DEFAULT 0    -- indexed for search once the call has ended
);;
CREATE TABLE keys (
    key TEXT PRIMARY KEY,              -- idempotency key
    request TEXT NOT NULL,             -- hash of what was asked under it
    call_id TEXT NOT NULL,             -- the call that claimed it
    done INTEGER NOT NULL DEFAULT 0,   -- its reply is stored
    expires_at REAL NOT NULL           -- Unix time at which an unfinished claim is void
);;
CREATE VIRTUAL TABLE texts_fts USING fts5(prompt, answer, content='texts', content_rowid='id');;
CREATE TRIGGER texts_done AFTER UPDATE OF done ON texts WHEN new.done AND NOT old.done BEGIN
    INSERT INTO texts_fts(rowid, prompt, answer) VALUES (new.id, new.prompt, new.answer);
END;;
CREATE TRIGGER texts_gone AFTER DELETE ON texts WHEN old.done BEGIN
    INSERT INTO texts_fts(texts_fts, rowid, prompt, answer) VALUES ('delete', old.id, old.prompt, old.answer);
END
"""

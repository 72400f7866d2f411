"""The ledger's schema, numbered and append-only: a migration that has been released is never edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x4C414231
"""`LAB1`, in the file's header: tells a ledger from any other SQLite file."""

NAME = "lab"
"""Under which sqlite-utils notes what was applied."""

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


def m001_calls_attempts_texts_keys(db: Database) -> None:
    """Calls, their attempts, what was said (searchable), the configurations they ran under, and keys."""
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _M001.split(";;"):
        if statement.strip():
            db.execute(statement)


def m002_texts_kept(db: Database) -> None:
    """Whether a call's words were kept, and what stands in their place where they were not."""
    db.execute("ALTER TABLE texts ADD COLUMN kept INTEGER NOT NULL DEFAULT 1")
    db.execute("ALTER TABLE texts ADD COLUMN digest TEXT")  # JSON: SHA-256 and size of each message and of the answer


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


def m003_checks_prompts_experiments(db: Database) -> None:
    """What checks found, the versions of prompts, experiments with their cells and scores, and verdicts of gates."""
    for statement in _M003.split(";;"):
        if statement.strip():
            db.execute(statement)


_M004 = """
CREATE TABLE packs (                   -- derived, see lab/packs.py: may be deleted at any time
    pack INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used again: what is in memory is known by it
    first INTEGER NOT NULL,            -- ids of the calls in it
    last INTEGER NOT NULL UNIQUE,
    earliest REAL, latest REAL         -- when these calls began
);;
CREATE TABLE pack_columns (
    pack INTEGER NOT NULL REFERENCES packs(pack),
    name TEXT NOT NULL,                -- calls.latency, attempts.cost ...
    data BLOB NOT NULL,
    PRIMARY KEY (pack, name)
) WITHOUT ROWID;;
CREATE TRIGGER packs_gone AFTER DELETE ON packs BEGIN
    DELETE FROM pack_columns WHERE pack = old.pack;
END;;
CREATE TRIGGER packs_call_added AFTER INSERT ON calls WHEN new.id <= (SELECT max(last) FROM packs) BEGIN
    DELETE FROM packs WHERE last >= new.id;   -- all calls were removed, and ids begin again
END;;
CREATE TRIGGER packs_call_changed AFTER UPDATE ON calls WHEN old.id <= (SELECT max(last) FROM packs) BEGIN
    DELETE FROM packs WHERE last >= old.id AND first <= old.id;
END;;
CREATE TRIGGER packs_call_gone AFTER DELETE ON calls WHEN old.id <= (SELECT max(last) FROM packs) BEGIN
    DELETE FROM packs WHERE last >= old.id AND first <= old.id;
END;;
CREATE TRIGGER packs_attempt_added AFTER INSERT ON attempts
    WHEN (SELECT id FROM calls WHERE call_id = new.call_id) <= (SELECT max(last) FROM packs) BEGIN
    DELETE FROM packs WHERE last >= (SELECT id FROM calls WHERE call_id = new.call_id)
        AND first <= (SELECT id FROM calls WHERE call_id = new.call_id);
END;;
CREATE TRIGGER packs_attempt_changed AFTER UPDATE ON attempts
    WHEN (SELECT id FROM calls WHERE call_id = new.call_id) <= (SELECT max(last) FROM packs) BEGIN
    DELETE FROM packs WHERE last >= (SELECT id FROM calls WHERE call_id = new.call_id)
        AND first <= (SELECT id FROM calls WHERE call_id = new.call_id);
END;;
CREATE TABLE call_tags (
    tag TEXT NOT NULL,
    id INTEGER NOT NULL REFERENCES calls(id),
    PRIMARY KEY (tag, id)
) WITHOUT ROWID;;
INSERT OR IGNORE INTO call_tags SELECT value, calls.id FROM calls, json_each(calls.tags);;
CREATE TRIGGER call_tags_put AFTER INSERT ON calls WHEN new.tags <> '[]' BEGIN
    INSERT OR IGNORE INTO call_tags SELECT value, new.id FROM json_each(new.tags);
END;;
CREATE TRIGGER call_tags_gone AFTER DELETE ON calls WHEN old.tags <> '[]' BEGIN
    DELETE FROM call_tags WHERE id = old.id AND tag IN (SELECT value FROM json_each(old.tags));
END;;
DROP INDEX calls_user;;
DROP INDEX calls_experiment;;
CREATE INDEX calls_user ON calls(user, started_at) WHERE user IS NOT NULL;;
CREATE INDEX calls_experiment ON calls(experiment, started_at) WHERE experiment IS NOT NULL;;
CREATE INDEX calls_status ON calls(status, started_at);;
CREATE INDEX calls_kind ON calls(kind, started_at) WHERE kind IS NOT NULL;;
CREATE INDEX keys_call ON keys(call_id);;
CREATE INDEX calls_prompt ON calls(prompt_name, prompt_version, started_at) WHERE prompt_name IS NOT NULL;;
CREATE TABLE jobs (
    name TEXT PRIMARY KEY,             -- the experiment's
    spec TEXT NOT NULL,                -- JSON: what is asked of whom, by names and values
    state TEXT NOT NULL,               -- waiting, running, stopped, done, failed
    stop INTEGER NOT NULL DEFAULT 0,   -- somebody has asked it to stop
    again INTEGER NOT NULL DEFAULT 0,  -- and then to go on
    worker TEXT,                       -- who runs it
    asked_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    cost REAL NOT NULL DEFAULT 0, seconds_left REAL,
    message TEXT
);;
CREATE TABLE ratings (
    id INTEGER PRIMARY KEY,
    given_at REAL NOT NULL,
    call_a TEXT NOT NULL REFERENCES calls(call_id),
    call_b TEXT NOT NULL REFERENCES calls(call_id),
    shown_first TEXT NOT NULL,         -- a, b: which of them stood left
    choice TEXT NOT NULL,              -- a, b, both, neither
    user TEXT                          -- who rated
);;
CREATE VIEW timed_calls AS             -- calls whose times count: answered, not from the store, by an unhurried client
    SELECT calls.* FROM calls JOIN attempts ON attempts.call_id = calls.call_id AND attempts.won = 1
    WHERE NOT calls.cached AND NOT attempts.saturated;;
CREATE VIEW success_by_model AS
    SELECT model, count(*) AS calls, sum(status = 'ok') AS ok, sum(status = 'failed') AS failed,
        avg(CASE WHEN status IN ('ok', 'failed') THEN status = 'ok' END) AS success,
        avg(CASE WHEN valid IS NOT NULL OR kind = 'validation' THEN coalesce(valid, 0) = 0 END) AS invalid,
        sum(cached) AS cached
    FROM calls GROUP BY model;;
CREATE VIEW failures_by_kind AS
    SELECT date(started_at, 'unixepoch') AS day, model, kind, coalesce(phase, reason) AS detail, count(*) AS calls
    FROM calls WHERE status = 'failed' GROUP BY 1, 2, 3, 4;;
CREATE VIEW latency_by_model AS        -- nearest rank; lab.metrics() has the intervals
    SELECT model, count(*) AS calls, min(CASE WHEN place >= 0.5 * n THEN latency END) AS p50,
        min(CASE WHEN place >= 0.95 * n THEN latency END) AS p95,
        min(CASE WHEN place >= 0.99 * n THEN latency END) AS p99, max(latency) AS slowest
    FROM (SELECT model, latency, row_number() OVER (PARTITION BY model ORDER BY latency) AS place,
        count(*) OVER (PARTITION BY model) AS n FROM timed_calls WHERE latency IS NOT NULL) GROUP BY model;;
CREATE VIEW first_token_by_model AS
    SELECT model, count(*) AS calls, min(CASE WHEN place >= 0.5 * n THEN ttft END) AS p50,
        min(CASE WHEN place >= 0.95 * n THEN ttft END) AS p95,
        min(CASE WHEN place >= 0.99 * n THEN ttft END) AS p99, max(ttft) AS slowest
    FROM (SELECT model, ttft, row_number() OVER (PARTITION BY model ORDER BY ttft) AS place,
        count(*) OVER (PARTITION BY model) AS n FROM timed_calls WHERE ttft IS NOT NULL) GROUP BY model;;
CREATE VIEW running_now AS             -- not yet ended; the oldest may be of a process that was killed
    SELECT model, count(*) AS calls, sum(NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.call_id = calls.call_id))
        AS waiting, unixepoch() - min(started_at) AS oldest
    FROM calls WHERE status = 'running' GROUP BY model;;
CREATE VIEW requests_by_role AS
    SELECT model, role, count(*) AS requests, sum(won) AS won, sum(cost) AS cost,
        sum(CASE WHEN won THEN 0 ELSE cost END) AS cost_lost, sum(http_status = 429) AS rate_limited,
        sum(saturated) AS saturated
    FROM attempts GROUP BY model, role;;
CREATE VIEW rate_limits AS
    SELECT date(started_at, 'unixepoch') AS day, model, count(*) AS requests, max(retry_after) AS longest_wait_told
    FROM attempts WHERE kind = 'rate_limit' GROUP BY 1, 2;;
CREATE VIEW spend AS                   -- by day and everything else; sum what you need
    SELECT date(started_at, 'unixepoch') AS day, model, prompt_name, prompt_version, user, experiment,
        count(*) AS calls, sum(cost) AS cost, sum(cost IS NULL AND status <> 'running') AS unknown,
        sum(status = 'ok' AND coalesce(valid, 1)) AS good
    FROM calls GROUP BY 1, 2, 3, 4, 5, 6;;
CREATE VIEW spend_by_tag AS
    SELECT date(started_at, 'unixepoch') AS day, tag, model, count(*) AS calls, sum(cost) AS cost,
        sum(status = 'ok' AND coalesce(valid, 1)) AS good
    FROM call_tags JOIN calls ON calls.id = call_tags.id GROUP BY 1, 2, 3
"""


def m004_packs_tags_views_jobs_ratings(db: Database) -> None:
    """Columns packed for figures, an index of tags, views to watch, experiments that run in the background, ratings."""
    for statement in _M004.split(";;"):
        if statement.strip():
            db.execute(statement)


_M005 = """
CREATE TABLE leases (                  -- who may do what one process at a time may do
    space TEXT NOT NULL,               -- key, experiment, job: names of different kinds don't meet
    name TEXT NOT NULL,
    token TEXT NOT NULL,               -- whoever finishes must still hold it
    host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL, began TEXT NOT NULL,   -- its owner's process
    expires_at REAL NOT NULL,          -- Unix time at which it is void, if nobody renews it
    PRIMARY KEY (space, name)
) WITHOUT ROWID;;
DELETE FROM keys WHERE NOT done AND request = 'experiment'
"""


def m005_leases(db: Database) -> None:
    """One lease for keys, experiments and background work, each in a namespace of its own."""
    for statement in _M005.split(";;"):
        db.execute(statement)


_M006 = """
ALTER TABLE calls ADD COLUMN cached_as TEXT;;    -- key, exact, near: how its answer came out of the store
ALTER TABLE calls ADD COLUMN cached_from TEXT;;  -- the call whose answer it was
ALTER TABLE calls ADD COLUMN saved REAL;;        -- US dollars that the answer of the cache had cost; NULL is unknown
ALTER TABLE calls ADD COLUMN saved_seconds REAL;;-- that it had taken, less what this call took
CREATE INDEX calls_cached ON calls(started_at) WHERE cached_as IN ('exact', 'near');;
CREATE TABLE cache_entries (           -- answers that may be given again
    id INTEGER PRIMARY KEY,
    request TEXT NOT NULL UNIQUE,      -- hash of what was asked, of whom, by whose key, and for whom
    call_id TEXT NOT NULL,             -- whose answer it is
    kept_at REAL NOT NULL,             -- Unix time
    expires_at REAL,
    size INTEGER NOT NULL,             -- bytes
    rest TEXT,                         -- hash of all of the request but what may be said otherwise; NULL: nothing may
    words TEXT, word_order TEXT,       -- signatures of that, see lab/call/near/rule.py
    embedder TEXT, vector BLOB         -- of that: 16-bit floats, of length 1
);;
CREATE INDEX cache_entries_near ON cache_entries(rest, words) WHERE rest IS NOT NULL;;
CREATE INDEX cache_entries_call ON cache_entries(call_id);;
CREATE INDEX cache_entries_expired ON cache_entries(expires_at) WHERE expires_at IS NOT NULL;;
CREATE TABLE cache_size (id INTEGER PRIMARY KEY CHECK (id = 0), entries INTEGER NOT NULL, bytes INTEGER NOT NULL);;
INSERT INTO cache_size VALUES (0, 0, 0);;
CREATE TRIGGER cache_entries_put AFTER INSERT ON cache_entries BEGIN
    UPDATE cache_size SET entries = entries + 1, bytes = bytes + new.size;
END;;
CREATE TRIGGER cache_entries_gone AFTER DELETE ON cache_entries BEGIN
    UPDATE cache_size SET entries = entries - 1, bytes = bytes - old.size;
END;;
CREATE TRIGGER cache_entries_call_gone AFTER DELETE ON calls BEGIN
    DELETE FROM cache_entries WHERE call_id = old.call_id;
END;;
CREATE TABLE cache_labels (            -- would-be near hits whose answers were compared
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    lane TEXT NOT NULL,                -- the prompt's name and version; 'messages' where there is none
    embedder TEXT NOT NULL, rule INTEGER NOT NULL,
    share REAL NOT NULL,               -- of near hits that may be wrong, as the call wanted it
    closeness REAL NOT NULL,           -- cosine; 1 more where the words come in the same order
    wrong INTEGER,                     -- the kept answer would not have done; NULL: a person is to say
    how TEXT NOT NULL,                 -- value, label, function, judge, person, given
    call_id TEXT, kept_from TEXT,      -- the call that was asked all the same, and the one whose answer was kept
    pair TEXT                          -- of a label that was given: hash of both requests
);;
CREATE INDEX cache_labels_lane ON cache_labels(lane, embedder, rule, id);;
CREATE INDEX cache_labels_pair ON cache_labels(lane, pair) WHERE pair IS NOT NULL;;
CREATE INDEX cache_labels_open ON cache_labels(id) WHERE wrong IS NULL;;
CREATE TABLE cache_certificates (      -- what labels have shown, a row a look
    id INTEGER PRIMARY KEY,
    given_at REAL NOT NULL,
    lane TEXT NOT NULL, embedder TEXT NOT NULL, rule INTEGER NOT NULL,
    share REAL NOT NULL,               -- of near hits that may be wrong
    labels INTEGER NOT NULL,           -- there were
    n INTEGER NOT NULL, wrong INTEGER NOT NULL, high REAL NOT NULL,   -- within the step: the share's upper bound
    closeness REAL,                    -- from which on hits are served; NULL: none is
    spent REAL NOT NULL,               -- probability with which this look certifies what isn't so
    evidence REAL NOT NULL DEFAULT 1,  -- against it, since: see lab/stats/certificates.py
    checked INTEGER NOT NULL DEFAULT 0, checked_wrong INTEGER NOT NULL DEFAULT 0,   -- labels since
    stopped_at REAL,                   -- nothing is served on its word any more
    last_label INTEGER                 -- where it was this one that broke: no label up to this one counts any more
);;
CREATE INDEX cache_certificates_lane ON cache_certificates(lane, embedder, rule, share, id)
"""


def m006_cache(db: Database) -> None:
    """Answers that may be given again, what is known of requests in other words, and which calls were answered so."""
    for statement in _M006.split(";;"):
        db.execute(statement)


_M007 = """
ALTER TABLE calls ADD COLUMN router TEXT;;       -- name@version of the router that chose the model
ALTER TABLE calls ADD COLUMN routed_to TEXT;;    -- the model that it chose
ALTER TABLE calls ADD COLUMN routed_why TEXT;;   -- score, other way, or why nothing was chosen
ALTER TABLE calls ADD COLUMN route_score REAL;;  -- the gain of the dearest model that was predicted
ALTER TABLE calls ADD COLUMN route_cut REAL;;    -- up to which the cheaper one is asked
CREATE INDEX calls_router ON calls(router) WHERE router IS NOT NULL;;
CREATE TABLE routers (                 -- versions of what chooses a model
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL, version INTEGER NOT NULL,
    made_at REAL NOT NULL,             -- Unix time
    prompt_name TEXT NOT NULL, prompt_hash TEXT NOT NULL,      -- what it was fitted on
    eval_set TEXT, eval_hash TEXT, cases INTEGER NOT NULL,
    models TEXT NOT NULL,              -- JSON: cheapest first, the dearest last
    margin REAL NOT NULL,              -- how much of the dearest model's score may be lost
    cut REAL,                          -- the predicted gain up to which a cheaper one is asked; NULL: none is
    explore REAL NOT NULL,             -- share of calls that goes another way
    figures TEXT NOT NULL,             -- JSON: what is promised, and from what
    learnt BLOB,                       -- arrays: see lab/stats/gains.py
    wrong TEXT,                        -- why it doesn't choose any more
    UNIQUE (name, version)
)
"""


def m007_routers(db: Database) -> None:
    """Routers and their versions, and which call was sent where by which of them."""
    for statement in _M007.split(";;"):
        db.execute(statement)


_M008 = """
ALTER TABLE calls ADD COLUMN tokens_before INTEGER;;   -- input tokens, had nothing been made shorter
ALTER TABLE texts ADD COLUMN left_out TEXT;;           -- JSON: passages of the messages that were not sent
-- the variables that hold passages, as JSON, and the one that asks about them
ALTER TABLE prompts ADD COLUMN passages TEXT NOT NULL DEFAULT '[]';;
ALTER TABLE prompts ADD COLUMN question TEXT
"""


def m008_compression(db: Database) -> None:
    """How much shorter a call was made, and what was left out."""
    for statement in _M008.split(";;"):
        db.execute(statement)


_M009 = """
CREATE TABLE batches (                 -- what was sent through a provider's batch service
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,        -- goes with it, so that it can be found at the provider
    experiment TEXT NOT NULL,
    service TEXT NOT NULL, model TEXT NOT NULL,
    name TEXT,                         -- the provider's; NULL: not known that it is there
    state TEXT NOT NULL,               -- see lab/ledger/batches.py
    lines INTEGER NOT NULL,
    completed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,   -- as the provider says
    made_at REAL NOT NULL, sent_at REAL, ended_at REAL,    -- Unix time
    message TEXT
);;
CREATE INDEX batches_experiment ON batches(experiment);;
CREATE TABLE batch_lines (
    batch INTEGER NOT NULL, line TEXT NOT NULL,   -- hash of the request and of whose it is
    call_id TEXT,                      -- the call that it was handed to
    PRIMARY KEY (batch, line)
) WITHOUT ROWID;;
CREATE INDEX batch_lines_call ON batch_lines(call_id) WHERE call_id IS NOT NULL
"""


def m009_batches(db: Database) -> None:
    """What was sent through batch services, and which call had which line of it."""
    for statement in _M009.split(";;"):
        db.execute(statement)


_M010 = """
ALTER TABLE calls ADD COLUMN job TEXT;;          -- the job that asked it
ALTER TABLE calls ADD COLUMN step TEXT;;         -- which of its steps: what is asked, and for the how manieth time
CREATE INDEX calls_job ON calls(job, started_at) WHERE job IS NOT NULL;;
DROP TABLE jobs
"""


def m010_jobs(db: Database) -> None:
    """Which job a call belongs to; jobs themselves are in a file of their own."""
    for statement in _M010.split(";;"):
        db.execute(statement)


_M011 = """
CREATE TABLE colours (                 -- of models: see lab/show/palette.py
    name TEXT PRIMARY KEY,
    place INTEGER NOT NULL
) WITHOUT ROWID;;
CREATE TABLE notes (                   -- what a person says of a call
    call_id TEXT PRIMARY KEY,
    starred INTEGER NOT NULL DEFAULT 0,
    note TEXT,
    noted_at REAL NOT NULL             -- Unix time
) WITHOUT ROWID;;
CREATE TABLE asks (                    -- what was asked once of several models and prompts, side by side
    ask TEXT PRIMARY KEY,
    asked_at REAL NOT NULL,            -- Unix time
    title TEXT, name TEXT, note TEXT,
    pinned INTEGER NOT NULL DEFAULT 0,
    request TEXT NOT NULL,             -- JSON: see lab/evals/asks.py
    calls TEXT NOT NULL                -- JSON: identifiers, a list
) WITHOUT ROWID;;
CREATE INDEX asks_time ON asks(pinned DESC, asked_at DESC);;
CREATE TABLE cases (                   -- what an experiment's cases were, and what was expected, if words are kept
    eval_hash TEXT NOT NULL, case_id TEXT NOT NULL,
    content TEXT NOT NULL,             -- JSON: a line of a set
    PRIMARY KEY (eval_hash, case_id)
) WITHOUT ROWID;;
CREATE TABLE set_cases (               -- eval sets made of calls and of rows of experiments
    set_name TEXT NOT NULL, case_id TEXT NOT NULL,
    content TEXT NOT NULL,             -- JSON: a line of a set
    call_id TEXT,                      -- what it was made of
    added_at REAL NOT NULL,            -- Unix time
    PRIMARY KEY (set_name, case_id)
) WITHOUT ROWID
"""


def m011_playground(db: Database) -> None:
    """What people keep in the playground: colours of models, notes on calls, questions asked once, sets of their own;
    and what was expected of the cells of an experiment."""
    for statement in _M011.split(";;"):
        db.execute(statement)


_M012 = """
ALTER TABLE attempts ADD COLUMN thinking REAL;;        -- seconds from the first token of a thought to the answer's
ALTER TABLE calls ADD COLUMN thinking REAL;;           -- of the winning attempt
ALTER TABLE calls ADD COLUMN reasoning_tokens INTEGER;;
ALTER TABLE texts ADD COLUMN reasoning TEXT;;          -- what the model says it thought
ALTER TABLE texts ADD COLUMN extra TEXT;;              -- JSON: what its provider wants back with the answer, signed
CREATE VIRTUAL TABLE thoughts_fts USING fts5(reasoning, content='texts', content_rowid='id');;
CREATE TRIGGER thoughts_done AFTER UPDATE OF done ON texts
    WHEN new.done AND NOT old.done AND new.reasoning IS NOT NULL BEGIN
    INSERT INTO thoughts_fts(rowid, reasoning) VALUES (new.id, new.reasoning);
END;;
CREATE TRIGGER thoughts_gone AFTER DELETE ON texts WHEN old.done AND old.reasoning IS NOT NULL BEGIN
    INSERT INTO thoughts_fts(thoughts_fts, rowid, reasoning) VALUES ('delete', old.id, old.reasoning);
END;;
CREATE TABLE embeddings (              -- of texts, by the model and what was asked of it
    request TEXT NOT NULL,             -- hash of model, parameters and address
    text TEXT NOT NULL,                -- hash of the text
    vector BLOB NOT NULL,              -- float32
    call_id TEXT NOT NULL,             -- that brought it
    PRIMARY KEY (request, text)
) WITHOUT ROWID;;
CREATE INDEX embeddings_of ON embeddings(call_id);;
ALTER TABLE prompts ADD COLUMN stable TEXT;;           -- the part that stays the same from call to call: system
CREATE INDEX attempts_cached ON attempts(call_id) WHERE cache_read_tokens > 0 OR cache_write_tokens > 0;;
DELETE FROM packs
"""


def m012_thinking(db: Database) -> None:
    """What models think before they answer, how long it takes, and embeddings."""
    for statement in _M012.split(";;"):
        db.execute(statement)


STEPS = (
    m001_calls_attempts_texts_keys,
    m002_texts_kept,
    m003_checks_prompts_experiments,
    m004_packs_tags_views_jobs_ratings,
    m005_leases,
    m006_cache,
    m007_routers,
    m008_compression,
    m009_batches,
    m010_jobs,
    m011_playground,
    m012_thinking,
)
"""All of them, oldest first: a new one is a line here."""

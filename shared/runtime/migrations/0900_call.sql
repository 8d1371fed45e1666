-- What a service has asked to be done outside and has no answer to yet: only where a service makes calls. Written in the transaction that
-- asks, deleted in the one that judges the answer. Portable: SQLite and PostgreSQL read the same text.
create table call (
    -- The idempotency key at the other side.
    id          text   not null primary key,
    -- A constant word, for lists and metrics.
    purpose     text   not null,
    -- Which record it is about.
    about       text   not null,
    -- JSON: whatever performing it needs.
    request     text   not null,
    -- 1: it goes before those that have 0.
    goes_first  bigint not null check (goes_first in (0, 1)),
    -- When it was asked for; an answer to an earlier asking under the same id is none to this.
    asked_us    bigint not null,
    -- When it is tried next; while an attempt is under way, when that counts as lost.
    due_us      bigint not null,
    attempts    bigint not null default 0,
    -- Why the last attempt told nothing; null before there was one.
    problem     text,
    traceparent text,
    tracestate  text
);
create index call_due on call (goes_first, due_us);
create index call_asked on call (asked_us, id);

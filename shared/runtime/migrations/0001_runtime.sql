-- What the runtime keeps in every service's own database. Portable: SQLite and PostgreSQL read the same text.
-- Times are microseconds since 1970; ids are UUIDv7 as text.

-- Which facts and commands were applied. Only saves work: safety rests on the records themselves.
create table inbox (
    id      text   not null primary key,
    -- When it was applied; rows older than the broker's window are dropped.
    seen_us bigint not null
);
create index inbox_seen on inbox (seen_us);

-- What was said and is not yet known to lie in the stream. Written in the transaction that decided it; deleted after
-- the broker's acknowledgement, by a later transaction. Column names as Debezium's outbox router expects them.
create table outbox (
    id            text   not null primary key,
    aggregatetype text   not null,
    aggregateid   text   not null,
    type          text   not null,
    payload       text   not null,
    subject       text   not null,
    -- The fact or command that this answers.
    causation_id  text,
    time_us       bigint not null,
    traceparent   text,
    tracestate    text,
    -- Until then the process that wrote it is publishing it; after that any replica's sweeper may.
    lease_us      bigint not null,
    -- How often a sweeper took it.
    attempt       bigint not null default 0
);
create index outbox_lease on outbox (lease_us);

-- What could not be read or applied, kept whole. One row for each (what it is about, type, reason).
create table dead_letter (
    id          text   not null primary key,
    aggregateid text   not null,
    type        text   not null,
    reason      text   not null,
    subject     text   not null,
    -- JSON object of the message's headers.
    headers     text   not null,
    -- The data as text, or base64 when it is none.
    payload     text   not null,
    count       bigint not null check (count > 0),
    -- The `ce-id` of the last one: one message delivered twice counts once.
    last_id     text   not null,
    first_us    bigint not null,
    last_us     bigint not null,
    unique (aggregateid, type, reason)
);

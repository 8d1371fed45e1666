-- One row for each (trip, position) that this leg was asked for or told of. Every column but the key has a default, for
-- a row is claimed (inserted empty, and so locked) before it is judged; a claim that nothing was written to is deleted
-- in the same transaction. Times are microseconds since 1970.
create table leg (
    trip            text   not null,
    -- The place on the itinerary: a service may own several of one trip.
    position        bigint not null check (position >= 0),
    state           text   not null default 'none' check (state in ('none', 'held', 'confirmed', 'released', 'rejected')),
    -- The whole itinerary as it came, byte for byte: it is relayed, and a timer has no fact to take it from.
    itinerary       text   not null default '',
    deadline_us     bigint not null default 0,
    budget_minor    bigint,
    budget_currency text,
    -- Price and running total, fixed at the hold and said again verbatim.
    price_minor     bigint,
    currency        text,
    total           text,
    -- Why it was rejected or released.
    reason_code     text,
    reason_message  text,
    -- What is or was held: JSON, [{"key": [...], "quantity": n}]. Kept after a release, for the reader.
    holds           text,
    -- When to announce again; only a hold waits.
    due_us          bigint,
    tries           bigint not null default 0,
    -- The last announcement: while it lies in the outbox, saying it again would add nothing.
    said_id         text,
    traceparent     text,
    tracestate      text,
    changed_us      bigint not null default 0,
    -- When the row may be dropped: only released and rejected ones ever are.
    forget_us       bigint,
    primary key (trip, position)
);
create index leg_due on leg (due_us) where due_us is not null;
create index leg_forget on leg (forget_us) where forget_us is not null;

-- Trips, the keys they were asked for under, and the legs that can be booked. Times are microseconds since 1970.

-- One row for each trip: only here is it decided whether it goes through.
create table trip (
    trip             text   not null primary key,
    state            text   not null default 'none' check (state in ('none', 'pending', 'confirmed', 'undoing', 'closed')),
    -- Decided when undoing is entered, or at the pivot.
    outcome          text   check (outcome in ('confirmed', 'rejected', 'cancelled', 'expired')),
    reason_code      text,
    reason_message   text,
    -- What was asked for, byte for byte: it is relayed to every leg.
    itinerary        text   not null default '',
    deadline_us      bigint not null default 0,
    budget_minor     bigint,
    budget_currency  text,
    -- For whom, in the caller's own words.
    traveller        text,
    -- JSON, one entry for each position: null while it may hold something, else how booking knows that it does not.
    settled          text   not null default '[]',
    -- JSON list of money: what it costs, once it is confirmed.
    total            text,
    -- When to look up again: the deadline or the next announcement.
    due_us           bigint,
    tries            bigint not null default 0,
    -- The last announcement: while it lies in the outbox, saying it again would add nothing.
    said_id          text,
    traceparent      text,
    tracestate       text,
    created_us       bigint not null default 0,
    changed_us       bigint not null default 0,
    undoing_since_us bigint,
    -- When the row may be dropped: only closed trips ever are.
    forget_us        bigint
);
create index trip_due on trip (due_us) where due_us is not null;
create index trip_open on trip (changed_us) where state in ('pending', 'undoing');
create index trip_forget on trip (forget_us) where forget_us is not null;

-- A caller's own name for a request, so that repeating it makes no second trip. Claimed in the transaction that makes
-- the trip; a request that was refused leaves nothing here.
create table idempotency (
    key         text   not null primary key,
    -- SHA-256 of what was asked, whatever its spelling.
    fingerprint text   not null default '',
    trip        text   not null default '',
    -- After a day the key may be used anew.
    forget_us   bigint
);
create index idempotency_forget on idempotency (forget_us) where forget_us is not null;

-- Legs that said that they are there: what can be booked.
create table joined_leg (
    leg     text   not null primary key,
    seen_us bigint not null,
    -- JSON: which fields of its details are counts, and which are dates.
    shape   text   not null default '{}'
);

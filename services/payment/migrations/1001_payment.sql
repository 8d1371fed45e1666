-- One row for each (trip, position) that the payment was asked for or told of. Every column but the key has a default, for a row is
-- claimed (inserted empty, and so locked) before it is judged; a claim that nothing was written to is deleted in the same transaction.
-- Times are microseconds since 1970. Of what is paid with, the provider's id is all that is here.
create table payment (
    trip            text   not null,
    position        bigint not null check (position >= 0),
    state           text   not null default 'none' check (state in ('none', 'opening', 'authorising', 'held', 'capturing', 'captured',
                                                                    'unpaid', 'voiding', 'refunding', 'released', 'rejected')),
    -- The whole itinerary as it came, byte for byte: it is relayed, and an answer has no fact to take it from.
    itinerary       text   not null default '',
    deadline_us     bigint not null default 0,
    budget_minor    bigint,
    budget_currency text,
    -- What is paid: the running total when its turn came.
    amount_minor    bigint,
    currency        text,
    -- The provider's ids of what it is paid with, and of the payment.
    method          text,
    intent          text,
    -- The purpose of the call that is under way: at most one is.
    asked           text check (asked in ('open', 'authorise', 'capture', 'void', 'refund')),
    -- How often a call was refused that is asked again until it is granted; part of its idempotency key.
    refusals        bigint not null default 0,
    -- 1 once the trip is known to be off: acted on when the call under way is answered.
    undo            bigint not null default 0,
    -- Why it was rejected or released, or is to be.
    reason_code     text,
    reason_message  text,
    -- What the provider refused last, for whoever looks.
    trouble         text,
    -- When to announce again, or to ask the provider again.
    due_us          bigint,
    tries           bigint not null default 0,
    -- The last announcement: while it lies in the outbox, saying it again would add nothing.
    said_id         text,
    traceparent     text,
    tracestate      text,
    changed_us      bigint not null default 0,
    -- From when on a person should look at it.
    attention_us    bigint,
    -- When the row may be dropped: only released and rejected ones ever are.
    forget_us       bigint,
    primary key (trip, position)
);
create index payment_due on payment (due_us) where due_us is not null;
create index payment_attention on payment (attention_us) where attention_us is not null;
create index payment_forget on payment (forget_us) where forget_us is not null;
-- What is not over: few among millions.
create index payment_open on payment (changed_us) where state in ('opening', 'authorising', 'held', 'capturing', 'unpaid', 'voiding', 'refunding');

-- What became of dead letters that an operator replayed or discarded: the letter as it was, and what was done with it. Dropped when
-- `forget_us` has come.
create table dead_letter_past (
    -- The letter's own id: it has one fate.
    id          text   not null primary key,
    aggregateid text   not null,
    type        text   not null,
    reason      text   not null,
    subject     text   not null,
    headers     text   not null,
    payload     text   not null,
    count       bigint not null,
    last_id     text   not null,
    first_us    bigint not null,
    last_us     bigint not null,
    -- `replayed` or `discarded`.
    outcome     text   not null,
    -- In the operator's words; empty where nothing was said.
    why         text   not null,
    who         text   not null,
    at_us       bigint not null,
    forget_us   bigint not null
);
create index dead_letter_past_at on dead_letter_past (at_us, id);
create index dead_letter_past_forget on dead_letter_past (forget_us);

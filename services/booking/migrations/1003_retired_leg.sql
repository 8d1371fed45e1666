-- Legs that an operator has retired: they said that they are there, and no new trip is taken with them. Times are microseconds since
-- 1970. A table of its own: what a leg says of itself, again and again, is written beside it and never over it.
create table retired_leg (
    leg        text   not null primary key,
    -- Null once it has been restored.
    retired_us bigint,
    -- The operator's word.
    reason     text   not null default ''
);

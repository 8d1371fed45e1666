-- Seats, one row for each flight and date. Counts are changed by differences and never set, and the database itself
-- refuses what would oversell.
create table seat (
    flight      text   not null,
    -- The local calendar date of departure, YYYY-MM-DD.
    date        text   not null,
    total       bigint not null,
    -- For trips that are not decided yet.
    held        bigint not null check (held >= 0),
    confirmed   bigint not null check (confirmed >= 0),
    free        bigint not null check (free >= 0),
    -- What one costs today, in minor units; a trip keeps the price it was held at.
    price_minor bigint not null check (price_minor >= 0),
    currency    text   not null,
    primary key (flight, date),
    check (held + confirmed + free = total)
);

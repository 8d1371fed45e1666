-- Rooms, one row for each hotel, room type and night. Counts are changed by differences and never set, and the database
-- itself refuses what would oversell.
create table room (
    hotel       text   not null,
    room_type   text   not null,
    -- The local calendar date on which the night begins, YYYY-MM-DD.
    night       text   not null,
    total       bigint not null,
    -- For trips that are not decided yet.
    held        bigint not null check (held >= 0),
    confirmed   bigint not null check (confirmed >= 0),
    free        bigint not null check (free >= 0),
    -- What one costs today, in minor units; a trip keeps the price it was held at.
    price_minor bigint not null check (price_minor >= 0),
    currency    text   not null,
    primary key (hotel, room_type, night),
    check (held + confirmed + free = total)
);

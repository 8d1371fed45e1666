create table runtime_migration (version bigint primary key, description text not null, installed_on timestamp not null default current_timestamp, success boolean not null, checksum blob not null, execution_time bigint not null);
insert into runtime_migration values (1, 'runtime', '2026-11-22 16:03:22', true, X'0D5BCAEA44302D23844DD9888C3BCBA3B8ED32F4A743FBF9A7820AFC7723759409EE9206F7B6C9B7F6C2A51E8FA3E555', 6052450);
create table service_migration (version bigint primary key, description text not null, installed_on timestamp not null default current_timestamp, success boolean not null, checksum blob not null, execution_time bigint not null);
insert into service_migration values (1, 'leg', '2026-11-22 16:03:22', true, X'320D370E5176C36C700D4A730AAE3D626410D05D5468FD089DDA3979C27CAE4FCD8FEACE168BAC6D633DB72C0765E880', 3236954);
insert into service_migration values (1001, 'room', '2026-11-22 16:03:22', true, X'57BAAAA9DA3DC3070007E139F5BCAF9A567DB039A5AC2F408419307ABCF8178B7177EFD9F34D82FDA42442BE77A1DC24', 1615076);
CREATE TABLE inbox (
    id      text   not null primary key,
    -- When it was applied; rows older than the broker's window are dropped.
    seen_us bigint not null
);
CREATE INDEX inbox_seen on inbox (seen_us);
CREATE TABLE outbox (
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
CREATE INDEX outbox_lease on outbox (lease_us);
CREATE TABLE dead_letter (
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
CREATE TABLE leg (
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
CREATE INDEX leg_due on leg (due_us) where due_us is not null;
CREATE INDEX leg_forget on leg (forget_us) where forget_us is not null;
CREATE TABLE room (
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
insert into inbox (id, seen_us) values ('01a203ff-72fb-7239-8c43-18b57959ea98', 1795363402492000);
insert into inbox (id, seen_us) values ('01a203ff-7300-7245-b658-5d2f0d134603', 1795363402496000);
insert into inbox (id, seen_us) values ('01a203ff-7305-72ce-9904-5b27b137a3c2', 1795363402502000);
insert into inbox (id, seen_us) values ('01a203ff-730c-7194-ae49-37d0b4c93c29', 1795363402508000);
insert into inbox (id, seen_us) values ('01a203ff-730f-7732-9d91-b6267686b169', 1795363402511000);
insert into inbox (id, seen_us) values ('01a203ff-7313-733b-a105-59a016457ad3', 1795363402516000);
insert into inbox (id, seen_us) values ('01a203ff-731f-7090-8ea7-8b3b9a2ebc82', 1795363402533000);
insert into inbox (id, seen_us) values ('01a203ff-7334-70db-857c-5ff4e98ef8e4', 1795363402553000);
insert into inbox (id, seen_us) values ('01a203ff-7342-71fa-a17a-d7075a9be4d8', 1795363402566000);
insert into inbox (id, seen_us) values ('01a203ff-7347-7536-b894-0e3acbce7acb', 1795363402572000);
insert into inbox (id, seen_us) values ('01a203ff-735b-7080-996a-ea29df14646b', 1795363402591000);
insert into inbox (id, seen_us) values ('01a203ff-7366-73e0-bf86-e7c79a68f8ca', 1795363402617000);
insert into inbox (id, seen_us) values ('01a203ff-7375-7425-8105-e5f14f024fd0', 1795363402625000);
insert into leg (trip, position, state, itinerary, deadline_us, budget_minor, budget_currency, price_minor, currency, total, reason_code, reason_message, holds, due_us, tries, said_id, traceparent, tracestate, changed_us, forget_us) values ('01a203ff-7317-7349-8837-520964ed384f', 1, 'confirmed', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":2},{"check_in":"2039-06-03","check_out":"2039-06-05","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, 100000, 'EUR', 19800, 'EUR', '[{"amount_minor":44400,"currency":"EUR"}]', NULL, NULL, '[{"key":["LIS","double","2039-06-03"],"quantity":1},{"key":["LIS","double","2039-06-04"],"quantity":1}]', NULL, 0, '01a203ff-7326-766f-8473-a8809648422d', '00-793bf5637535566212fb30b368bc9668-9afb74ac26e5ac7b-00', NULL, 1795363402554766, NULL);
insert into leg (trip, position, state, itinerary, deadline_us, budget_minor, budget_currency, price_minor, currency, total, reason_code, reason_message, holds, due_us, tries, said_id, traceparent, tracestate, changed_us, forget_us) values ('01a203ff-733b-747b-b38a-c78beb632b9a', 1, 'rejected', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":1},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"FULL","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, NULL, NULL, NULL, 'sold-out', 'FULL double 2039-06-03: 1 wanted, 0 left', NULL, NULL, 0, '01a203ff-7347-7536-b894-0e3acbce7acb', '00-8e5295adf51348b016ceb9c0eedeea68-03dc6e9abc88d921-00', NULL, 1795363402567160, 2191104000000000);
insert into leg (trip, position, state, itinerary, deadline_us, budget_minor, budget_currency, price_minor, currency, total, reason_code, reason_message, holds, due_us, tries, said_id, traceparent, tracestate, changed_us, forget_us) values ('01a203ff-7356-72f9-9e1f-b7c0bf6fda53', 1, 'released', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":1},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, 9900, 'EUR', '[{"amount_minor":22200,"currency":"EUR"}]', 'cancelled-by-traveller', 'cancelled by the traveller', '[{"key":["LIS","double","2039-06-03"],"quantity":1}]', NULL, 0, '01a203ff-7384-767c-b211-63877862fb82', '00-e8e3e5083c476e7bd90af46ea0309714-e9c31b1b583c8857-00', NULL, 1795363402627643, 2191104000000000);
insert into room (hotel, room_type, night, total, held, confirmed, free, price_minor, currency) values ('LIS', 'double', '2039-06-03', 5, 0, 1, 4, 9900, 'EUR');
insert into room (hotel, room_type, night, total, held, confirmed, free, price_minor, currency) values ('LIS', 'double', '2039-06-04', 5, 0, 1, 4, 9900, 'EUR');
insert into room (hotel, room_type, night, total, held, confirmed, free, price_minor, currency) values ('LIS', 'double', '2039-06-05', 5, 0, 0, 5, 9900, 'EUR');
insert into room (hotel, room_type, night, total, held, confirmed, free, price_minor, currency) values ('FULL', 'double', '2039-06-03', 0, 0, 0, 0, 9900, 'EUR');
insert into room (hotel, room_type, night, total, held, confirmed, free, price_minor, currency) values ('FULL', 'double', '2039-06-04', 0, 0, 0, 0, 9900, 'EUR');
insert into room (hotel, room_type, night, total, held, confirmed, free, price_minor, currency) values ('FULL', 'double', '2039-06-05', 0, 0, 0, 0, 9900, 'EUR');

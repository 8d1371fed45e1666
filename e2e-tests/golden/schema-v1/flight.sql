create table runtime_migration (version bigint primary key, description text not null, installed_on timestamp not null default current_timestamp, success boolean not null, checksum blob not null, execution_time bigint not null);
insert into runtime_migration values (1, 'runtime', '2026-11-22 16:03:22', true, X'0D5BCAEA44302D23844DD9888C3BCBA3B8ED32F4A743FBF9A7820AFC7723759409EE9206F7B6C9B7F6C2A51E8FA3E555', 6397985);
create table service_migration (version bigint primary key, description text not null, installed_on timestamp not null default current_timestamp, success boolean not null, checksum blob not null, execution_time bigint not null);
insert into service_migration values (1, 'leg', '2026-11-22 16:03:22', true, X'320D370E5176C36C700D4A730AAE3D626410D05D5468FD089DDA3979C27CAE4FCD8FEACE168BAC6D633DB72C0765E880', 2584906);
insert into service_migration values (1001, 'seat', '2026-11-22 16:03:22', true, X'BA2AC252F824E10821A959BC43688411E897BB9841A5903EC27C311754B86639239E0E30EB588105C2C9DA54C157F73F', 1244373);
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
CREATE TABLE seat (
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
insert into inbox (id, seen_us) values ('01a203ff-72f3-73be-85ae-585cf43c6fff', 1795363402483000);
insert into inbox (id, seen_us) values ('01a203ff-7319-72b8-8395-561a564604a8', 1795363402527000);
insert into inbox (id, seen_us) values ('01a203ff-7334-70db-857c-5ff4e98ef8e4', 1795363402553000);
insert into inbox (id, seen_us) values ('01a203ff-733d-7693-991d-c1403008e2c1', 1795363402561000);
insert into inbox (id, seen_us) values ('01a203ff-7347-7536-b894-0e3acbce7acb', 1795363402571000);
insert into inbox (id, seen_us) values ('01a203ff-7357-731d-8ef5-48cff1563e4b', 1795363402587000);
insert into inbox (id, seen_us) values ('01a203ff-7366-73e0-bf86-e7c79a68f8ca', 1795363402608000);
insert into inbox (id, seen_us) values ('01a203ff-7375-7425-8105-e5f14f024fd0', 1795363402624000);
insert into inbox (id, seen_us) values ('01a203ff-73b9-7594-a86b-1ac449ccb9c3', 1795363402685000);
insert into inbox (id, seen_us) values ('01a203ff-73c2-71b8-a30b-e4be0af5b043', 1795363402693000);
insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, causation_id, time_us, traceparent, tracestate, lease_us, attempt) values ('01a203ff-73c6-70ae-861a-0269c7a67b32', 'trip', '01a203ff-73c1-7210-8550-bcb40de5891d', 'flight.reserved.v1', '{"trip":"01a203ff-73c1-7210-8550-bcb40de5891d","itinerary":[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":4},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}],"deadline":"2039-06-01T00:00:00Z","position":0,"price":{"amount_minor":49200,"currency":"EUR"},"total":[{"amount_minor":49200,"currency":"EUR"}]}', 'trips.flight.reserved.hotel', '01a203ff-73c2-71b8-a30b-e4be0af5b043', 1795363402694076, '00-5750d4b47570953d5e38e02b52403058-7075296c8827ebbf-00', NULL, 1795363403195000, 0);
insert into dead_letter (id, aggregateid, type, reason, subject, headers, payload, count, last_id, first_us, last_us) values ('01a203ff-739e-724e-a296-d82d67fd6d04', '', '', 'the header ce-specversion is missing', 'trips.booking.requested.flight', '{}', 'hello', 1, '', 1795363402655000, 1795363402655000);
insert into leg (trip, position, state, itinerary, deadline_us, budget_minor, budget_currency, price_minor, currency, total, reason_code, reason_message, holds, due_us, tries, said_id, traceparent, tracestate, changed_us, forget_us) values ('01a203ff-7317-7349-8837-520964ed384f', 0, 'confirmed', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":2},{"check_in":"2039-06-03","check_out":"2039-06-05","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, 100000, 'EUR', 24600, 'EUR', '[{"amount_minor":24600,"currency":"EUR"}]', NULL, NULL, '[{"key":["RT100","2039-06-03"],"quantity":2}]', NULL, 0, '01a203ff-731f-7090-8ea7-8b3b9a2ebc82', '00-793bf5637535566212fb30b368bc9668-9afb74ac26e5ac7b-00', NULL, 1795363402554013, NULL);
insert into leg (trip, position, state, itinerary, deadline_us, budget_minor, budget_currency, price_minor, currency, total, reason_code, reason_message, holds, due_us, tries, said_id, traceparent, tracestate, changed_us, forget_us) values ('01a203ff-733b-747b-b38a-c78beb632b9a', 0, 'released', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":1},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"FULL","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, 12300, 'EUR', '[{"amount_minor":12300,"currency":"EUR"}]', 'sold-out', 'FULL double 2039-06-03: 1 wanted, 0 left', '[{"key":["RT100","2039-06-03"],"quantity":1}]', NULL, 0, '01a203ff-734c-729b-8b37-95c5da357b29', '00-8e5295adf51348b016ceb9c0eedeea68-03dc6e9abc88d921-00', NULL, 1795363402572617, 2191104000000000);
insert into leg (trip, position, state, itinerary, deadline_us, budget_minor, budget_currency, price_minor, currency, total, reason_code, reason_message, holds, due_us, tries, said_id, traceparent, tracestate, changed_us, forget_us) values ('01a203ff-7356-72f9-9e1f-b7c0bf6fda53', 0, 'released', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":1},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, 12300, 'EUR', '[{"amount_minor":12300,"currency":"EUR"}]', 'cancelled-by-traveller', 'cancelled by the traveller', '[{"key":["RT100","2039-06-03"],"quantity":1}]', NULL, 0, '01a203ff-7380-76d3-bc83-b07937260c09', '00-e8e3e5083c476e7bd90af46ea0309714-e9c31b1b583c8857-00', NULL, 1795363402624425, 2191104000000000);
insert into leg (trip, position, state, itinerary, deadline_us, budget_minor, budget_currency, price_minor, currency, total, reason_code, reason_message, holds, due_us, tries, said_id, traceparent, tracestate, changed_us, forget_us) values ('01a203ff-73b7-73dc-ad87-d0206ed9c1ff', 0, 'held', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":3},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, 36900, 'EUR', '[{"amount_minor":36900,"currency":"EUR"}]', NULL, NULL, '[{"key":["RT100","2039-06-03"],"quantity":3}]', 1795363402954103, 0, '01a203ff-73bd-71af-a8a3-b513d6dd2db9', '00-d68d8f3f863312bfc9a4c6faed9be0a3-1dbf5893452c6a8f-00', NULL, 1795363402685603, NULL);
insert into leg (trip, position, state, itinerary, deadline_us, budget_minor, budget_currency, price_minor, currency, total, reason_code, reason_message, holds, due_us, tries, said_id, traceparent, tracestate, changed_us, forget_us) values ('01a203ff-73c1-7210-8550-bcb40de5891d', 0, 'held', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":4},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, 49200, 'EUR', '[{"amount_minor":49200,"currency":"EUR"}]', NULL, NULL, '[{"key":["RT100","2039-06-03"],"quantity":4}]', 1795363402939476, 0, '01a203ff-73c6-70ae-861a-0269c7a67b32', '00-5750d4b47570953d5e38e02b52403058-7075296c8827ebbf-00', NULL, 1795363402694076, NULL);
insert into seat (flight, date, total, held, confirmed, free, price_minor, currency) values ('RT100', '2039-06-03', 10, 7, 2, 1, 12300, 'EUR');

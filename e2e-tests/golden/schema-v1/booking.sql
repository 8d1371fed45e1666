create table runtime_migration (version bigint primary key, description text not null, installed_on timestamp not null default current_timestamp, success boolean not null, checksum blob not null, execution_time bigint not null);
insert into runtime_migration values (1, 'runtime', '2026-11-22 16:03:22', true, X'0D5BCAEA44302D23844DD9888C3BCBA3B8ED32F4A743FBF9A7820AFC7723759409EE9206F7B6C9B7F6C2A51E8FA3E555', 3159699);
create table service_migration (version bigint primary key, description text not null, installed_on timestamp not null default current_timestamp, success boolean not null, checksum blob not null, execution_time bigint not null);
insert into service_migration values (1001, 'booking', '2026-11-22 16:03:22', true, X'A9C27FFEE3308177CF871DFB185DA0E8B1C85FEA217BC0E058B3C1B9062A1581B5CF9D0FC66196BC9EFE48C70925602C', 23820795);
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
CREATE TABLE trip (
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
CREATE INDEX trip_due on trip (due_us) where due_us is not null;
CREATE INDEX trip_open on trip (changed_us) where state in ('pending', 'undoing');
CREATE INDEX trip_forget on trip (forget_us) where forget_us is not null;
CREATE TABLE idempotency (
    key         text   not null primary key,
    -- SHA-256 of what was asked, whatever its spelling.
    fingerprint text   not null default '',
    trip        text   not null default '',
    -- After a day the key may be used anew.
    forget_us   bigint
);
CREATE INDEX idempotency_forget on idempotency (forget_us) where forget_us is not null;
CREATE TABLE joined_leg (
    leg     text   not null primary key,
    seen_us bigint not null,
    -- JSON: which fields of its details are counts, and which are dates.
    shape   text   not null default '{}'
);
insert into inbox (id, seen_us) values ('01a203ff-724a-771e-a0b6-a139288fb37e', 1795363402469000);
insert into inbox (id, seen_us) values ('01a203ff-723e-734f-9ef2-5ed2c816b504', 1795363402469000);
insert into inbox (id, seen_us) values ('01a203ff-7318-7011-9e29-d01adc980ebc', 1795363402520000);
insert into inbox (id, seen_us) values ('01a203ff-7326-766f-8473-a8809648422d', 1795363402547000);
insert into inbox (id, seen_us) values ('01a203ff-733c-75db-9908-9ed369eecdd4', 1795363402556000);
insert into inbox (id, seen_us) values ('01a203ff-7347-7536-b894-0e3acbce7acb', 1795363402571000);
insert into inbox (id, seen_us) values ('01a203ff-734c-729b-8b37-95c5da357b29', 1795363402578000);
insert into inbox (id, seen_us) values ('01a203ff-7356-72f9-9e1f-b7c1c2eb0f56', 1795363402583000);
insert into inbox (id, seen_us) values ('01a203ff-7360-756a-a5ed-8b9bb74e0aaa', 1795363402597000);
insert into inbox (id, seen_us) values ('01a203ff-7372-71a1-8a5c-e29128b673dd', 1795363402611000);
insert into inbox (id, seen_us) values ('01a203ff-7380-76d3-bc83-b07937260c09', 1795363402642000);
insert into inbox (id, seen_us) values ('01a203ff-7384-767c-b211-63877862fb82', 1795363402649000);
insert into inbox (id, seen_us) values ('01a203ff-73b7-73dc-ad87-d021a6a94065', 1795363402680000);
insert into inbox (id, seen_us) values ('01a203ff-73c1-7210-8550-bcb52b1fcf8b', 1795363402689000);
insert into inbox (id, seen_us) values ('01a203ff-73db-7710-aac7-061b20cbbed4', 1795363402716000);
insert into inbox (id, seen_us) values ('01a203ff-73f9-7154-941b-38007505ceb7', 1795363402746000);
insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, causation_id, time_us, traceparent, tracestate, lease_us, attempt) values ('01a203ff-73fb-7042-8c64-33181842e425', 'trip', '01a203ff-73f9-7154-941b-37ff9f60b70b', 'booking.requested.v1', '{"trip":"01a203ff-73f9-7154-941b-37ff9f60b70b","itinerary":[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":1}],"deadline":"2039-06-01T00:00:00Z"}', 'trips.booking.requested.flight', '01a203ff-73f9-7154-941b-38007505ceb7', 1795363402747086, '00-14c2ea8bbc5b298e09c943e983f71d13-a756c2633ec2f38a-00', NULL, 1795363403247000, 0);
insert into trip (trip, state, outcome, reason_code, reason_message, itinerary, deadline_us, budget_minor, budget_currency, traveller, settled, total, due_us, tries, said_id, traceparent, tracestate, created_us, changed_us, undoing_since_us, forget_us) values ('01a203ff-7317-7349-8837-520964ed384f', 'confirmed', 'confirmed', NULL, NULL, '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":2},{"check_in":"2039-06-03","check_out":"2039-06-05","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, 100000, 'EUR', 'Zoë O''Hara', '[null,null]', '[{"amount_minor":44400,"currency":"EUR"}]', NULL, 0, '01a203ff-7334-70db-857c-5ff4e98ef8e4', '00-793bf5637535566212fb30b368bc9668-9afb74ac26e5ac7b-00', NULL, 1795363402521078, 1795363402548341, NULL, NULL);
insert into trip (trip, state, outcome, reason_code, reason_message, itinerary, deadline_us, budget_minor, budget_currency, traveller, settled, total, due_us, tries, said_id, traceparent, tracestate, created_us, changed_us, undoing_since_us, forget_us) values ('01a203ff-733b-747b-b38a-c78beb632b9a', 'closed', 'rejected', 'sold-out', 'FULL double 2039-06-03: 1 wanted, 0 left', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":1},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"FULL","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, NULL, '["released","rejected"]', NULL, NULL, 0, '01a203ff-733d-7693-991d-c1403008e2c1', '00-8e5295adf51348b016ceb9c0eedeea68-03dc6e9abc88d921-00', NULL, 1795363402557051, 1795363402578490, 1795363402571924, 2191104000000000);
insert into trip (trip, state, outcome, reason_code, reason_message, itinerary, deadline_us, budget_minor, budget_currency, traveller, settled, total, due_us, tries, said_id, traceparent, tracestate, created_us, changed_us, undoing_since_us, forget_us) values ('01a203ff-7356-72f9-9e1f-b7c0bf6fda53', 'closed', 'cancelled', 'cancelled-by-traveller', 'cancelled by the traveller', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":1},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, NULL, '["released","released"]', '[{"amount_minor":22200,"currency":"EUR"}]', NULL, 0, '01a203ff-7375-7425-8105-e5f14f024fd0', '00-e8e3e5083c476e7bd90af46ea0309714-e9c31b1b583c8857-00', NULL, 1795363402583246, 1795363402649477, 1795363402612813, 2191104000000000);
insert into trip (trip, state, outcome, reason_code, reason_message, itinerary, deadline_us, budget_minor, budget_currency, traveller, settled, total, due_us, tries, said_id, traceparent, tracestate, created_us, changed_us, undoing_since_us, forget_us) values ('01a203ff-73b7-73dc-ad87-d0206ed9c1ff', 'pending', NULL, NULL, NULL, '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":3},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, NULL, '[null,null]', NULL, 1795363402955945, 0, '01a203ff-73b9-7594-a86b-1ac449ccb9c3', '00-d68d8f3f863312bfc9a4c6faed9be0a3-1dbf5893452c6a8f-00', NULL, 1795363402680845, 1795363402680845, NULL, NULL);
insert into trip (trip, state, outcome, reason_code, reason_message, itinerary, deadline_us, budget_minor, budget_currency, traveller, settled, total, due_us, tries, said_id, traceparent, tracestate, created_us, changed_us, undoing_since_us, forget_us) values ('01a203ff-73c1-7210-8550-bcb40de5891d', 'undoing', 'cancelled', 'cancelled-by-traveller', 'cancelled by the traveller', '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":4},{"check_in":"2039-06-03","check_out":"2039-06-04","hotel":"LIS","leg":"hotel","room_type":"double","rooms":1}]', 2190499200000000, NULL, NULL, NULL, '[null,null]', NULL, 1795363402959981, 0, '01a203ff-73df-775f-909b-00e0bf63efa8', '00-5750d4b47570953d5e38e02b52403058-7075296c8827ebbf-00', NULL, 1795363402690191, 1795363402719081, 1795363402719081, NULL);
insert into trip (trip, state, outcome, reason_code, reason_message, itinerary, deadline_us, budget_minor, budget_currency, traveller, settled, total, due_us, tries, said_id, traceparent, tracestate, created_us, changed_us, undoing_since_us, forget_us) values ('01a203ff-73f9-7154-941b-37ff9f60b70b', 'pending', NULL, NULL, NULL, '[{"date":"2039-06-03","flight":"RT100","leg":"flight","seats":1}]', 2190499200000000, NULL, NULL, NULL, '[null]', NULL, 1795363403052486, 0, '01a203ff-73fb-7042-8c64-33181842e425', '00-14c2ea8bbc5b298e09c943e983f71d13-a756c2633ec2f38a-00', NULL, 1795363402747086, 1795363402747086, NULL, NULL);
insert into idempotency (key, fingerprint, trip, forget_us) values ('kept over the upgrade', 'fb325c5dde361079e0833f35546efea073ea17f1fd1ffed8c6faffc44dff6043', '01a203ff-7317-7349-8837-520964ed384f', 2191104000000000);
insert into joined_leg (leg, seen_us, shape) values ('flight', 1795363402469439, '{"leg":"flight","counts":["seats"],"dates":["date"]}');
insert into joined_leg (leg, seen_us, shape) values ('hotel', 1795363402469439, '{"leg":"hotel","counts":["rooms"],"dates":["check_in","check_out"]}');

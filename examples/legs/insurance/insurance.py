"""Insurance: a leg of Roundtrip in one file, written by docs/wire.md alone. It covers travellers, and keeps what it knows in one SQLite
file: what it hears changes that file and writes what is to be said in one transaction; then the broker gets its acknowledgement, and what
lies in the outbox is published until the broker has it. It is no model of insurance, and has no HTTP but its probes.
"""
import asyncio, contextlib, datetime, json, os, random, re, signal, sqlite3, sys, time, types, uuid

import nats
from nats.js import api

NAME, STREAM, HOUR_US = "insurance", "TRIPS", 3_600_000_000
CONFIG_KEY, CONFIG = "roundtrip-config", 1  # counts changes of the consumer's configuration
FILTERS = [f"trips.*.*.{NAME}", "trips.booking.confirmed", "trips.booking.cancelled", "trips.*.rejected"]
BOOKINGS, LEGS = ("requested", "confirmed", "cancelled", "settled"), ("reserved", "rejected", "released", "joined")
SAYS = {"held": "reserved", "confirmed": "reserved", "released": "released", "rejected": "rejected"}
PLANS = {"basic": 900, "full": 2_500}  # what it costs to cover one traveller, in cents
setting = lambda name, default: int(os.environ.get(name, default))
FIRST_MS, LONGEST_MS = setting("REANNOUNCE_FIRST_MS", 30_000), setting("REANNOUNCE_MAX_MS", 300_000)
COVERED_MAX = setting("COVERED_MAX", 1_000)  # travellers at a time
TABLES = """
create table if not exists heard (id text primary key, at_us integer not null);
create table if not exists record (trip text, position integer, state text not null, plan text not null, words text not null,
    travellers integer not null, trace text, said_id text, tries integer not null default 0, due_us integer, forget_us integer,
    primary key (trip, position));
create index if not exists record_due on record (due_us) where due_us is not null;
create table if not exists outbox (id text primary key, subject text, body text, headers text, attempt integer not null default 0);
create table if not exists dead_letter (id integer primary key, reason text, subject text, headers text, body blob);
"""
class Newer(Exception): """A known fact in a major version that is not read here yet."""

def now_us(): return time.time_ns() // 1_000

def complain(words): print(f"{NAME}: {words}", file=sys.stderr, flush=True)

# ---- the database ---------------------------------------------------------------------------------------------------------------------
def opened(url):
    if not url.startswith("sqlite://"): sys.exit(f"{NAME} keeps its records in SQLite: DATABASE_URL is sqlite:///path/to/file.db")
    db = sqlite3.connect(url.removeprefix("sqlite://").split("?")[0], isolation_level=None, timeout=10)
    db.row_factory = sqlite3.Row
    db.executescript("pragma journal_mode = wal; pragma synchronous = full;" + TABLES)
    # What lies there may have been sent before a kill: under the same Nats-Msg-Id the broker would drop it, even where it lost the first.
    db.execute("update outbox set attempt = attempt + 1")
    return db

@contextlib.contextmanager
def transaction(db):
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise

# ---- reading --------------------------------------------------------------------------------------------------------------------------
def members(text):
    """The members of a JSON object that is known to be one, each as the text that it is: an itinerary is relayed byte for byte."""
    decode, found = json.JSONDecoder().raw_decode, {}
    skip = lambda at: re.compile(r"[ \t\r\n]*").match(text, at).end()
    at = skip(skip(0) + 1)
    while text[at] != "}":
        name, at = decode(text, at)
        start = skip(skip(at) + 1)
        at = decode(text, start)[1]
        found[name], at = text[start:at], skip(at)
        if text[at] == ",": at = skip(at + 1)
    return found

def read(headers, body):
    """A fact, or why it is none: whatever else goes wrong here is a dead letter too."""
    if len(body) > 256 << 10: raise ValueError("it is larger than 256 KiB")
    kind, about = headers["ce-type"], headers["ce-subject"]
    speaker, name, version = kind.split(".")
    if headers["ce-specversion"] != "1.0" or name not in (BOOKINGS if speaker == "booking" else LEGS): raise ValueError(f"{kind} is unknown")
    if version != "v1": raise Newer(kind) if re.fullmatch(r"v\d+", version) else ValueError(f"{kind} is unknown")
    data, raw = json.loads(body.decode(), parse_constant=int), members(body.decode())  # int("NaN") raises: NaN and its like are no JSON
    legs, trip = [leg["leg"] for leg in data["itinerary"]], uuid.UUID(data["trip"])
    position = -1 if speaker == "booking" else data["position"]
    if speaker != "booking" and (type(position) is not int or position < 0 or legs[position] != speaker):
        raise ValueError(f"{speaker} does not speak for {position}")
    deadline = datetime.datetime.fromisoformat(data["deadline"])
    if trip != uuid.UUID(about) or not 1 <= len(legs) <= 16: raise ValueError("it is about something else")
    if not all(re.fullmatch("[a-z0-9-]{1,32}", leg) and leg != "booking" for leg in legs): raise ValueError("no leg is called so")
    if deadline.tzinfo is None: raise ValueError("the deadline has no offset")
    text = lambda value, most: value.encode().decode()[:most]  # half a surrogate has no UTF-8, and what is no text no `encode`
    why = data["reason"] if name not in ("requested", "reserved", "confirmed") else {"code": ""}
    reason = {"code": text(why["code"], 64), "message": text(why.get("message", ""), 500)}
    plan = ",".join(f'"{key}":{raw[key]}' for key in ("itinerary", "deadline", "budget") if raw.get(key, "null") != "null")
    total = dict(map(money, data["total"])) if name == "reserved" and money(data["price"]) else {}
    trace = headers.get("traceparent", "")
    return types.SimpleNamespace(id=str(uuid.UUID(headers["ce-id"])), name=name, trip=str(trip), position=position, legs=legs, plan=plan, data=data,
        reason=reason, total=total, budget=money(data["budget"]) if data.get("budget") is not None else None,
        deadline_us=int(deadline.timestamp() * 1e6), trace=trace if re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", trace) else None)

def money(value):
    currency, amount = value["currency"], value["amount_minor"]
    if not re.fullmatch("[A-Z]{3}", currency) or type(amount) is not int or not -1 << 63 <= amount < 1 << 63: raise ValueError(f"{value} is no money")
    return currency, amount

# ---- the leg: what it makes of what it hears ------------------------------------------------------------------------------------------
def offer(db, fact, position):
    """At its turn and without a record: the state to enter, what is said in it, and how many travellers it covers."""
    if now_us() > fact.deadline_us + HOUR_US: return "released", refusal("late", "the deadline passed more than an hour before"), 0
    details = fact.data["itinerary"][position]
    plan, travellers = details.get("plan"), details.get("travellers")
    no = lambda code, message: ("rejected", refusal(code, message), 0)
    if not isinstance(plan, str) or type(travellers) is not int: return no("unreadable-details", "give a plan and how many travellers")
    if plan not in PLANS: return no("unknown-stock", f"{plan[:64]!r} is not on offer; there are {', '.join(PLANS)}")
    if not 1 <= travellers <= 500: return no("quantity", "travellers is 1 to 500")
    covered = db.execute("select coalesce(sum(travellers), 0) from record where state in ('held', 'confirmed')").fetchone()[0]
    if covered + travellers > COVERED_MAX: return no("sold-out", f"{travellers} wanted, {COVERED_MAX - covered} left")
    price = PLANS[plan] * travellers
    sums = {**fact.total, "EUR": fact.total.get("EUR", 0) + price}
    if fact.budget and fact.budget[0] != "EUR": return no("currency", f"the budget is in {fact.budget[0]}, the price in EUR")
    if sums["EUR"] >= 1 << 63: return no("price", "it is beyond what can be counted")
    if fact.budget and sums["EUR"] > fact.budget[1]: return no("budget", f"{sums['EUR']} cents up to and with this leg")
    money = lambda amount, currency: {"amount_minor": amount, "currency": currency}
    return "held", {"price": money(price, "EUR"), "total": [money(sums[code], code) for code in sorted(sums)]}, travellers

def refusal(code, message): return {"reason": {"code": code, "message": message}}

def hear(db, fact):
    """The table of docs/wire.md, cell by cell, for each position of this leg."""
    for position in (at for at, leg in enumerate(fact.legs) if leg == NAME):
        row = db.execute("select state from record where trip = ? and position = ?", (fact.trip, position)).fetchone()
        state, later = row["state"] if row else None, fact.name == "rejected" and fact.position > position
        if fact.name in ("requested", "reserved") and fact.position + 1 == position:
            if not state: enter(db, fact, position, *offer(db, fact, position))
            say(db, fact.trip, position, fact.id, fact.trace)
        elif fact.name == "confirmed" and state == "held":
            db.execute("update record set state = 'confirmed', due_us = null where trip = ? and position = ?", (fact.trip, position))
        elif fact.name == "cancelled" or later and state in (None, "held"):
            if state in (None, "held", "confirmed"): enter(db, fact, position, "released", {"reason": fact.reason}, 0)
            say(db, fact.trip, position, fact.id, fact.trace)
        elif fact.name == "confirmed" and state in (None, "rejected") or later and state == "confirmed":
            complain(f"cannot be: {fact.trip} #{position} is {state} and hears {fact.name}")

def enter(db, fact, position, state, words, travellers):
    forget_us = max(fact.deadline_us, now_us()) + 7 * 24 * HOUR_US if state in ("released", "rejected") else None
    words = json.dumps({"position": position, **words}, separators=(",", ":"))[1:-1]
    db.execute("""insert or replace into record (trip, position, state, plan, words, travellers, trace, due_us, forget_us)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (fact.trip, position, state, fact.plan, words, travellers, fact.trace, now_us() + pause_us(0) if state == "held" else None, forget_us))

def pause_us(tries): return int(min(FIRST_MS * 2 ** min(max(0, tries - 7), 20), LONGEST_MS) * random.uniform(750, 1_250))

def say(db, trip, position, cause, trace):
    """Says what the record has to say, the first time or again: the same words under a new id."""
    row = db.execute("select * from record where trip = ? and position = ?", (trip, position)).fetchone()
    behind = [leg["leg"] for leg in json.loads(f"{{{row['plan']}}}")["itinerary"]][position + 1:] + ["booking"]
    name = SAYS[row["state"]]
    body = f'{{"trip":"{trip}",{row["plan"]},{row["words"]}}}'
    said_id = write(db, name, f".{behind[0]}" if name == "reserved" else "", trip, body, cause, trace or row["trace"])
    db.execute("update record set said_id = ? where trip = ? and position = ?", (said_id, trip, position))

def write(db, name, next_leg, about, body, cause=None, trace=None):
    said_id, at = str(uuid.uuid4()), datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    headers = {"ce-specversion": "1.0", "ce-id": said_id, "ce-source": f"/{NAME}", "ce-type": f"{NAME}.{name}.v1", "ce-subject": about,
        "ce-time": at, "ce-datacontenttype": "application/json", "ce-correlationid": about, "ce-causationid": cause, "traceparent": trace}
    db.execute("insert into outbox (id, subject, body, headers) values (?, ?, ?, ?)",
        (said_id, f"trips.{NAME}.{name}{next_leg}", body, json.dumps({key: value for key, value in headers.items() if value})))
    return said_id

def ask_again(db):
    """Who holds asks until it is answered, and never lets go by its own clock. What still lies in the outbox is not said twice."""
    for row in db.execute("select * from record where due_us <= ? limit 256", (now_us(),)).fetchall():
        asks = not db.execute("select 1 from outbox where id = ?", (row["said_id"],)).fetchone()
        db.execute("update record set tries = tries + ?, due_us = ? where trip = ? and position = ?",
            (asks, now_us() + pause_us(row["tries"] + asks), row["trip"], row["position"]))
        if asks: say(db, row["trip"], row["position"], None, None)

# ---- the broker -----------------------------------------------------------------------------------------------------------------------
def take(db, messages):
    """What was delivered, in one transaction. Answers what is to be put back: those who read newer facts may be on their way."""
    put_back = set()
    with transaction(db):
        for message in messages:
            headers = dict(message.headers or {})
            try:
                fact = read(headers, message.data)
            except Exception as error:
                age_ms = (time.time() - message.metadata.timestamp.timestamp()) * 1_000
                if isinstance(error, Newer) and age_ms < setting("UNKNOWN_VERSION_WAIT_MS", 3_600_000): put_back.add(id(message))
                else: bury(db, message, headers, error)
                continue
            # A new id is a question, and the same id is an echo: it is dropped in silence.
            if db.execute("insert or ignore into heard values (?, ?)", (fact.id, now_us())).rowcount: hear(db, fact)
    return put_back

def bury(db, message, headers, error):
    complain(f"a dead letter on {message.subject}: {error!r}")
    letter = (repr(error), message.subject, json.dumps(headers), message.data)
    db.execute("insert into dead_letter (reason, subject, headers, body) values (?, ?, ?, ?)", letter)

async def declared(js):
    """The stream where it is missing; one that is there stays as its operator set it up. And this leg's durable consumer, brought up to date
    where an older version of this leg declared it."""
    try:
        await js.stream_info(STREAM)
    except nats.js.errors.NotFoundError:
        await js.add_stream(api.StreamConfig(name=STREAM, subjects=["trips.>"], storage="file", discard="old", max_bytes=1 << 30, max_age=86_400))
    found = {}
    with contextlib.suppress(nats.js.errors.NotFoundError): found = (await js.consumer_info(STREAM, NAME)).config.metadata or {}
    number = found.get(CONFIG_KEY, "")
    if not number.isdecimal() or int(number) < CONFIG:
        await js.add_consumer(STREAM, api.ConsumerConfig(name=NAME, durable_name=NAME, filter_subjects=FILTERS, ack_policy="explicit",
            ack_wait=setting("ACK_WAIT_MS", 30_000) / 1_000, max_deliver=-1, max_ack_pending=10_000,
            metadata={CONFIG_KEY: str(CONFIG)}))
    return await js.pull_subscribe_bind(durable=NAME, stream=STREAM)

async def listen(js, db, house):
    consumer = None
    while not house.stopping.is_set():
        try:
            with contextlib.suppress(nats.errors.Error):
                if consumer: await consumer.unsubscribe()
            consumer = await declared(js)
            house.ready.set()
            while not house.stopping.is_set():
                try:
                    messages = await consumer.fetch(256, timeout=1)
                except asyncio.TimeoutError:
                    await js.consumer_info(STREAM, NAME)  # a broker that lost its store does not say so
                    continue
                put_back = take(db, messages)
                house.said.set()
                for message in messages:  # the acknowledgement comes after the commit
                    await (message.nak(delay=min(60, 0.25 * 2 ** message.metadata.num_delivered)) if id(message) in put_back else message.ack())
        except (nats.errors.Error, OSError) as error:  # a timeout is one of these
            house.ready.clear()
            complain(f"the broker: {error!r}; declaring again")
            await asyncio.sleep(0.5)

async def publish(js, db, house):
    """Empties the outbox. A row goes when the broker has it; one said again after a failure is a message of its own with the same ce-id."""
    while True:
        house.said.clear()
        rows = db.execute("select * from outbox order by rowid limit 256").fetchall() if house.ready.is_set() else []
        if not rows:
            if house.idle.is_set(): return
            with contextlib.suppress(asyncio.TimeoutError): await asyncio.wait_for(house.said.wait(), 0.25)
            continue
        def send(row):
            message_id = row["id"] if row["attempt"] == 0 else f"{row['id']}.{uuid.uuid4()}"
            return js.publish(row["subject"], row["body"].encode(), headers={**json.loads(row["headers"]), "Nats-Msg-Id": message_id}, timeout=5)
        stored = await asyncio.gather(*map(send, rows), return_exceptions=True)
        failed = [row["id"] for row, answer in zip(rows, stored) if isinstance(answer, Exception)]
        with transaction(db):
            db.executemany("delete from outbox where id = ?", [(row["id"],) for row in rows if row["id"] not in failed])
            db.executemany("update outbox set attempt = attempt + 1 where id = ?", [(row,) for row in failed])
        if failed: await asyncio.sleep(0.5)

async def keep_time(db, house):
    joined_us, every_us = 0, setting("JOIN_INTERVAL_MS", 180_000) * 1_000
    while not house.stopping.is_set():
        with transaction(db):
            ask_again(db)
            if now_us() >= joined_us:
                joined_us = now_us() + every_us
                if not db.execute("select 1 from outbox where subject = ?", (f"trips.{NAME}.joined",)).fetchone():
                    write(db, "joined", "", NAME, json.dumps({"leg": NAME, "counts": ["travellers"], "dates": []}, separators=(",", ":")))
                db.execute("delete from heard where at_us < ?", (now_us() - 25 * HOUR_US,))
                db.execute("delete from record where forget_us < ?", (now_us(),))
        house.said.set()
        with contextlib.suppress(asyncio.TimeoutError): await asyncio.wait_for(house.stopping.wait(), setting("TIMER_INTERVAL_MS", 250) / 1_000)

async def probes(house, reader, writer):
    with contextlib.suppress(Exception):
        path = (await asyncio.wait_for(reader.readline(), 5)).split()[1]
        well = path == b"/livez" or path == b"/readyz" and house.ready.is_set() and house.nc.is_connected
        status = b"200 OK" if well else b"503 Service Unavailable" if path == b"/readyz" else b"404 Not Found"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
    writer.close()

async def main():
    house = types.SimpleNamespace(stopping=asyncio.Event(), ready=asyncio.Event(), said=asyncio.Event(), idle=asyncio.Event())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, house.stopping.set)
    db = opened(os.environ.get("DATABASE_URL", f"sqlite://{NAME}.db"))
    host, port = os.environ.get("LISTEN", "127.0.0.1:0").rsplit(":", 1)
    await asyncio.start_server(lambda *streams: probes(house, *streams), host, int(port))
    async def lost(error): complain(f"the broker: {error!r}")
    servers = os.environ.get("NATS_URL", "nats://127.0.0.1:4222").split(",")
    connecting = asyncio.create_task(nats.connect(servers, name=NAME, user=os.environ.get("NATS_USER"), password=os.environ.get("NATS_PASSWORD"),
        error_cb=lost, inbox_prefix=f"_INBOX_{NAME}", max_reconnect_attempts=-1, reconnect_time_wait=0.5, ping_interval=5))
    stopping = asyncio.create_task(house.stopping.wait())
    await asyncio.wait([connecting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done(): return
    house.nc = await connecting
    js = house.nc.jetstream(timeout=5)
    async with asyncio.TaskGroup() as work:  # where one of them fails all end, and the process with them
        emptying = work.create_task(publish(js, db, house))
        await asyncio.gather(work.create_task(listen(js, db, house)), work.create_task(keep_time(db, house)))
        house.idle.set()
        await asyncio.wait([emptying], timeout=10)
        emptying.cancel()
    with contextlib.suppress(OSError): await house.nc.close()

sys.set_int_max_str_digits(0)  # an itinerary may have any number in it
asyncio.run(main())

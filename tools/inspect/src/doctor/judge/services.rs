//! Services, as they answer over HTTP.

use super::{MANY, MINUTE_US, clock, letters, payments, span};
use crate::doctor::expected::Expected;
use crate::doctor::observations::{Booking, Joined, Seen, Service, Unfinished};
use crate::doctor::report::{Finding, Group, Sheet};
use client::probe::NOT_IN_TIME;
use stack::SERVICES;

/// A leg says every three minutes that it is there, unless it is told otherwise.
const SILENT_US: i64 = 10 * MINUTE_US;
/// A trip's deadline is met within seconds of it.
const OVERDUE_US: i64 = MINUTE_US;

pub(super) fn judge(seen: &Seen, expected: &Expected, findings: &mut Vec<Finding>) {
    for service in &seen.services {
        judge_one(service, seen, expected, findings);
    }
    // Of the services of a stack that is at home nobody need say where they are.
    let services = SERVICES.into_iter().filter(|_| seen.home.is_none());
    let legs = seen.joined().into_iter().filter(|(_, leg)| !leg.retired);
    let legs = legs
        .map(|(name, _)| name)
        .filter(|name| !SERVICES.contains(name));
    for name in services.chain(legs) {
        if !seen.services.iter().any(|service| service.service == name) {
            let flag = match name {
                booking::NAME => String::from("--url URL"),
                leg => format!("--service {leg}=URL"),
            };
            let mut sheet = sheet(name, findings);
            sheet.unseen("answers", "its address was not given", flag);
        }
    }
}

fn sheet<'a>(subject: &'a str, findings: &'a mut Vec<Finding>) -> Sheet<'a> {
    Sheet {
        group: Group::Services,
        subject,
        findings,
    }
}

fn judge_one(service: &Service, seen: &Seen, expected: &Expected, findings: &mut Vec<Finding>) {
    let mut sheet = sheet(&service.name, findings);
    if !service.http {
        return sheet.fine("answers", "has no HTTP: see its consumer");
    }
    if let Err(why) = &service.alive {
        return silent(&mut sheet, service, why);
    }
    sheet.fine("answers", format!("answers at {}", service.url));
    ready(&mut sheet, service);
    identity(&mut sheet, service, expected);
    if let Some(metrics) = &service.metrics {
        let in_database = seen
            .databases
            .iter()
            .any(|database| database.name == service.service && database.found.is_ok());
        if !in_database && let Some(outbox) = metrics.outbox {
            depth(&mut sheet, outbox);
        }
        let at_broker = seen.broker.iter().any(|broker| broker.consumers.is_ok());
        if !at_broker && let Some(waiting) = metrics.lag {
            lag(&mut sheet, waiting);
        }
        anomalies(&mut sheet, service);
    }
    match &service.letters {
        Some(Ok(found)) => letters(&mut sheet, &service.service, found, seen.now_us),
        Some(Err(_)) if expected.title(&service.service).is_none() => sheet.unseen(
            "dead-letters",
            "has no dead letters that this command can read",
            "ask whoever made that leg",
        ),
        Some(Err(why)) => sheet.warning(
            "dead-letters",
            format!("its dead letters cannot be read ({why})"),
            "its database may not answer: see above",
        ),
        None => {}
    }
    if let Some(seen) = &service.payments {
        payments::judge(&mut sheet, seen);
    }
    clock(&mut sheet, &service.clocks);
    if let Some(booking) = &service.booking {
        legs(&mut sheet, booking, seen);
        unfinished(&mut sheet, booking, seen.now_us);
    }
}

fn silent(sheet: &mut Sheet<'_>, service: &Service, why: &str) {
    let todo = if service.url.starts_with("https:") {
        String::from(
            "a service speaks no TLS itself: see whatever ends it there; if its certificate is the trouble, name who vouches for it in ROUNDTRIP_CA_FILE",
        )
    } else if let Some(log) = service.log.as_ref().filter(|_| why == NOT_IN_TIME) {
        format!(
            "its process is there and says nothing: it is frozen (`kill -CONT` lets it go on), or has no CPU; see the last lines of {}",
            log.display()
        )
    } else if let Some(log) = &service.log {
        format!(
            "see the last lines of {}; `{} up` starts again what ended",
            log.display(),
            client::invocation()
        )
    } else {
        String::from(
            "its log's last line says why it does not start or ended; if it runs, check the address and what lies between",
        )
    };
    let seen = format!("does not answer at {} ({why})", service.url);
    sheet.wrong("answers", seen, todo);
}

fn ready(sheet: &mut Sheet<'_>, service: &Service) {
    let asked = service.ready.len();
    let mut missing: Vec<&String> = service
        .ready
        .iter()
        .filter_map(|r| r.as_ref().err())
        .collect();
    let refused = missing.len();
    missing.sort();
    missing.dedup();
    let Some(first) = missing.first() else {
        return sheet.fine("ready", "is ready");
    };
    let todo = if first.contains("drain") {
        "it is being stopped or replaced: look again in a minute"
    } else if first.contains("saved nothing") {
        "make room on its database's disk if that is full; else find who has a lock there. It goes on by itself; a restart rarely helps"
    } else if first.contains("NATS") || first.contains("consumer") {
        "see the broker below; if that is fine, check the service's NATS_URL, user and password"
    } else if first.contains("database") {
        "see its database below; if that is fine, check the service's DATABASE_URL"
    } else {
        "its log says more"
    };
    if refused < asked {
        sheet.warning(
            "ready",
            format!("{refused} of {asked} answers were that it is not ready: {first}"),
            format!("one of its replicas: {todo}"),
        );
    } else {
        sheet.wrong("ready", format!("is not ready: {first}"), todo);
    }
}

fn identity(sheet: &mut Sheet<'_>, service: &Service, expected: &Expected) {
    let ours = expected.title(&service.service);
    let Some((title, version)) = &service.about else {
        if ours.is_none() {
            return;
        }
        return sheet.warning(
            "version",
            "does not say which service and version it is (/openapi.json)",
            "check that it is a service of Roundtrip that answers at this address",
        );
    };
    let Some(expected) = ours else {
        // It has versions of its own.
        return sheet.fine("version", format!("{title}, version {version}"));
    };
    if title != expected {
        return sheet.wrong(
            "version",
            format!("what answers calls itself {title:?}, not {expected:?}"),
            "the address is another service's: check the URL, or what the balancer sends where",
        );
    }
    let ours = env!("CARGO_PKG_VERSION");
    if version == ours {
        sheet.fine("version", format!("version {version}"));
    } else {
        sheet.warning(
            "version",
            format!("is version {version}, and this command is {ours}"),
            "finish the upgrade, or ask with the command of its version: schema and consumers are judged by this one's",
        );
    }
}

pub(super) fn depth(sheet: &mut Sheet<'_>, outbox: u64) {
    if outbox < MANY {
        sheet.fine("outbox", format!("{outbox} in its outbox"));
    } else {
        sheet.warning(
            "outbox",
            format!("{outbox} facts in its outbox are committed and not published"),
            "see the broker: it is not reached, or takes less than is said (disk, CPU, network)",
        );
    }
}

pub(super) fn lag(sheet: &mut Sheet<'_>, waiting: u64) {
    if waiting < MANY {
        sheet.fine("lag", format!("{waiting} facts wait for it"));
    } else {
        sheet.warning(
            "lag",
            format!("{waiting} facts wait for it"),
            "start more replicas of it, unless its database is what is slow (roundtrip_transaction_seconds)",
        );
    }
}

fn anomalies(sheet: &mut Sheet<'_>, service: &Service) {
    let Some(metrics) = &service.metrics else {
        return;
    };
    let heard: Vec<String> = metrics
        .anomalies
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| format!("{kind} ({count})"))
        .collect();
    if heard.is_empty() {
        return;
    }
    sheet.warning(
        "anomalies",
        format!("since it started it heard what cannot happen: {}", heard.join(", ")),
        format!(
            "was a database restored or edited? `{} audit` names trips in doubt; docs/operations.md, RoundtripPromiseInDoubt and RoundtripAnomaly",
            client::invocation()
        ),
    );
}

fn legs(sheet: &mut Sheet<'_>, booking: &Booking, seen: &Seen) {
    let joined = match &booking.legs {
        Ok(joined) => joined,
        Err(why) => {
            return sheet.warning(
                "legs",
                format!("the legs that have joined cannot be read ({why})"),
                "its database may not answer: see above",
            );
        }
    };
    let absent: Vec<&str> = seen
        .services
        .iter()
        .map(|service| service.service.as_str())
        .filter(|service| *service != booking::NAME && !joined.contains_key(*service))
        .collect();
    if !absent.is_empty() || joined.is_empty() {
        let who = if absent.is_empty() {
            String::from("no leg")
        } else {
            absent.join(", ")
        };
        return sheet.wrong(
            "legs",
            format!("{who} has not joined: booking refuses trips with it"),
            "a leg says that it is there when it starts: see its log, and that it and booking have the same broker",
        );
    }
    let silent: Vec<String> = joined
        .iter()
        .filter(|(_, joined)| !joined.retired)
        .map(|(leg, joined)| (leg, seen.now_us.saturating_sub(joined.said_us)))
        .filter(|(_, silent_us)| *silent_us > SILENT_US)
        .map(|(leg, silent_us)| format!("{leg} for {}", span(silent_us)))
        .collect();
    if silent.is_empty() {
        let (retired, names): (Vec<_>, Vec<_>) = joined.iter().partition(|(_, leg)| leg.retired);
        let list = |legs: Vec<(&String, &Joined)>| {
            let names: Vec<&str> = legs.into_iter().map(|(name, _)| name.as_str()).collect();
            names.join(", ")
        };
        let retired = match list(retired).as_str() {
            "" => String::new(),
            names => format!("; retired: {names}"),
        };
        return sheet.fine("legs", format!("can book {}{retired}", list(names)));
    }
    sheet.warning(
        "legs",
        format!("has not heard that it is there: {}", silent.join(", ")),
        "start that leg, or see why its facts do not come through; one that is gone for good: `legs retire`, then `stuck` and `settle`",
    );
}

fn unfinished(sheet: &mut Sheet<'_>, booking: &Booking, now_us: i64) {
    const NAME: &str = "trips";
    let me = client::invocation();
    let trips = match &booking.unfinished {
        Ok(trips) => trips,
        Err(why) => {
            return sheet.warning(
                NAME,
                format!("trips that are not final cannot be read ({why})"),
                "its database may not answer: see above",
            );
        }
    };
    let first = |of: &[&Unfinished]| {
        let trip = of.first().map(|trip| trip.trip.clone());
        trip.unwrap_or_default()
    };
    let (long, undoing): (Vec<&Unfinished>, Vec<&Unfinished>) = trips
        .iter()
        .filter(|trip| trip.undoing)
        .partition(|trip| trip.needs_attention);
    let mut waits: Vec<&str> = long
        .iter()
        .chain(&undoing)
        .flat_map(|trip| trip.waits_for.iter().map(String::as_str))
        .collect();
    waits.sort_unstable();
    waits.dedup();
    let waits = waits.join(", ");
    if !long.is_empty() {
        sheet.wrong(
            NAME,
            format!(
                "{} trips are on their way back for over an hour, {} for one; they wait for {waits}",
                long.len(),
                first(&long)
            ),
            format!("start that leg; if it is gone for good and holds nothing: `{me} settle TRIP POSITION`; `{me} stuck` lists them"),
        );
    } else if !undoing.is_empty() {
        sheet.warning(
            NAME,
            format!(
                "{} trips are on their way back for more than 5 min; they wait for {waits}",
                undoing.len()
            ),
            format!("see that leg above; `{me} stuck` lists them"),
        );
    }
    let overdue: Vec<&Unfinished> = trips
        .iter()
        .filter(|trip| !trip.undoing && now_us.saturating_sub(trip.deadline_us) > OVERDUE_US)
        .collect();
    if !overdue.is_empty() {
        sheet.wrong(
            NAME,
            format!(
                "{} trips are pending beyond their deadline, {} for one: booking's timers do not come through",
                overdue.len(),
                first(&overdue)
            ),
            "booking's database refuses or is slow: see its log, and the clocks; a restart loses nothing",
        );
    } else if long.is_empty() && undoing.is_empty() {
        sheet.fine(NAME, "no trip is stuck");
    }
}

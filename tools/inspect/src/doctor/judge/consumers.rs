//! The stream's consumers, one for each service, held against what the services would declare.

use std::collections::BTreeSet;

use async_nats::jetstream::consumer::Config;
use runtime::broker::{CONSUMER_CONFIG, config_key};

use super::MANY;
use crate::doctor::expected::Expected;
use crate::doctor::observations::{Broker, Consumer, Joined, Seen};
use crate::doctor::report::{Finding, Group, Sheet};
use stack::SERVICES;

pub(super) fn judge(
    broker: &Broker,
    seen: &Seen,
    expected: &Expected,
    findings: &mut Vec<Finding>,
) {
    if !matches!(broker.stream, Ok(Some(_))) {
        return;
    }
    let consumers = match &broker.consumers {
        Ok(consumers) => consumers,
        Err(why) => {
            return sheet("consumers", findings).unseen(
                "consumer",
                format!("the consumers cannot be looked at ({why})"),
                "look as a user who may, such as operator",
            );
        }
    };
    let joined = seen.joined();
    // Whoever has a consumer or a database, or has joined, is expected, and so are the services that this program has in it.
    let mut names: BTreeSet<&str> = SERVICES.into();
    names.extend(consumers.iter().map(|consumer| consumer.name.as_str()));
    names.extend(seen.databases.iter().map(|database| database.name.as_str()));
    names.extend(joined.keys());
    for name in names {
        let subject = format!("consumer {name}");
        let mut sheet = sheet(&subject, findings);
        match consumers.iter().find(|consumer| consumer.name == name) {
            Some(consumer) => {
                judge_one(&mut sheet, consumer, joined.get(name).copied(), expected);
            }
            None if !SERVICES.contains(&name) => sheet.warning(
                "consumer",
                format!("{name} has no consumer of its name: it hears nothing, unless it hears in another way"),
                gone(name),
            ),
            None => sheet.wrong(
                "consumer",
                format!("{name} has no consumer: it hears nothing"),
                format!("start {name}: it declares its consumer when it starts, and within seconds when it runs and notices; what it missed is said again"),
            ),
        }
    }
}

fn sheet<'a>(subject: &'a str, findings: &'a mut Vec<Finding>) -> Sheet<'a> {
    Sheet {
        group: Group::Broker,
        subject,
        findings,
    }
}

fn judge_one(
    sheet: &mut Sheet<'_>,
    consumer: &Consumer,
    joined: Option<Joined>,
    expected: &Expected,
) {
    let name = &consumer.name;
    let Some(expected) = expected.consumer(name) else {
        return sheet.unseen(
            "config",
            "is no service's: nobody here knows what it is for",
            format!("`nats consumer info TRIPS {name}`"),
        );
    };
    if number(&consumer.config) > CONSUMER_CONFIG {
        sheet.unseen(
            "config",
            "was declared by a newer version than this command's",
            "ask with the command of that version",
        );
    } else {
        let ours = SERVICES.contains(&name.as_str());
        let odd = odd(&consumer.config, &expected, ours);
        if odd.is_empty() {
            sheet.fine("config", "set up as its service declares it");
        } else if !ours {
            sheet.warning(
                "config",
                format!(
                    "is set up otherwise than a leg made with shared/leg declares it: {}",
                    odd.join("; ")
                ),
                "ask whoever made that leg whether it is meant (shared/choreography, protocol)",
            );
        } else {
            sheet.wrong(
                "config",
                format!("is set up otherwise than its service declares it: {}", odd.join("; ")),
                format!("`nats consumer rm TRIPS {name}`: {name} declares it anew within seconds, hears the window again and drops what it knows"),
            );
        }
    }
    if consumer.paused {
        sheet.wrong(
            "paused",
            "was paused by hand: it delivers nothing",
            format!("`nats consumer resume TRIPS {name}`"),
        );
    }
    match joined {
        _ if !consumer.silent => sheet.fine("listens", "somebody listens"),
        Some(leg) if leg.retired => {
            let pending = consumer.pending;
            let seen = format!("nobody listens, and {name} is retired: {pending} facts wait");
            return sheet.fine("listens", seen);
        }
        // It can be booked.
        Some(_) => {
            let pending = consumer.pending;
            return sheet.warning(
                "listens",
                format!(
                    "nobody listens: no replica of {name} asks for facts, and {pending} wait for it"
                ),
                gone(name),
            );
        }
        None => {}
    }
    work(sheet, consumer);
}

/// What to do about a leg that does not listen.
fn gone(name: &str) -> String {
    let me = client::invocation();
    format!(
        "start {name}: what it missed is said again; one that is gone for good is booked no more after `{me} legs retire {name} --reason TEXT`"
    )
}

fn number(config: &Config) -> u32 {
    let number = config.metadata.get(&config_key(participant::SYSTEM));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What of a consumer is set up otherwise, in a way that counts.
fn odd(found: &Config, expected: &Config, ours: bool) -> Vec<String> {
    let mut odd = Vec::new();
    let filters = |config: &Config| -> BTreeSet<String> {
        let one = Some(config.filter_subject.clone()).filter(|filter| !filter.is_empty());
        one.into_iter()
            .chain(config.filter_subjects.clone())
            .collect()
    };
    let (heard, meant) = (filters(found), filters(expected));
    // None at all is everything.
    let deaf: Vec<&str> = meant.difference(&heard).map(String::as_str).collect();
    if !deaf.is_empty() && !heard.is_empty() {
        odd.push(format!("it does not hear {}", deaf.join(", ")));
    }
    let more: Vec<&str> = heard.difference(&meant).map(String::as_str).collect();
    if heard.is_empty() || !more.is_empty() {
        odd.push(format!(
            "it hears more than it should: {}",
            if heard.is_empty() {
                String::from("everything")
            } else {
                more.join(", ")
            }
        ));
    }
    if found.ack_policy != expected.ack_policy {
        odd.push(format!(
            "acknowledgement is {:?}, not {:?}",
            found.ack_policy, expected.ack_policy
        ));
    }
    if found.max_deliver > 0 {
        odd.push(format!(
            "it gives up after {} deliveries",
            found.max_deliver
        ));
    }
    // How much a leg of other make takes at once is its own affair.
    if ours && found.max_ack_pending != expected.max_ack_pending {
        odd.push(format!(
            "it has {} in work at most, not {}",
            found.max_ack_pending, expected.max_ack_pending
        ));
    }
    if !found.backoff.is_empty() {
        odd.push(String::from(
            "it has a list of pauses (backoff), which disturbs the service's own",
        ));
    }
    if found.deliver_subject.is_some() {
        odd.push(String::from("it pushes, and services pull"));
    }
    if found.headers_only {
        odd.push(String::from("it delivers headers only"));
    }
    if found.durable_name.is_none() {
        odd.push(String::from("it is not durable"));
    }
    odd
}

fn work(sheet: &mut Sheet<'_>, consumer: &Consumer) {
    let Consumer {
        name,
        pending,
        unacked,
        redelivered,
        ..
    } = consumer;
    let max = u64::try_from(consumer.config.max_ack_pending).unwrap_or(0);
    let seen = format!("{pending} to deliver, {unacked} not acknowledged");
    if max > 0 && *unacked >= max {
        sheet.wrong(
            "work",
            format!("{seen}: that is the most, and it delivers no more"),
            format!("{name} takes facts and does not finish them: see its log and its database; a restart loses nothing"),
        );
    } else if consumer.took == Some(false) && *pending > 0 {
        sheet.warning(
            "work",
            format!("{seen}, and in a second none was taken"),
            format!("look again; if nothing moves, {name} does not run, or its database refuses: see its log"),
        );
    } else if *pending >= MANY {
        sheet.warning(
            "work",
            seen,
            format!("start more replicas of {name}, unless its database is what is slow (roundtrip_transaction_seconds)"),
        );
    } else {
        sheet.fine("work", seen);
    }
    if *redelivered > 0 {
        sheet.warning(
            "redelivered",
            format!("{redelivered} facts were delivered again and are still not acknowledged"),
            format!("a replica was killed (passes within ACK_WAIT_MS), the database refuses (see the log of {name}), or a newer version's facts wait for an upgrade"),
        );
    }
}

//! The broker, and the stream held against what the runtime would declare.

use async_nats::jetstream::stream::{Config, PersistenceMode};
use runtime::broker::SERVER_FLOOR;

use super::{MINUTE_US, consumers, span};
use crate::doctor::expected::Expected;
use crate::doctor::observations::{Account, Broker, Copy, Seen, Server, Service, Stream};
use crate::doctor::report::{Finding, Group, Sheet};

/// A full window that is shorter than this bridges no absence worth the name.
const WINDOW_US: i64 = 60 * MINUTE_US;

pub(super) fn judge(seen: &Seen, expected: &Expected, findings: &mut Vec<Finding>) {
    let mut sheet = Sheet {
        group: Group::Broker,
        subject: "broker",
        findings,
    };
    let Some(broker) = &seen.broker else {
        let home = seen.home.is_some();
        let seen = if home {
            "the stack does not run, and its broker neither"
        } else {
            "its address was not given"
        };
        return sheet.unseen("answers", seen, "--nats URL, --nats-user, --nats-password");
    };
    let server = match &broker.server {
        Ok(server) => server,
        Err(why) => {
            return sheet.wrong(
                "answers",
                format!("does not let us in at {} ({why})", broker.url),
                "start it; if it runs, check the address, the user and the password; meanwhile facts wait in outboxes, and nothing is lost",
            );
        }
    };
    sheet.fine("answers", format!("answers at {}", broker.url));
    judge_server(&mut sheet, server);
    if !judge_account(&mut sheet, &broker.account, server.jetstream) {
        return;
    }
    judge_stream(broker, server, seen, expected, findings);
    consumers::judge(broker, seen, expected, findings);
}

fn judge_server(sheet: &mut Sheet<'_>, server: &Server) {
    let (major, minor) = SERVER_FLOOR;
    let version = &server.version;
    if parts(version) < SERVER_FLOOR {
        sheet.wrong(
            "version",
            format!(
                "nats-server {version} is older than {major}.{minor}: services do not work with it"
            ),
            format!("upgrade it to {major}.{minor} or newer, one node after the other"),
        );
    } else {
        sheet.fine("version", format!("nats-server {version}"));
    }
    if server.lame_duck {
        sheet.warning(
            "version",
            format!("the node {} is about to stop", server.name),
            "services go to another node by themselves; with only one, wait until it is back",
        );
    }
}

fn parts(version: &str) -> (u32, u32) {
    let mut parts = version
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Whether it is worth looking further.
fn judge_account(sheet: &mut Sheet<'_>, account: &Result<Account, String>, has: bool) -> bool {
    match account {
        Err(_) if !has => {
            sheet.wrong(
                "jetstream",
                "JetStream is off: no fact is kept",
                "turn it on: `jetstream { store_dir: ... }` in the server's configuration",
            );
            false
        }
        // A user who may not ask gets no answer at all.
        Err(why) if why.contains("timed out") => {
            sheet.unseen(
                "jetstream",
                "JetStream does not answer this user",
                "look as one who may ask, such as operator; if that gets no answer either, see the server's log",
            );
            true
        }
        Err(why) => {
            sheet.wrong(
                "jetstream",
                format!("JetStream refuses ({why})"),
                "in a cluster, bring back enough nodes for a majority; else see the server's log: its disk may be full",
            );
            false
        }
        Ok(Account {
            storage,
            storage_max: Some(max),
        }) if *max > 0 && storage.saturating_mul(10) > max.saturating_mul(9) => {
            sheet.warning(
                "jetstream",
                format!("JetStream uses {} of {} that the account may", size(*storage), size(*max)),
                "give the account more, or the stream less (`nats stream edit TRIPS --max-bytes ...`)",
            );
            true
        }
        Ok(account) => {
            sheet.fine(
                "jetstream",
                format!("JetStream has {} on disk", size(account.storage)),
            );
            true
        }
    }
}

fn judge_stream(
    broker: &Broker,
    server: &Server,
    seen: &Seen,
    expected: &Expected,
    findings: &mut Vec<Finding>,
) {
    let expected = expected.stream();
    let name = expected.name.clone();
    let mut sheet = Sheet {
        group: Group::Broker,
        subject: &name,
        findings,
    };
    let stream = match &broker.stream {
        Ok(Some(stream)) => stream,
        Ok(None) => {
            return sheet.wrong(
                "stream",
                "the stream is not there",
                "a service declares it when it starts or notices, within seconds: start one; trips under way go on after being asked again",
            );
        }
        Err(why) => {
            return sheet.unseen(
                "stream",
                format!("the stream cannot be looked at ({why})"),
                "look as a user who may, such as operator",
            );
        }
    };
    stores(&mut sheet, broker.stores.as_ref(), seen);
    let odd = odd(&stream.config, &expected);
    if odd.is_empty() {
        sheet.fine("config", "set up as services declare it");
    }
    for (seen, todo) in odd {
        sheet.wrong("config", seen, todo);
    }
    limits(&mut sheet, &stream.config, &expected);
    window(&mut sheet, stream, seen.now_us);
    if server.cluster.is_some() && stream.config.num_replicas < 2 {
        sheet.warning(
            "replicas",
            "one copy, on a cluster: when its node is down, no fact moves",
            "`nats stream edit TRIPS --replicas 3`, and STREAM_REPLICAS=3 for the next time that it is declared",
        );
    } else if server.cluster.is_some() {
        copies(&mut sheet, "replicas", &stream.copies, stream.led);
    }
}

/// Whether a service says that nothing of its own is stored: then it is not the doctor's user who may not publish.
fn nothing_of(seen: &Seen) -> Option<&str> {
    let says = |service: &&Service| {
        let mut refused = service
            .ready
            .iter()
            .filter_map(|ready| ready.as_ref().err());
        refused.any(|words| words.contains("has stored no fact"))
    };
    Some(seen.services.iter().find(says)?.service.as_str())
}

fn stores(sheet: &mut Sheet<'_>, stores: Option<&Result<(), String>>, seen: &Seen) {
    const REMEDY: &str = "give its disk space, then restart it: one whose disk was full does not store again by itself; outboxes keep everything meanwhile";
    match (stores, nothing_of(seen)) {
        (Some(Err(why)), Some(service)) => sheet.wrong(
            "stores",
            format!("the broker takes no message ({why}), and nothing of {service} either: no fact gets out, and new trips are refused"),
            REMEDY,
        ),
        _ => stored(sheet, stores, REMEDY),
    }
}

fn stored(sheet: &mut Sheet<'_>, stores: Option<&Result<(), String>>, todo: &'static str) {
    match stores {
        Some(Ok(())) => sheet.fine("stores", "it stores what is published"),
        // A user who may not publish gets no answer either.
        Some(Err(why)) if why.contains("no answer") || why.contains("timed out") => sheet.unseen(
            "stores",
            "a message that was published to try it was not acknowledged",
            "look as a user who may publish there, such as operator; if that is not acknowledged either, restart the broker",
        ),
        Some(Err(why)) => sheet.wrong(
            "stores",
            format!("the broker takes no message ({why}): no fact gets out, and new trips are refused"),
            todo,
        ),
        None => {}
    }
}

/// The subjects that it should take and does not.
fn missing<'a>(found: &Config, expected: &'a Config) -> Vec<&'a str> {
    let missing = expected
        .subjects
        .iter()
        .filter(|subject| !found.subjects.contains(subject));
    missing.map(String::as_str).collect()
}

/// What is set up so that facts are lost, refused or not heard: each with what to do.
fn odd(found: &Config, expected: &Config) -> Vec<(String, &'static str)> {
    const REMAKE: &str = "this cannot be changed: `nats stream rm TRIPS`, and services declare it anew within seconds; trips under way go on after being asked again";
    const EDIT: &str = "`nats stream edit TRIPS`, or `nats stream rm TRIPS`: services declare it anew within seconds, and trips under way go on after being asked again";
    let missing = missing(found, expected);
    let mut odd = Vec::new();
    let mut expect = |so: bool, seen: String, todo| {
        if !so {
            odd.push((seen, todo));
        }
    };
    expect(
        missing.is_empty(),
        format!(
            "it does not take {}, only {}",
            missing.join(", "),
            found.subjects.join(", ")
        ),
        EDIT,
    );
    expect(
        found.retention == expected.retention,
        format!(
            "its retention is {:?}, not {:?}: it is no window",
            found.retention, expected.retention
        ),
        REMAKE,
    );
    expect(
        found.discard == expected.discard,
        format!(
            "it discards {:?} facts, not {:?} ones: full, it takes none any more",
            found.discard, expected.discard
        ),
        EDIT,
    );
    expect(
        found.storage == expected.storage,
        format!(
            "it is kept in {:?}, not {:?}: a restart forgets it",
            found.storage, expected.storage
        ),
        REMAKE,
    );
    expect(
        !found.no_ack,
        String::from("it acknowledges nothing: outboxes are never emptied"),
        EDIT,
    );
    expect(
        !found.sealed,
        String::from("it is sealed: it takes no facts"),
        REMAKE,
    );
    expect(
        found.persist_mode != Some(PersistenceMode::Async),
        String::from("it acknowledges before it writes: a crash loses facts that count as said"),
        REMAKE,
    );
    expect(
        found.max_messages_per_subject < 1,
        format!(
            "it keeps {} facts for each subject: others fall out unheard",
            found.max_messages_per_subject
        ),
        EDIT,
    );
    odd
}

/// What an operator may set as he likes, and still wants to know.
fn limits(sheet: &mut Sheet<'_>, found: &Config, expected: &Config) {
    if found.max_bytes < 1 && found.max_age.is_zero() && found.max_messages < 1 {
        sheet.warning(
            "limits",
            "it has no limit: it grows until the disk is full",
            format!(
                "`nats stream edit TRIPS --max-bytes {} --max-age {}h`",
                expected.max_bytes,
                expected.max_age.as_secs() / 3_600
            ),
        );
    }
    // The server's own choice where nothing is said.
    if found.duplicate_window.as_secs() < 120 && found.duplicate_window < found.max_age {
        sheet.warning(
            "limits",
            format!("it knows a repeated fact only for {:?}: more lie in it twice, and hearers drop them", found.duplicate_window),
            "`nats stream edit TRIPS --dupe-window 2m`",
        );
    }
}

fn window(sheet: &mut Sheet<'_>, stream: &Stream, now_us: i64) {
    let config = &stream.config;
    let max = u64::try_from(config.max_bytes).unwrap_or(0);
    let of = if max > 0 {
        format!(" of {}", size(max))
    } else {
        String::new()
    };
    let age = now_us.saturating_sub(stream.first_us);
    let seen = format!(
        "{} facts, {}{of}, the last is number {}",
        stream.messages,
        size(stream.bytes),
        stream.last_sequence
    );
    let full = max > 0 && stream.bytes.saturating_mul(20) > max.saturating_mul(19);
    if full && stream.messages > 0 && age < WINDOW_US {
        sheet.warning(
            "window",
            format!(
                "{seen}: full after {}; what falls out unheard has to be said again",
                span(age)
            ),
            "make it larger: `nats stream edit TRIPS --max-bytes ...` (docs/operations.md, Sizing)",
        );
    } else {
        sheet.fine("window", seen);
    }
}

/// The copies of a stream or consumer beside its leader's.
pub(super) fn copies(sheet: &mut Sheet<'_>, check: &'static str, copies: &[Copy], led: bool) {
    let names = |which: &dyn Fn(&Copy) -> bool| {
        let names: Vec<&str> = copies
            .iter()
            .filter(|c| which(c))
            .map(|c| c.node.as_str())
            .collect();
        names.join(", ")
    };
    let offline = names(&|copy| copy.offline);
    let behind = names(&|copy| !copy.offline && !copy.current);
    if !led {
        sheet.wrong(
            check,
            "it has no leader: no fact moves",
            "bring back enough nodes for a majority; nothing is lost meanwhile",
        );
    } else if !offline.is_empty() {
        sheet.wrong(
            check,
            format!("copies are not reached: {offline}"),
            "start that node, or look why the others do not reach it; without a majority of its copies no fact moves",
        );
    } else if !behind.is_empty() {
        sheet.wrong(
            check,
            format!("copies are behind: {behind}"),
            "look again in a minute; if they stay behind, see that node's disk and network",
        );
    } else {
        sheet.fine(check, format!("{} copies, all current", copies.len() + 1));
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

//! Databases: their schema held against this program's own migrations, what lies in them, and what their server says of itself.

use super::services::depth;
use super::{SECOND_US, clock, letters, span};
use crate::doctor::expected::{Expected, Migration};
use crate::doctor::observations::{Applied, Database, Found, Seen, Transactions};
use crate::doctor::report::{Finding, Group, Sheet};
use stack::SERVICES;

/// A fact is published within a moment, and a sweeper takes it up ten seconds after its publisher died.
const UNSAID_WARNING_US: i64 = 20 * SECOND_US;
const UNSAID_WRONG_US: i64 = 60 * SECOND_US;
/// The services' own transactions take milliseconds.
const OPEN_WARNING_US: i64 = 60 * SECOND_US;
const OPEN_WRONG_US: i64 = 3_600 * SECOND_US;

pub(super) fn judge(seen: &Seen, expected: &Expected, findings: &mut Vec<Finding>) {
    for database in &seen.databases {
        let mut sheet = sheet(&database.name, findings);
        match &database.found {
            Ok(found) => judge_one(&mut sheet, database, found, seen, expected),
            Err(why) => sheet.wrong(
                "opens",
                format!("cannot be opened ({why})"),
                "start it, or check the address, the user and the password; trips that need the service wait meanwhile",
            ),
        }
    }
    let legs = seen.joined().into_iter().filter(|(_, leg)| !leg.retired);
    let legs = legs
        .map(|(name, _)| name)
        .filter(|name| !SERVICES.contains(name));
    for name in SERVICES.into_iter().chain(legs) {
        if !seen.databases.iter().any(|database| database.name == name) {
            let (why, todo) = if !SERVICES.contains(&name) {
                (
                    "nobody said where it is, if it has one",
                    format!("--database {name}=URL, where that leg is made with shared/leg"),
                )
            } else if seen.home.is_some() {
                (
                    "its server runs only with the stack",
                    format!("start it with `{} up`", client::invocation()),
                )
            } else {
                (
                    "its address was not given",
                    format!("--database {name}=URL"),
                )
            };
            sheet(name, findings).unseen("opens", why, todo);
        }
    }
}

fn sheet<'a>(subject: &'a str, findings: &'a mut Vec<Finding>) -> Sheet<'a> {
    Sheet {
        group: Group::Databases,
        subject,
        findings,
    }
}

fn judge_one(
    sheet: &mut Sheet<'_>,
    database: &Database,
    found: &Found,
    seen: &Seen,
    expected: &Expected,
) {
    let engine = if database.postgres {
        "PostgreSQL"
    } else {
        "SQLite"
    };
    sheet.fine("opens", format!("{engine} opens"));
    let none_of_ours = found.runtime.is_none() && found.service.is_none();
    if none_of_ours && !SERVICES.contains(&database.name.as_str()) {
        return sheet.unseen(
            "schema",
            "has none of the tables that this command knows",
            "ask whoever made that leg; `audit` leaves it out and says so",
        );
    }
    if none_of_ours {
        return sheet.wrong(
            "schema",
            format!(
                "has no tables of a service in it: {} was never started with it",
                database.name
            ),
            "start the service, or check which database its DATABASE_URL names",
        );
    }
    schema(sheet, database, found, expected);
    outbox(sheet, found, seen.now_us);
    let asked = seen
        .services
        .iter()
        .any(|service| service.service == database.name && matches!(service.letters, Some(Ok(_))));
    if !asked && let Some(kept) = &found.letters {
        letters(sheet, &database.name, kept, seen.now_us);
    }
    settings(sheet, database, found);
    clock(sheet, found.clock.as_slice());
    server(sheet, found);
    transactions(sheet, &found.transaction);
}

fn schema(sheet: &mut Sheet<'_>, database: &Database, found: &Found, expected: &Expected) {
    let none = Vec::new();
    let own = found.runtime.as_ref().unwrap_or(&none);
    let mut fine = compare(sheet, &database.name, own, &expected.runtime_migrations());
    let service = found.service.as_ref().unwrap_or(&none);
    match expected.service_migrations(&database.name) {
        Some(expected) => fine &= compare(sheet, &database.name, service, &expected),
        None => sheet.unseen(
            "schema",
            format!("this command does not know {}'s own tables", database.name),
            "ask whoever made that leg",
        ),
    }
    let last = own.iter().chain(service).map(|applied| applied.version);
    if fine && let Some(last) = last.max() {
        sheet.fine("schema", format!("schema {last}"));
    }
}

/// Whether what was applied is what this program would apply.
fn compare(sheet: &mut Sheet<'_>, name: &str, found: &[Applied], expected: &[Migration]) -> bool {
    const NAME: &str = "schema";
    let list = |versions: Vec<i64>| {
        let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
        versions.join(", ")
    };
    let failed = found.iter().filter(|applied| !applied.success);
    let failed = list(failed.map(|applied| applied.version).collect());
    if !failed.is_empty() {
        sheet.wrong(
            NAME,
            format!("migration {failed} was begun and did not come through"),
            format!("{name} does not start with it: its log says why; mend that by hand, or restore the last backup, and start it again"),
        );
        return false;
    }
    let of = |version: i64| found.iter().find(|applied| applied.version == version);
    let changed = expected.iter().filter(|expected| {
        of(expected.version).is_some_and(|found| found.checksum != expected.checksum)
    });
    let changed = list(changed.map(|expected| expected.version).collect());
    if !changed.is_empty() {
        sheet.wrong(
            NAME,
            format!("migration {changed} was applied with another text than this version's: its tables may be others"),
            format!("{name} of this version does not start with it; run the version that made it, or compare the two texts: a migration is never changed, only added to"),
        );
        return false;
    }
    let missing = expected
        .iter()
        .filter(|expected| of(expected.version).is_none());
    let missing = list(missing.map(|expected| expected.version).collect());
    if !missing.is_empty() {
        sheet.wrong(
            NAME,
            format!("is older than this command: migration {missing} is missing"),
            format!("{name} has not been started with this version yet: start one replica of it, which brings the schema up to date"),
        );
        return false;
    }
    let newer = found.iter().filter(|found| {
        expected
            .iter()
            .all(|expected| expected.version != found.version)
    });
    let newer = list(newer.map(|found| found.version).collect());
    if !newer.is_empty() {
        sheet.warning(
            NAME,
            format!("this command is older than the schema: it does not know migration {newer}"),
            "ask with the command of that version; services of this one run beside it",
        );
        return false;
    }
    true
}

fn outbox(sheet: &mut Sheet<'_>, found: &Found, now_us: i64) {
    let Some((count, oldest_us)) = found.outbox else {
        return sheet.wrong(
            "outbox",
            "its outbox cannot be read",
            "the table is missing or this user may not read it: look as one who may (auditor)",
        );
    };
    let age = now_us.saturating_sub(oldest_us);
    if count == 0 || age <= UNSAID_WARNING_US {
        return depth(sheet, count);
    }
    let seen = format!(
        "{count} facts in its outbox are committed and not published, the oldest for {}",
        span(age)
    );
    let todo = "the service does not run, or the broker is not reached, refuses (password, permissions) or is full: see above; they go out by themselves then";
    if age > UNSAID_WRONG_US {
        sheet.wrong("outbox", seen, todo);
    } else {
        sheet.warning("outbox", seen, todo);
    }
}

fn settings(sheet: &mut Sheet<'_>, database: &Database, found: &Found) {
    let is = |name: &str, good: &[&str]| {
        found
            .settings
            .get(name)
            .is_none_or(|value| good.contains(&value.as_str()))
    };
    let value = |name: &str| found.settings.get(name).cloned().unwrap_or_default();
    let mut odd = Vec::new();
    for (name, good) in [
        ("fsync", &["on"][..]),
        ("full_page_writes", &["on"]),
        ("synchronous_commit", &["on", "remote_apply"]),
        ("journal_mode", &["wal"]),
    ] {
        if !is(name, good) {
            odd.push(format!("{name} is {}", value(name)));
        }
    }
    if odd.is_empty() {
        return sheet.fine("durable", "commits are on disk before they count");
    }
    let todo = if database.postgres {
        "set it to `on` in postgresql.conf and reload: after a crash, trips that were promised may be gone"
    } else {
        "start the service: it sets its file up itself"
    };
    sheet.wrong("durable", odd.join(", "), todo);
}

fn server(sheet: &mut Sheet<'_>, found: &Found) {
    if found.follows {
        sheet.warning(
            "follows",
            "this server only follows another one: it may be behind, and takes no writes",
            "look at the primary",
        );
    }
    let Some((used, max)) = found.connections else {
        return;
    };
    let seen = format!("{used} of {max} connections");
    if used.saturating_mul(10) >= max.saturating_mul(9) {
        sheet.wrong(
            "connections",
            format!("{seen} are taken"),
            "raise max_connections, or run fewer replicas (five connections each); see who has them in pg_stat_activity",
        );
    } else if used.saturating_mul(10) >= max.saturating_mul(7) {
        sheet.warning(
            "connections",
            format!("{seen} are taken"),
            "raise max_connections before more replicas start (five connections each)",
        );
    } else {
        sheet.fine("connections", seen);
    }
}

fn transactions(sheet: &mut Sheet<'_>, transaction: &Transactions) {
    const NAME: &str = "transactions";
    let (age_us, pid, program, state) = match transaction {
        Transactions::Unknown => return,
        Transactions::None => return sheet.fine(NAME, "no open transaction"),
        Transactions::Hidden => {
            return sheet.unseen(
                NAME,
                "this user does not see other users' transactions",
                "grant pg_read_all_stats to it",
            );
        }
        Transactions::Oldest {
            age_us,
            pid,
            program,
            state,
        } => (age_us, pid, program, state),
    };
    let seen = format!(
        "a transaction is open for {} ({program}, {state}, pid {pid})",
        span(*age_us)
    );
    let todo = format!(
        "it keeps vacuum and locks waiting: end it where it was begun, or `select pg_terminate_backend({pid})`"
    );
    if *age_us > OPEN_WRONG_US {
        sheet.wrong(NAME, seen, todo);
    } else if *age_us > OPEN_WARNING_US {
        sheet.warning(NAME, seen, todo);
    } else {
        sheet.fine(NAME, seen);
    }
}

//! Every migration is frozen once it is out, and only expands. Held against the files themselves; it needs no broker, no database
//! and no history.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::{Args as _, Command, FromArgMatches as _};
use runtime::Settings;
use sqlx::migrate::{Migration, MigrationType};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use crate::expand;

/// In `sha384sum`'s own form: a checksum, two spaces, a file.
const LIST: &str = "e2e-tests/golden/migrations.sha384";

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().to_owned()
}

/// Every migration there is, by its file's name under the root.
fn files() -> BTreeMap<String, String> {
    let rooms = ["shared", "services"]
        .map(|rooms| fs::read_dir(root().join(rooms)).unwrap())
        .into_iter()
        .flatten();
    let folders = rooms.map(|room| room.unwrap().path().join("migrations"));
    let mut files = BTreeMap::new();
    for folder in folders.filter(|folder| folder.is_dir()) {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            files.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
    files
}

/// The checksum that sqlx keeps of a migration in every database it was applied to.
fn checksum(sql: &str) -> String {
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let migration = Migration::new(1, "".into(), MigrationType::Simple, sql, false);
    hex(&migration.checksum)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The list: checksums by file.
pub(crate) fn frozen() -> BTreeMap<String, String> {
    let list = fs::read_to_string(root().join(LIST)).unwrap();
    let lines = list.lines().map(|line| line.split_once("  ").unwrap());
    lines
        .map(|(checksum, file)| (file.to_owned(), checksum.to_owned()))
        .collect()
}

fn broken(frozen: &BTreeMap<String, String>, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut broken = Vec::new();
    for (file, checksum_then) in frozen {
        match files.get(file) {
            Some(sql) if checksum(sql) == *checksum_then => {}
            Some(_) => broken.push(format!(
                "{file} was changed, and every database that has it applied would refuse to start: write a new migration \
                 instead of changing {file}"
            )),
            None => broken.push(format!(
                "{file} is gone, and a new database would lack what it made: put it back, and write a new migration instead"
            )),
        }
    }
    // A folder of which nothing is in the list has never been out: a leg that somebody is about to add.
    let folder = |file: &String| file.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let out: BTreeSet<Option<String>> = frozen.keys().map(folder).collect();
    let unknown = files.iter().filter(|(file, _)| !frozen.contains_key(*file));
    for (file, sql) in unknown.filter(|(file, _)| out.contains(&folder(file))) {
        broken.push(format!(
            "{file} is not frozen: once it is as it should be, add this line to {LIST}:\n{}  {file}",
            checksum(sql)
        ));
    }
    broken
}

#[test]
fn a_released_migration_is_never_changed() {
    let (frozen, files) = (frozen(), files());
    assert!(files.len() >= 5, "only {} migrations", files.len());
    let broken = broken(&frozen, &files);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_changed_a_lost_and_an_unknown_migration_are_each_named() {
    let (frozen, files) = (frozen(), files());
    let name = "services/flight/migrations/1001_seat.sql";
    let told = |files| broken(&frozen, &files).join("\n");
    let mut changed = files.clone();
    changed.get_mut(name).unwrap().push('\n');
    assert!(told(changed).contains(&format!("write a new migration instead of changing {name}")));
    let mut lost = files.clone();
    lost.remove(name);
    assert!(told(lost).contains(&format!("{name} is gone")));
    let mut more = files;
    let new = "services/flight/migrations/1002_wifi.sql";
    more.insert(new.to_owned(), String::from("create table wifi (a text);"));
    assert!(told(more.clone()).contains(&format!("{new} is not frozen")));
    more.remove(new);
    let leg = "services/train/migrations/1001_train.sql";
    more.insert(leg.to_owned(), String::from("create table train (a text);"));
    assert_eq!(told(more), "", "a leg that was never out");
}

/// Below 1000 what services share, above it their own: the two meet in one table of what was applied.
#[test]
fn no_two_migrations_of_a_service_have_one_number() {
    let mut taken = BTreeSet::new();
    for file in files().keys() {
        let (place, name) = file.rsplit_once('/').unwrap();
        let (number, _) = name.split_once('_').unwrap();
        assert_eq!(
            number.len(),
            4,
            "{file}: four digits, then what it is about"
        );
        assert!(
            taken.insert((place.to_owned(), number.to_owned())),
            "{file}: its number is taken"
        );
        let number: u32 = number.parse().unwrap();
        assert_eq!(number > 1000, file.starts_with("services/"), "{file}");
    }
}

/// A file that no program names would be applied nowhere.
#[test]
fn every_migration_is_in_the_programs_under_its_number_and_name() {
    // The defaults, whatever the environment of whoever asks has in it.
    let command =
        Settings::augment_args(Command::new("service")).mut_args(|arg| arg.env(Resettable::Reset));
    let matches = command.try_get_matches_from(["service", "--database-url", "sqlite:none"]);
    let settings = Settings::from_arg_matches(&matches.unwrap()).unwrap();
    let services = stack::catalogue::SERVED.map(|name| stack::catalogue::find(name).unwrap());
    let own = services.iter().map(|service| service.migrations(&settings));
    let programs: BTreeSet<(i64, String, String)> = own
        .chain([
            runtime::database::own_migrations(),
            // Of services that make calls.
            runtime::database::migrations([runtime::database::calls_migration()]),
        ])
        .flat_map(|migrator| migrator.migrations.into_owned())
        .map(|migration| {
            let about = migration.description.replace(' ', "_");
            (migration.version, about, hex(&migration.checksum))
        })
        .collect();
    for (file, sql) in files() {
        let (folder, name) = file.rsplit_once("/migrations/").unwrap();
        let mut services = stack::catalogue::SERVED.iter();
        if folder.starts_with("shared/") || services.any(|it| folder == format!("services/{it}")) {
            let (number, about) = name.trim_end_matches(".sql").split_once('_').unwrap();
            let migration = (number.parse().unwrap(), about.to_owned(), checksum(&sql));
            assert!(programs.contains(&migration), "no program has {file}");
        } else {
            // A leg that is no part of the programs has to name it all the same.
            let sources = fs::read_dir(root().join(folder).join("src")).unwrap();
            let mut sources = sources.map(|source| fs::read_to_string(source.unwrap().path()));
            let named = sources.any(|source| source.is_ok_and(|source| source.contains(name)));
            assert!(named, "no source of {folder} names {file}");
        }
    }
}

/// Versions that went out, as the change log has them: `## 0.1.0`, with or without a date.
fn released() -> BTreeSet<String> {
    let log = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let headings = log.lines().filter_map(|line| line.strip_prefix("## "));
    headings
        .filter(|heading| heading.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|heading| heading.split_whitespace().next())
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn every_migration_only_expands() {
    let (files, released) = (files(), released());
    let refused: Vec<String> = files
        .iter()
        .flat_map(|(file, sql)| {
            let refusals = expand::refusals(sql, &released).into_iter();
            refusals.map(move |refusal| format!("{file}: {refusal}"))
        })
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

//! A database for each service: a file, or a database on a PostgreSQL server, our own or somebody else's.
//! Only where they are. Their tables are the services' affair.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

/// Where services keep their data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DatabaseChoice {
    /// A SQLite file for each.
    #[default]
    Sqlite,
    /// A PostgreSQL server of the stack's own.
    Local,
    /// A PostgreSQL server that is there, by the URL of any of its databases.
    Server(String),
}

impl FromStr for DatabaseChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Local),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Server(url.to_owned()))
            }
            _ => Err(String::from(
                "give `sqlite`, `postgres` for a local server of its own, or postgres://user:password@host/postgres for yours",
            )),
        }
    }
}

/// Without a password.
impl std::fmt::Display for DatabaseChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite => write!(f, "SQLite"),
            Self::Local => write!(f, "PostgreSQL, local"),
            Self::Server(url) => write!(f, "PostgreSQL at {}", address(url)),
        }
    }
}

/// The host and port of a URL, without user and password.
fn address(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    rest[..end].rsplit('@').next().unwrap_or_default()
}

/// A file in the folder for each service of these names.
pub(super) fn files<'a>(
    folder: &Path,
    names: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, String> {
    // What means something in a URL.
    let path = |service: &str| {
        let file = folder.join(format!("{service}.db"));
        let text = file.to_string_lossy().into_owned();
        text.replace('%', "%25")
            .replace('?', "%3F")
            .replace('#', "%23")
    };
    let url = |service: &str| (service.to_owned(), format!("sqlite://{}", path(service)));
    names.map(url).collect()
}

/// How the names of what two-phase commit prepares begin, and those of its connections (`two_phase::audit::PREFIX`).
const PREPARED: &str = "two-phase/";

/// Databases of ours on a server of somebody else's.
#[derive(Debug)]
pub(super) struct OnServer {
    url: String,
    prefix: String,
    names: Vec<String>,
}

impl OnServer {
    /// `roundtrip_booking` and so on; with a word, `roundtrip_WORD_booking`.
    pub(super) fn new(url: &str, word: Option<&str>, names: Vec<String>) -> Self {
        let prefix = word.map_or_else(
            || String::from("roundtrip_"),
            |word| format!("roundtrip_{word}_"),
        );
        let url = url.to_owned();
        Self { url, prefix, names }
    }

    /// Makes those that are missing, and says where they are.
    pub(super) async fn make(&self) -> Result<BTreeMap<String, String>> {
        let mut connection = self.connect().await?;
        let mut urls = BTreeMap::new();
        for service in &self.names {
            let name = format!("{}{service}", self.prefix);
            let there: bool =
                sqlx::query_scalar("select exists (select 1 from pg_database where datname = $1)")
                    .bind(&name)
                    .fetch_one(&mut connection)
                    .await?;
            if !there {
                sqlx::query(AssertSqlSafe(format!("create database \"{name}\"")))
                    .execute(&mut connection)
                    .await
                    .with_context(|| {
                        format!(
                            "cannot make the database {name} on {}; make it yourself, or let the user do so (alter user ... createdb)",
                            address(&self.url)
                        )
                    })?;
            }
            urls.insert(service.clone(), with_database(&self.url, &name)?);
        }
        connection.close().await?;
        Ok(urls)
    }

    /// Removes them, each whatever becomes of the others.
    pub(super) async fn drop(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        let mut results = Vec::new();
        for service in &self.names {
            let name = format!("{}{service}", self.prefix);
            results.push(self.drop_one(&mut connection, &name).await);
        }
        connection.close().await?;
        results.into_iter().collect()
    }

    async fn drop_one(&self, connection: &mut PgConnection, name: &str) -> Result<()> {
        // Whoever was to end them may be dead, or not be there: then the drop says why it cannot.
        let _ = self.end_prepared(name).await;
        let drop = format!("drop database if exists \"{name}\" with (force)");
        sqlx::query(AssertSqlSafe(drop))
            .execute(connection)
            .await
            .with_context(|| format!("cannot drop the database {name}: it is still there"))?;
        Ok(())
    }

    /// Rolls back what lies prepared there by two-phase commit, and ends who would prepare more: a database with a prepared transaction
    /// cannot be dropped, not even by force.
    async fn end_prepared(&self, name: &str) -> Result<()> {
        let mut there = PgConnection::connect(&with_database(&self.url, name)?).await?;
        let end = "select pg_terminate_backend(pid, 2000) from pg_stat_activity \
            where datname = current_database() and starts_with(application_name, $1)";
        sqlx::query(end).bind(PREPARED).execute(&mut there).await?;
        let found = "select gid from pg_prepared_xacts where database = current_database() and starts_with(gid, $1)";
        let found: Vec<String> = sqlx::query_scalar(found)
            .bind(PREPARED)
            .fetch_all(&mut there)
            .await?;
        for gid in found {
            let rollback = format!("rollback prepared '{}'", gid.replace('\'', "''"));
            sqlx::raw_sql(AssertSqlSafe(rollback))
                .execute(&mut there)
                .await?;
        }
        Ok(there.close().await?)
    }

    async fn connect(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.url)
            .await
            .with_context(|| format!("cannot reach PostgreSQL at {}", address(&self.url)))
    }
}

/// The same server's other database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        bail!("a PostgreSQL URL looks like postgres://user:password@host/database");
    };
    let (rest, query) = rest
        .split_once('?')
        .map_or((rest, String::new()), |(rest, query)| {
            (rest, format!("?{query}"))
        });
    let server = rest.split_once('/').map_or(rest, |(server, _)| server);
    Ok(format!("{scheme}://{server}/{name}{query}"))
}

#[cfg(test)]
mod tests {
    use super::{DatabaseChoice, files, with_database};

    #[test]
    fn what_can_be_chosen() {
        let url = "postgres://me:secret@db.example:5433/postgres";
        assert_eq!("sqlite".parse(), Ok(DatabaseChoice::Sqlite));
        assert_eq!("postgres".parse(), Ok(DatabaseChoice::Local));
        assert_eq!(url.parse(), Ok(DatabaseChoice::Server(url.into())));
        assert!("mysql://".parse::<DatabaseChoice>().is_err());
        let shown = DatabaseChoice::Server(url.into()).to_string();
        assert_eq!(shown, "PostgreSQL at db.example:5433");
    }

    #[test]
    fn another_database_on_the_same_server() {
        let other = |url: &str| with_database(url, "other").unwrap_or_default();
        assert_eq!(other("postgres://a:b@h:1/x"), "postgres://a:b@h:1/other");
        assert_eq!(other("postgres://h"), "postgres://h/other");
        assert_eq!(
            other("postgresql://a@h/x?sslmode=require"),
            "postgresql://a@h/other?sslmode=require"
        );
        assert_eq!(other("nonsense"), "");
    }

    #[test]
    fn a_file_for_each_service_whatever_its_folder_is_called() {
        let names = ["booking", "flight", "car-hire"].into_iter();
        let files = files(std::path::Path::new("/tmp/50% off?"), names);
        assert_eq!(files["flight"], "sqlite:///tmp/50%25 off%3F/flight.db");
        assert_eq!(files.len(), 3);
    }
}

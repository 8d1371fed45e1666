//! The databases of a stack: opening them read-only, and finding out whose each is and where its stock lies.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use choreography::Itinerary;
use payment::provider::ProviderSettings;
use runtime::Database;
use runtime::database::Engine;
use serde::Deserialize;

use super::broker::Nats;
use super::stock_table::StockTable;

/// How long a database may take to answer that it is there.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// One database of a stack. Reads `flight=postgres://…` as well as a bare URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// Whose it is: `booking` or a leg. Left out, its records say it, or else the name of the file or database.
    pub name: Option<String>,
    /// `sqlite://…` or `postgres://…`
    pub url: String,
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, url) = match text.split_once('=') {
            Some((name, url)) if is_name(name) => (Some(name.to_owned()), url),
            _ => (None, text),
        };
        if !["sqlite:", "postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            bail!(
                "not a database: it begins with sqlite:// or postgres://, after NAME= if it has one"
            );
        }
        Ok(Self {
            name,
            url: url.to_owned(),
        })
    }
}

/// Without what is secret in the URL.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or_else(|| last_part(&self.url)))
    }
}

/// Whether this program has a service of that name in it, and so knows its tables.
fn is_ours(name: &str) -> bool {
    stack::SERVICES.contains(&name)
}

fn is_name(text: &str) -> bool {
    text == booking::NAME || text.parse::<choreography::LegName>().is_ok()
}

/// The file's name without its ending, or the database's name.
fn last_part(url: &str) -> &str {
    let path = url.split('?').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split('.').next().unwrap_or_default()
}

/// What to judge.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Booking's database and those of the legs, in any order.
    pub databases: Vec<Part>,
    /// The broker; without it the consumers are not looked at, and the report says so.
    pub nats: Option<Nats>,
    /// Legs that are left unjudged when their database is not among them, and named: without this, such a leg is a part that could not be
    /// reached.
    pub without: BTreeSet<String>,
    /// The payment leg's provider, whose own list its records are held against; without it the report says that nobody looked.
    pub provider: Option<ProviderSettings>,
}

/// How a leg keeps its records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As every leg that holds stock: a table `leg`.
    Stock,
    /// As the payment leg, which holds money elsewhere: a table `payment`.
    Payment,
}

/// A leg's database.
pub(super) struct Leg {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) database: Arc<Database>,
    pub(super) stock: Vec<StockTable>,
}

/// The parts that could be opened.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) booking: Option<Arc<Database>>,
    pub(super) legs: Vec<Leg>,
    pub(super) nats: Option<Nats>,
    pub(super) context: Option<async_nats::jetstream::Context>,
    pub(super) without: BTreeSet<String>,
    pub(super) provider: Option<ProviderSettings>,
    /// Databases that could not be opened, and why.
    pub(super) unreached: Vec<String>,
}

impl Opened {
    pub(super) async fn open(parts: &Parts) -> Self {
        let mut opened = Self {
            nats: parts.nats.clone(),
            without: parts.without.clone(),
            provider: parts.provider.clone(),
            ..Self::default()
        };
        for part in &parts.databases {
            let added = match tokio::time::timeout(OPEN_WITHIN, opened.add(part)).await {
                Ok(added) => added,
                Err(_) => Err(anyhow::anyhow!("no answer within {OPEN_WITHIN:?}")),
            };
            if let Err(error) = added {
                opened.unreached.push(format!("{part:?}: {error:#}"));
            }
        }
        if opened.booking.is_none() && opened.unreached.is_empty() {
            opened
                .unreached
                .push(String::from("booking: its database was not given"));
        }
        if let Some(nats) = &opened.nats {
            // A broker that does not answer is named when it is looked at.
            opened.context = nats.connect().await.ok();
        }
        opened
    }

    async fn add(&mut self, part: &Part) -> Result<()> {
        let database = Database::open_read_only(&part.url).await?;
        let tables = tables(&database).await?;
        let has = |name: &str| tables.iter().any(|table| table == name);
        if has("trip") {
            if self.booking.is_some() {
                bail!("a second database with trips was given");
            }
            self.booking = Some(database);
        } else if has("leg") || has("payment") {
            let (name, kind) = if has("leg") {
                (name(part, &database).await?, Kind::Stock)
            } else {
                let name = part.name.clone();
                let name = name.unwrap_or_else(|| payment::NAME.to_owned());
                (name, Kind::Payment)
            };
            if self.legs.iter().any(|leg| leg.name == name) {
                bail!("a second database of {name} was given; call them by name: NAME=URL");
            }
            let stock = StockTable::find(&database).await?;
            self.legs.push(Leg {
                name,
                kind,
                database,
                stock,
            });
        } else if let Some(name) = part.name.as_ref().filter(|name| !is_ours(name)) {
            // A leg of other make keeps its records as it likes.
            self.without.insert(name.clone());
        } else {
            bail!("it has neither trips nor legs in it");
        }
        Ok(())
    }

    /// Legs that have joined or were named, and whose records nobody looks at.
    pub(super) async fn not_looked_at(&self) -> Result<BTreeSet<String>> {
        let mut names = self.without.clone();
        if let Some(booking) = &self.booking {
            names.extend(booking.texts("select leg from joined_leg", vec![]).await?);
        }
        names.retain(|name| self.legs.iter().all(|leg| leg.name != *name));
        Ok(names)
    }

    /// The services whose databases are open.
    pub(super) fn services(&self) -> impl Iterator<Item = (&str, &Arc<Database>)> {
        let booking = self
            .booking
            .iter()
            .map(|database| (booking::NAME, database));
        booking.chain(
            self.legs
                .iter()
                .map(|leg| (leg.name.as_str(), &leg.database)),
        )
    }
}

/// The tables in a database.
pub(crate) async fn tables(database: &Database) -> Result<Vec<String>> {
    let sql = match database.engine() {
        Engine::Sqlite => "select name from sqlite_master where type = 'table'",
        Engine::Postgres => {
            "select tablename::text from pg_catalog.pg_tables where schemaname = current_schema()"
        }
    };
    Ok(database.texts(sql, vec![]).await?)
}

/// Whose database it is.
pub(crate) async fn whose(part: &Part, database: &Database) -> Result<String> {
    let tables = tables(database).await?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    if part.name.is_none() && has("trip") {
        Ok(booking::NAME.to_owned())
    } else if has("leg") {
        name(part, database).await
    } else if part.name.is_none() && has("payment") {
        Ok(payment::NAME.to_owned())
    } else {
        Ok(format!("{part:?}"))
    }
}

/// The name it was given; else any of its records says whose position it is; else the database is called like its leg.
async fn name(part: &Part, database: &Database) -> Result<String> {
    #[derive(Deserialize)]
    struct Place {
        position: u16,
        itinerary: String,
    }
    if let Some(name) = &part.name {
        return Ok(name.clone());
    }
    let object = match database.engine() {
        Engine::Sqlite => "json_object('position', position, 'itinerary', itinerary)",
        Engine::Postgres => "json_build_object('position', position, 'itinerary', itinerary)::text",
    };
    let sql = format!("select {object} from leg where itinerary <> '' limit 1");
    for row in database.texts(&sql, vec![]).await? {
        let place: Place = serde_json::from_str(&row).context("its records can't be read")?;
        if let Some(name) = Itinerary::parse(&place.itinerary)
            .ok()
            .and_then(|itinerary| itinerary.name_at(place.position).cloned())
        {
            return Ok(name.to_string());
        }
    }
    Ok(last_part(&part.url).to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_database_may_be_called_by_name_and_shows_no_password() {
        let part: Part = "flight=postgres://me:secret@host:5432/trips_7?x=y"
            .parse()
            .unwrap();
        assert_eq!(part.name.as_deref(), Some("flight"));
        assert_eq!(part.url, "postgres://me:secret@host:5432/trips_7?x=y");
        let part: Part = "postgres://me:sec=ret@host:5432/trips_7?x=y"
            .parse()
            .unwrap();
        assert_eq!(
            (part.name.as_deref(), format!("{part:?}").as_str()),
            (None, "trips_7")
        );
        let part: Part = "sqlite:///tmp/a=b/hotel.db".parse().unwrap();
        assert_eq!(
            (part.name.as_deref(), format!("{part:?}").as_str()),
            (None, "hotel")
        );
        assert!("hotel.db".parse::<Part>().is_err());
    }
}

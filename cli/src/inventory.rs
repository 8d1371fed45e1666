//! `roundtrip inventory`: what can be booked, of any leg that shows it over HTTP.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use client::inventory::{Inventory as Shape, Row};
use client::paint::visible;
use client::{Page, invocation};
use serde::Serialize;
use serde_json::Value;
use stack::catalogue::inventories;

use super::address::Addresses;
use super::{out, parse};

/// List what can be booked: how much is held, confirmed and free, and what one costs today.
///
/// Of flight and hotel of the stack in the folder, and of other legs whose addresses are given, whatever they sell. A leg that was retired
/// still has what it has.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip inventory\n  roundtrip inventory flights --only flight=RT100 --limit 100\n  roundtrip inventory hotel --only hotel=LIS-PALACE --only room_type=double --json | jq '.[].items[].free'\n  roundtrip inventory flight --after CURSOR   # goes on where the list before this one said\n  roundtrip inventory car --service car=http://127.0.0.1:8083"
)]
pub(crate) struct Inventory {
    /// Only that of this leg, such as flight or hotel.
    leg: Option<String>,
    /// Only rows with this in a column of their key; once for each column.
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = parse::pair, requires = "leg")]
    only: Vec<(String, String)>,
    /// At most so many of each leg.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Go on where an earlier list ended, which it says.
    #[arg(long, value_name = "CURSOR", requires = "leg")]
    after: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
}

/// What one leg has.
#[derive(Serialize)]
struct Shelf {
    leg: String,
    #[serde(flatten)]
    page: Page<Row>,
    #[serde(skip)]
    shape: Shape,
}

impl Inventory {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let mut shelves = Vec::new();
        for leg in self.legs()? {
            let named = || visible(&leg).into_owned();
            let service = self.places.service(&leg)?;
            let Some(shape) = service.inventory().await.with_context(named)? else {
                ensure!(
                    self.leg.is_none(),
                    "{} has no inventory that it shows",
                    named()
                );
                continue;
            };
            let rows = service.rows(&shape, &self.only, self.limit, self.after.clone());
            let page = rows.await.with_context(named)?;
            shelves.push(Shelf { leg, page, shape });
        }
        out::answer(self.json, &shelves, || {
            shelves
                .iter()
                .map(Shelf::told)
                .collect::<Vec<_>>()
                .join("\n\n")
        })?;
        let rest = shelves.iter().filter(|_| !self.json);
        for (shelf, rest) in rest.filter_map(|shelf| Some((shelf, out::rest(&shelf.page)?))) {
            out::aside(&format!("{}: {rest}", visible(&shelf.leg)));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Whose inventory is meant; `flights` is flight's.
    fn legs(&self) -> Result<Vec<String>> {
        if let Some(leg) = &self.leg {
            let entry = inventories().find(|(path, _)| path == leg);
            return Ok(vec![
                entry.map_or_else(|| leg.clone(), |(_, entry)| entry.name.to_owned()),
            ]);
        }
        let own = inventories().filter(|_| !self.places.is_elsewhere(&[]));
        let given = self.places.given().into_iter().map(|(name, _)| name);
        let mut legs: Vec<String> = own
            .map(|(_, entry)| entry.name.to_owned())
            .chain(given)
            .collect();
        legs.retain(|name| name != booking::NAME);
        if legs.is_empty() {
            bail!(
                "say where the legs are with --service NAME=URL; `{} help inventory` has examples",
                invocation()
            );
        }
        Ok(legs)
    }
}

impl Shelf {
    /// The columns of the key in their order, then the numbers.
    fn told(&self) -> String {
        if self.page.items.is_empty() {
            return format!("{}: nothing", visible(&self.leg));
        }
        let rows = self.page.items.iter().map(|row| {
            let key = self.shape.key.iter().map(|name| match row.key.get(name) {
                Some(Value::String(text)) => text.clone(),
                other => other.map(Value::to_string).unwrap_or_default(),
            });
            let counts =
                [row.free, row.held, row.confirmed, row.total].map(|count| count.to_string());
            key.chain(counts)
                .chain([row.price.to_string()])
                .collect::<Vec<_>>()
        });
        let key = self.shape.key.iter().map(String::as_str);
        out::table(
            key.chain(["free", "held", "confirmed", "total", "price"]),
            rows,
        )
    }
}

//! What anybody sees of a leg's stock: one row, or page by page. As last committed, past the loop; what changes it is the module `inventory`'s.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use runtime::database::{Failure, Is};
use runtime::http::{List, Page, TOTAL_MAX};
use runtime::{Cell, Problem};

use crate::core::Stock;
use crate::inventory::LegHandle;
use crate::service::Leg;
use crate::store::stock;

/// One stock row.
///
/// # Errors
/// 404 when it is not there.
pub(crate) async fn get<L: Leg>(handle: &LegHandle<L>, key: &[String]) -> Result<Stock, Problem> {
    let unknown = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-inventory",
            "Not in the inventory",
            format!("There is no {}; PUT it first.", key.join("/")),
        )
    };
    // No key has a NUL in it, and PostgreSQL would not take one.
    if key.iter().any(|part| part.contains('\0')) {
        return Err(unknown());
    }
    let table = L::SPEC.stock;
    let select = handle.database().select(table);
    let select = table
        .key
        .iter()
        .zip(key)
        .fold(select, |select, (column, part)| {
            select.only(column.name, Is::Equal, part.as_str())
        });
    let row = select.cells().await?.pop().ok_or_else(unknown)?;
    Ok(stock(row).map_err(Failure::from)?)
}

/// A page of stock rows, by key: of all of them, or of those with these values in the columns of the key. Counted where it is asked for.
///
/// # Errors
/// 400 when the page can't be read.
pub(crate) async fn list<L: Leg>(
    handle: &LegHandle<L>,
    page: &Page,
    filter: &BTreeMap<String, String>,
) -> Result<List<Stock>, Problem> {
    let table = L::SPEC.stock;
    let limit = page.limit()?;
    let counted = counted(filter.get("total"))?;
    let key: Vec<&str> = table.key.iter().map(|column| column.name).collect();
    let all = || {
        let given = key.iter().filter_map(|name| filter.get_key_value(*name));
        given.fold(handle.database().select(table), |rows, (name, value)| {
            rows.only(name, Is::Equal, value.as_str())
        })
    };
    // No key has a NUL in it, and PostgreSQL would not take one.
    if filter.values().any(|value| value.contains('\0')) {
        return Ok(List::of(Vec::new(), limit, |row: &Stock| row.key.clone()));
    }
    let mut select = all().order(&key);
    if let Some(last) = page.after(key.len())? {
        let last = key.iter().copied().zip(last.into_iter().map(Cell::from));
        select = select.after(last.collect());
    }
    let rows = select.most(limit + 1).cells().await?.into_iter();
    let rows = rows.map(stock).collect::<Result<_, _>>();
    let rows = rows.map_err(Failure::from)?;
    let total = match counted {
        true => Some(all().most(TOTAL_MAX).count().await?),
        false => None,
    };
    let page = List::of(rows, limit, |row: &Stock| row.key.clone());
    Ok(List { total, ..page })
}

/// Whether they are to be counted.
fn counted(total: Option<&String>) -> Result<bool, Problem> {
    let said = total.map_or("false", String::as_str);
    said.parse().map_err(|_| {
        let detail = format!("`total` is {said:?}; say true or false, or leave it out.");
        Problem::new(StatusCode::BAD_REQUEST, "query", "Unreadable query", detail)
    })
}

//! Stock against what trips hold of it: judged inside one database by one statement, so that what it compares is of one moment.

use runtime::database::{Engine, Failure};
use serde::Deserialize;

use super::part::Leg;
use super::violations::Violations;

/// A stock row that is not as it has to be, beside what trips hold of it.
#[derive(Deserialize)]
struct Odd {
    key: Vec<String>,
    total: Option<i64>,
    held: Option<i64>,
    confirmed: Option<i64>,
    free: Option<i64>,
    held_by: i64,
    confirmed_by: i64,
}

/// Names every stock row of a leg that does not add up, is negative, or is not what the leg's records hold of it.
pub(super) async fn judge(leg: &Leg, violations: &mut Violations) -> Result<(), Failure> {
    if leg.stock.is_empty() {
        return Ok(());
    }
    for row in leg.database.texts(&statement(leg), vec![]).await? {
        let odd: Odd = serde_json::from_str(&row).map_err(|e| Failure::Poison(e.to_string()))?;
        odd.name(&leg.name, violations);
    }
    Ok(())
}

fn statement(leg: &Leg) -> String {
    let engine = leg.database.engine();
    let stock: Vec<String> = leg.stock.iter().map(|table| table.rows(engine)).collect();
    let stock = stock.join(" union all ");
    // Keys are compared as the text of a JSON list, which each engine writes in one way.
    let (key, quantity, each, object, cast) = match engine {
        Engine::Sqlite => (
            "json_extract(h.value, '$.key')",
            "json_extract(h.value, '$.quantity')",
            "json_each(l.holds)",
            "json_object",
            "",
        ),
        Engine::Postgres => (
            "(h.value -> 'key')::text",
            "(h.value ->> 'quantity')::bigint",
            "jsonb_array_elements(l.holds::jsonb)",
            "json_build_object",
            "::text",
        ),
    };
    let json = if engine == Engine::Sqlite { "json" } else { "" };
    let json_cast = if engine == Engine::Sqlite {
        ""
    } else {
        "::json"
    };
    format!(
        "with stock as ({stock}), hold as (
           select {key} as key,
             cast(sum(case when l.state = 'held' then {quantity} else 0 end) as bigint) as held_by,
             cast(sum(case when l.state = 'confirmed' then {quantity} else 0 end) as bigint) as confirmed_by
           from leg as l cross join {each} as h
           where l.state in ('held', 'confirmed')
           group by 1),
         both_sides as (
           select key, max(total) as total, max(held) as held, max(confirmed) as confirmed, max(free) as free,
             max(held_by) as held_by, max(confirmed_by) as confirmed_by
           from (select key, total, held, confirmed, free, 0 as held_by, 0 as confirmed_by from stock
             union all select key, null, null, null, null, held_by, confirmed_by from hold) as each_side
           group by key)
         select {object}('key', {json}(b.key){json_cast}, 'total', b.total, 'held', b.held, 'confirmed', b.confirmed,
           'free', b.free, 'held_by', b.held_by, 'confirmed_by', b.confirmed_by){cast}
         from both_sides as b
         where b.total is null or b.held + b.confirmed + b.free <> b.total or b.held < 0 or b.confirmed < 0 or b.free < 0
           or b.held <> b.held_by or b.confirmed <> b.confirmed_by
         order by b.key"
    )
}

impl Odd {
    fn name(&self, leg: &str, violations: &mut Violations) {
        let key = self.key.join(" ");
        let (Some(total), Some(held), Some(confirmed), Some(free)) =
            (self.total, self.held, self.confirmed, self.free)
        else {
            violations.within(format!(
                "{leg} {key}: trips hold {} and confirmed {} of it, and it is not in the inventory",
                self.held_by, self.confirmed_by
            ));
            return;
        };
        if held + confirmed + free != total {
            violations.within(format!(
                "{leg} {key}: {held} held + {confirmed} confirmed + {free} free is not the total of {total}"
            ));
        }
        if held < 0 || confirmed < 0 || free < 0 {
            violations.within(format!(
                "{leg} {key}: a count is negative: {held} held, {confirmed} confirmed, {free} free"
            ));
        }
        for (word, counted, by) in [
            ("held", held, self.held_by),
            ("confirmed", confirmed, self.confirmed_by),
        ] {
            if counted != by {
                violations.within(format!(
                    "{leg} {key}: {counted} are counted as {word}, and its {word} legs come to {by}"
                ));
            }
        }
    }
}

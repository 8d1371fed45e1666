//! What a row keeps on its way to cells and back, and what is refused in words. Databases are not asked here.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde::{Deserialize, Serialize};

use super::{Cell, of_key, of_row, read};
use crate::table::{Lock, Table, int, text};

const PARCEL: &Table = &Table {
    name: "parcel",
    key: &[text("parcel")],
    columns: &[
        int("weight_g"),
        text("state"),
        text("note"),
        int("sent_us"),
        text("said_id"),
    ],
    lock: Lock::Claim,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    UnderWay,
    Lost,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Grams(u32);

/// Its fields are not in the order of the columns, and one of them is no column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parcel {
    state: State,
    note: Option<String>,
    sent_us: Option<i64>,
    said_id: Option<String>,
    weight_g: Grams,
    parcel: String,
    #[serde(default, skip_serializing)]
    unsent: i64,
}

fn parcel() -> Parcel {
    Parcel {
        state: State::UnderWay,
        note: None,
        sent_us: Some(-7),
        said_id: Some(String::new()),
        weight_g: Grams(u32::MAX),
        parcel: "p\"1\u{1}é".into(),
        unsent: 1,
    }
}

#[test]
fn a_row_comes_back_as_it_went() {
    let mut cells = of_row(&parcel(), PARCEL).unwrap();
    let as_columns = [
        "p\"1\u{1}é".into(),
        i64::from(u32::MAX).into(),
        "under_way".into(),
        Cell::Null,
        (-7).into(),
        "".into(),
    ];
    assert_eq!(cells, as_columns);
    // What a batch loads beside the columns.
    cells.push(1.into());
    let on_the_way = serde_json::to_string(&cells).unwrap();
    let cells = serde_json::from_str(&on_the_way).unwrap();
    assert_eq!(read::<Parcel>(PARCEL.loaded(), cells).unwrap(), parcel());
}

#[test]
fn a_key_is_its_cells_in_order() {
    assert_eq!(of_key(&("a", 3_u8)).unwrap(), ["a".into(), 3.into()]);
    assert_eq!(of_key(&("a",)).unwrap(), ["a".into()]);
}

#[test]
fn what_no_column_holds_is_refused_by_name() {
    #[derive(Serialize)]
    struct Other<T> {
        weight_g: T,
    }
    fn refused(weight_g: impl Serialize) -> String {
        of_row(&Other { weight_g }, PARCEL).unwrap_err().to_string()
    }
    assert!(refused(true).contains("text or a 64-bit integer"));
    assert!(refused(0.5).contains("text or a 64-bit integer"));
    assert!(refused([1]).contains("text or a 64-bit integer"));
    assert!(refused(u64::MAX).contains("out of range"));
    #[derive(Serialize)]
    struct Unknown {
        colour: u8,
    }
    let unknown = of_row(&Unknown { colour: 1 }, PARCEL).unwrap_err();
    assert!(unknown.to_string().contains("no column colour"));
    assert!(of_row(&7, PARCEL).is_err());
}

#[test]
fn a_row_that_is_none_of_the_types_is_refused() {
    let mut cells = of_row(&parcel(), PARCEL).unwrap();
    let short = read::<Parcel>(PARCEL.loaded(), cells.clone()).unwrap_err();
    assert!(short.to_string().contains("6 cells"), "{short}");
    cells.push(0.into());
    cells[2] = "melted".into();
    let error = read::<Parcel>(PARCEL.loaded(), cells.clone()).unwrap_err();
    assert!(error.to_string().contains("melted"), "{error}");
    cells[2] = 3.into();
    assert!(read::<Parcel>(PARCEL.loaded(), cells).is_err());
}

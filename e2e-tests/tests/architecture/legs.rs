//! A leg joins by existing: its folder in `services/` is all there is of it, and it is held to what every leg is held to. Not what a leg does.

use serde_json::json;

use super::{assert_none, rules};

#[test]
fn a_further_leg_needs_no_arrow_of_its_own() {
    let package = |room: &str, to: &str| {
        let manifest = format!("/somewhere/{room}/train/Cargo.toml");
        let dependency = json!({"name": to, "path": format!("shared/{to}"), "kind": null});
        json!({"packages": [{"name": "train", "manifest_path": manifest, "dependencies": [dependency]}]})
    };
    assert_none("a leg as any", rules::arrows(&package("services", "leg")));
    for to in ["hotel", "booking", "stack"] {
        let wrong = rules::arrows(&package("services", to));
        assert_eq!(wrong, [format!("train → {to}")]);
    }
    let elsewhere = rules::arrows(&package("tools", "leg"));
    assert_eq!(elsewhere, ["train: a crate that no arrow is drawn for"]);
}

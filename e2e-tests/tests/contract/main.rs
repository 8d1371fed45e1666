//! The conversation as documents for readers of no Rust: `docs/wire.md`, an AsyncAPI document and a JSON Schema of every body, made from the
//! table of facts, the cores, the runtime's settings and the golden files, and held against them. What is published is held to them at the end
//! of every world ([`e2e_tests::contract`]); what a leg does with them is `insurance`'s business.
//!
//! ```sh
//! FREEZE_WIRE=1 cargo test -p e2e-tests --test contract   # writes the made parts anew; what they say of the wire is then in the diff
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod agree;
mod asyncapi;
mod debezium;
mod golden;
mod official;
mod page;
mod schemas;
mod states;

use std::path::{Path, PathBuf};

/// The bus for programs; booking serves it as it lies here.
const ASYNCAPI: &str = "shared/choreography/asyncapi.json";
/// Set where the documents are to be written anew.
const FREEZE: &str = "FREEZE_WIRE";

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("it lies in the repository").to_owned()
}

fn read(path: &str) -> String {
    let read = std::fs::read_to_string(root().join(path));
    read.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A document is what the code makes of it, to the byte; or it becomes so.
fn held(path: &str, made: &str) {
    let file = root().join(path);
    if std::env::var_os(FREEZE).is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).unwrap();
        std::fs::write(&file, made).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    let line = there.lines().zip(made.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or_else(|| there.lines().count().min(made.lines().count())) + 1;
    assert!(
        there == made,
        "{path}:{line} is not what the code says: run this with {FREEZE}=1, and look at the difference"
    );
}

#[test]
fn the_page_is_what_the_code_says() {
    held("docs/wire.md", &page::made(&read("docs/wire.md")));
}

#[test]
fn the_schema_of_every_body_is_what_the_code_says() {
    for golden in golden::all() {
        let made = serde_json::to_string_pretty(&schemas::document(&golden)).unwrap();
        held(&schemas::path(&golden), &(made + "\n"));
    }
    held(schemas::HEADERS, &headers());
    let folder = root().join(schemas::FOLDER);
    let files = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(
        files,
        choreography::TABLE.len() + 1,
        "one of each fact, and the headers'"
    );
}

fn headers() -> String {
    serde_json::to_string_pretty(&schemas::headers_document()).unwrap() + "\n"
}

#[test]
fn the_asyncapi_document_is_what_the_code_says() {
    held(ASYNCAPI, &asyncapi::made());
}

//! The rules, each a function from what the sources say to what is wrong with them: pure, so that a violation can be planted.
//!
//! They read the code and not its text: what stands in a comment or in a test's module breaks no rule.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Span, TokenStream, TokenTree};
use serde_json::Value;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// A Rust file of ours.
pub(crate) struct Source {
    /// Below the root, such as `shared/leg/src/core.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_below(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    fn at(&self, span: Span) -> String {
        format!("{}:{}", self.path, span.start().line)
    }

    /// The file without its tests.
    fn parsed(&self) -> syn::File {
        let mut file = syn::parse_file(&self.text).expect("a file of ours is Rust");
        file.items.retain(|item| !is_test(item));
        file
    }
}

fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        attribute.path().is_ident("cfg") && tokens.contains("test")
    })
}

/// Everything that a file says outside comments: words, and texts in quotes.
#[derive(Default)]
struct Words {
    idents: Vec<(String, Span)>,
    texts: Vec<(String, Span)>,
}

impl Words {
    fn of(file: &syn::File) -> Self {
        let mut words = Self::default();
        for item in &file.items {
            words.read(quote::ToTokens::to_token_stream(item));
        }
        words
    }

    fn read(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                // A doc comment is an attribute too, and so is what a lint is expected to say.
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if let Some(TokenTree::Group(group)) = tokens.peek()
                        && ["doc", "expect"].contains(&first(group.stream()).as_str())
                    {
                        tokens.next();
                    }
                }
                TokenTree::Group(group) => self.read(group.stream()),
                TokenTree::Ident(ident) => self.idents.push((ident.to_string(), ident.span())),
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.texts.push((text.value(), literal.span()));
                    }
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

fn first(tokens: TokenStream) -> String {
    let first = tokens.into_iter().next();
    first.map_or_else(String::new, |token| token.to_string())
}

/// Which crates of ours a crate may use. What is not listed here is not allowed.
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("choreography", &[]),
    ("runtime", &[]),
    ("workspace-hack", &[]),
    (
        "participant",
        &["choreography", "runtime", "workspace-hack"],
    ),
    ("leg", &["choreography", "participant", "runtime"]),
    ("booking", &["choreography", "participant", "runtime"]),
    (
        "payment",
        &["choreography", "leg", "participant", "runtime"],
    ),
    ("client", &["booking", "choreography", "leg", "runtime"]),
    (
        "stack",
        &[
            "booking",
            "choreography",
            "client",
            "flight",
            "hotel",
            "leg",
            "payment",
            "runtime",
        ],
    ),
    (
        "inspect",
        &[
            "booking",
            "choreography",
            "client",
            "leg",
            "participant",
            "payment",
            "runtime",
            "stack",
        ],
    ),
    (
        "chaos",
        &[
            "booking",
            "choreography",
            "client",
            "flight",
            "hotel",
            "inspect",
            "runtime",
            "stack",
        ],
    ),
    ("conformance", &["choreography", "client", "runtime"]),
    ("sandbox", &["client"]),
    (
        "bench",
        &[
            "booking",
            "choreography",
            "client",
            "flight",
            "hotel",
            "inspect",
            "stack",
        ],
    ),
    (
        "roundtrip",
        &[
            "bench",
            "booking",
            "chaos",
            "choreography",
            "client",
            "conformance",
            "flight",
            "hotel",
            "inspect",
            "leg",
            "participant",
            "payment",
            "runtime",
            "sandbox",
            "stack",
        ],
    ),
    (
        "e2e-tests",
        &[
            "booking",
            "choreography",
            "client",
            "flight",
            "hotel",
            "inspect",
            "leg",
            "participant",
            "payment",
            "runtime",
            "sandbox",
            "stack",
        ],
    ),
    ("xtask", &[]),
];

/// Where the arrows of a leg lead: of any crate in `services/` that has none of its own above.
const LEG_ARROWS: &[&str] = &["choreography", "leg", "runtime"];

/// Arrows between crates, by `cargo metadata`.
pub(crate) fn arrows(metadata: &Value) -> Vec<String> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(from, to)| (*from, to.iter().copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let is_leg = manifest.ends_with(&format!("/services/{name}/Cargo.toml"));
        let a_legs = is_leg.then(|| LEG_ARROWS.iter().copied().collect());
        let Some(allowed) = allowed.get(name).cloned().or(a_legs) else {
            wrong.push(format!("{name}: a crate that no arrow is drawn for"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = dependency["name"].as_str().unwrap_or_default();
            let ours = !dependency["path"].is_null() && dependency["kind"].is_null();
            if ours && !allowed.contains(to) {
                wrong.push(format!("{name} → {to}"));
            }
        }
    }
    wrong
}

/// SQL, or a word about which database it is, in a crate that runs: only the runtime's `database/` has that.
pub(crate) fn sql(source: &Source) -> Vec<String> {
    if source.path.starts_with("shared/runtime/src/database/") {
        return Vec::new();
    }
    let words = Words::of(&source.parsed());
    let starts = [
        "select ",
        "insert into ",
        "update ",
        "delete from ",
        "where ",
        "order by ",
        "create table ",
    ];
    let texts = words.texts.iter().filter(|(text, _)| {
        let text = text.trim_start().to_ascii_lowercase();
        starts.iter().any(|start| text.starts_with(start))
    });
    let engines = words.idents.iter().filter(|(ident, _)| ident == "Engine");
    texts
        .chain(engines)
        .map(|(what, span)| format!("{}: {what:?}", source.at(*span)))
        .collect()
}

/// Whether a file is part of a core: the decisions.
pub(crate) fn is_core(source: &Source) -> bool {
    source.is_below(&["services", "shared"])
        && source.path.contains("/src/")
        && (source.path.ends_with("/core.rs") || source.path.contains("/core/"))
        || source.path == "shared/runtime/src/outgoing.rs"
        || source.path.starts_with("shared/choreography/src/")
}

/// I/O, clocks, chance and panics in a core.
pub(crate) fn impure(source: &Source) -> Vec<String> {
    let forbidden = [
        "async",
        "await",
        "sqlx",
        "tokio",
        "async_nats",
        "reqwest",
        "fastrand",
        "SystemTime",
        "Instant",
        "now_v7",
        "fs",
        "net",
        "env",
        "unwrap",
        "expect",
        "panic",
        "unreachable",
        "todo",
        "println",
        "eprintln",
    ];
    // Time as a value comes in from outside, as an instant of the monotonic clock too.
    let allowed: &[&str] = match source.path.as_str() {
        "shared/runtime/src/outgoing.rs" => &["Instant"],
        _ => &[],
    };
    let words = Words::of(&source.parsed());
    let found = words.idents.iter().filter(|(ident, _)| {
        forbidden.contains(&ident.as_str()) && !allowed.contains(&ident.as_str())
    });
    found
        .map(|(ident, span)| format!("{}: {ident}", source.at(*span)))
        .collect()
}

/// A brand or a trade in the runtime, which is anybody's.
pub(crate) fn branded(source: &Source) -> Vec<String> {
    let words = Words::of(&source.parsed());
    let all = words.idents.iter().chain(&words.texts);
    let trade = [
        "roundtrip",
        "trip",
        "trips",
        "booking",
        "flight",
        "hotel",
        "leg",
        "legs",
    ];
    let branded = |text: &str| {
        if text == "in_flight" {
            return false;
        }
        let text = text.to_ascii_lowercase();
        let mut parts = text.split(|c: char| !c.is_ascii_alphanumeric());
        parts.any(|part| trade.contains(&part))
    };
    all.filter(|(text, _)| branded(text))
        .map(|(text, span)| format!("{}: {text:?}", source.at(*span)))
        .collect()
}

/// The longest that a file and a function are without a reason, in lines.
pub(crate) const FILE_MAX: usize = 400;
const FUNCTION_MAX: usize = 70;

/// Functions and files that are longer than that.
pub(crate) fn long(source: &Source) -> Vec<String> {
    struct Long<'a>(&'a Source, Vec<String>);
    impl Long<'_> {
        fn check(&mut self, name: &syn::Ident, block: &syn::Block) {
            let span = block.span();
            let lines = span.end().line - span.start().line + 1;
            if lines > FUNCTION_MAX {
                self.1
                    .push(format!("{}: fn {name} has {lines} lines", self.0.path));
            }
        }
    }
    impl<'ast> Visit<'ast> for Long<'_> {
        fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
            self.check(&item.sig.ident, &item.block);
            visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
            self.check(&item.sig.ident, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }
    let mut long = Long(source, Vec::new());
    long.visit_file(&syn::parse_file(&source.text).expect("a file of ours is Rust"));
    let lines = source.text.lines().count();
    if lines > FILE_MAX {
        long.1.push(format!("{}: {lines} lines", source.path));
    }
    long.1
}

/// The functions that a file has, by name.
pub(crate) fn functions(text: &str) -> BTreeSet<String> {
    struct Names(BTreeSet<String>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
            self.0.insert(item.sig.ident.to_string());
            visit::visit_item_fn(self, item);
        }
    }
    let mut names = Names(BTreeSet::new());
    names.visit_file(&syn::parse_file(text).expect("a file of ours is Rust"));
    names.0
}

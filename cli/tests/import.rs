//! `import` from standard input, and the lines that it names, as an editor counts them. That a file is taken whole or not at all is shown
//! with the other commands.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use leg::inventory::IMPORT_MAX;
use stack::skip::{self, Need};
use stack::{Options, Stack, broker};

const ROUNDTRIP: &str = env!("CARGO_BIN_EXE_roundtrip");

/// Imports what is written to its standard input; whether it took all of that comes second.
fn import_some(url: &str, csv: &[u8]) -> (Output, bool) {
    let flight = format!("flight={url}");
    let args = ["import", "flights", "-", "--service", &flight];
    let mut import = command::roundtrip(Path::new("nowhere"), &args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = import.stdin.take().unwrap();
    let taken = input.write_all(csv).is_ok();
    drop(input);
    (import.wait_with_output().unwrap(), taken)
}

fn import(url: &str, csv: &[u8]) -> Output {
    let (output, taken) = import_some(url, csv);
    assert!(taken, "{output:?}");
    output
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_is_imported_and_bad_lines_are_counted_as_in_an_editor() {
    let test = "standard_input_is_imported";
    if skip::unless(Need::Nats, test, broker::find(&|_| {})).is_none() {
        return;
    }
    let options = Options {
        program: Some(ROUNDTRIP.into()),
        sample: false,
        ..Options::temporary()
    };
    let stack = Stack::start(&options, &|_| {}).await.unwrap();
    let url = stack.url("flight").unwrap();

    let head = "flight,date,seats,price_minor,currency";
    let rows = |end: &str| {
        let lines = [
            "",
            head,
            "",
            "",
            "X1,2039-01-01,ten,1,EUR",
            "",
            "X2,soon,1,1,EUR",
            "X3,2039-01-01,1,1,\u{ff}",
        ];
        lines.join(end)
    };
    for end in ["\n", "\r\n", "\r"] {
        let mut csv = rows(end).into_bytes();
        // No text.
        csv.pop();
        let refused = import(&url, &csv);
        assert!(!refused.status.success());
        let said = said(&refused);
        for line in ["5: seats", "7: \"soon\"", "8: invalid utf-8"] {
            let named = format!("standard input:{line}");
            assert!(said.contains(&named), "{named} with {end:?}: {said}");
        }
        let headless = import(&url, format!("{end}{end}a,b{end}").as_bytes());
        let said = self::said(&headless);
        assert!(said.contains("standard input:3: the header"), "{said}");
    }

    let (large, taken) = import_some(&url, &vec![b'x'; IMPORT_MAX + (1 << 20)]);
    assert!(!taken, "what comes in need not end");
    assert!(!large.status.success());
    assert!(said(&large).contains("split it"), "{}", said(&large));

    let good = import(
        &url,
        format!("{head}\r\n\r\nX1,2039-01-01,10,1,EUR\r\n").as_bytes(),
    );
    assert!(good.status.success(), "{}", said(&good));
    assert!(
        said(&good).contains("standard input: 1 lines, 1 rows"),
        "{}",
        said(&good)
    );
    stack.stop().await.unwrap();
}

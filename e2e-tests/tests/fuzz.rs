//! The kept corpus of the fuzz targets, run as ordinary tests: whatever a fuzzer once found interesting is taken, or refused, without a
//! panic. Not a fuzzer: `cargo fuzz run TARGET` is (see CONTRIBUTING).
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[test]
fn the_kept_corpus_of_every_fuzz_target_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, body) in bodies::TARGETS {
        let (mut accepted, mut refused) = (0, 0);
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            match catch_unwind(|| body(&input)) {
                Ok(true) => accepted += 1,
                Ok(false) => refused += 1,
                Err(_) => panic!("{name}: {} breaks a promise", path.display()),
            }
        }
        assert!(
            accepted > 0 && refused > 0,
            "{name}: {accepted} accepted, {refused} refused"
        );
    }
}

//! The command `roundtrip`, word for word, as a program of this package: cargo then builds it before the tests that start
//! its services, from the same sources and without a build inside a test.

use std::process::ExitCode;

fn main() -> ExitCode {
    roundtrip::command::main()
}

//! The command `roundtrip`.

use std::process::ExitCode;

fn main() -> ExitCode {
    roundtrip::command::main()
}

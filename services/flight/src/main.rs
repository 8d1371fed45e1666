//! The flight service as a program of its own.

fn main() -> std::process::ExitCode {
    runtime::boot::main(flight::SPEC.name, flight::SPEC.about.version, flight::start)
}

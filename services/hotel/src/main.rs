//! The hotel service as a program of its own.

fn main() -> std::process::ExitCode {
    runtime::boot::main(hotel::SPEC.name, hotel::SPEC.about.version, hotel::start)
}

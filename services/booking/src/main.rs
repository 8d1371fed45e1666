//! The booking service as a program of its own.

fn main() -> std::process::ExitCode {
    runtime::boot::main(booking::NAME, booking::ABOUT.version, booking::start)
}

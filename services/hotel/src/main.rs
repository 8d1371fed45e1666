//! The hotel service as a program of its own.

fn main() -> std::process::ExitCode {
    runtime::boot::main(hotel::NAME, hotel::start)
}

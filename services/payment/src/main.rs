//! The payment service as a program of its own.

/// A batch makes thousands of small values on one thread that another drops, for which the system's allocator takes locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    runtime::boot::main_with(payment::NAME, payment::ABOUT.version, payment::start)
}

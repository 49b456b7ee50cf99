//! The program: parses the command line, runs a command and maps its result to an exit status.

use std::process::ExitCode;

/// Spreads the small, short-lived pieces of requests better over threads than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pillion::internals::main()
}

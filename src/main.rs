//! The `nowcast` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    nowcast::cli::main()
}

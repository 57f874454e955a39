//! The program `swarmctl`. Everything is in the library, so that tests and other programs can name its types.

use std::process::ExitCode;

fn main() -> ExitCode {
    swarmctl::main(std::env::args_os()).into()
}

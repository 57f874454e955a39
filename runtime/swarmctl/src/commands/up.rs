//! `up`.

use crate::cli::{Global, Up};
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;

pub(crate) async fn run(_: &Global, _: Output, _: &Up) -> Result<ExitStatus, Stop> {
    todo!()
}

//! `whatif`.

use crate::cli::Whatif;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;

pub(crate) async fn run(_: Output, _: &Whatif) -> Result<ExitStatus, Stop> {
    todo!()
}

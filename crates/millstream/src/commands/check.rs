//! x
pub(crate) fn run(_: &crate::cli::CheckFlags) -> anyhow::Result<()> {
    Ok(())
}

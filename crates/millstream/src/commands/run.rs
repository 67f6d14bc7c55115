//! x
pub(crate) fn run(_: &crate::cli::RunFlags) -> anyhow::Result<()> {
    Ok(())
}

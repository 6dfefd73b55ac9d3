#[derive(Debug, clap::Args)]
pub(crate) struct Args {}
pub(crate) fn run(_: &crate::app::App, _: &Args) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not yet")
}

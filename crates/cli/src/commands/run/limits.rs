//! How much of the machine a container may use: what `run`, `create` and `update` have in common.

use rbuild_container::Limits;

use crate::commands::build::bytes;

// Limits, as they are typed.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// Memory that it may use, as 512m
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Memory and swap together; -1 for any amount of swap
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Memory that is left to it when others want more
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// Processors that it may use, as 1.5
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// Microseconds of a period of processor time
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,
    /// Microseconds that it may run in each period
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_quota: Option<u64>,
    /// Its weight when others want processors too
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// Processors that it runs on, as 0-2,5
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes that it uses
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Processes and threads that it may have
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
}

impl LimitArgs {
    /// The limits that are meant.
    pub(in crate::commands) fn read(&self) -> anyhow::Result<Limits> {
        let size = |text: &Option<String>| text.as_deref().map(bytes).transpose();
        let swap = self.memory_swap.as_deref().map(Limits::parse_swap);
        Ok(Limits {
            memory: size(&self.memory)?,
            memory_swap: swap.transpose()?,
            memory_reservation: size(&self.memory_reservation)?,
            cpus: self.cpus.clone(),
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            pids: self.pids_limit,
        })
    }
}

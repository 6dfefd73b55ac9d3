//! `rbuild top`: the processes of a container.

mod host;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use rbuild_container::ProcessFacts;

use super::several::{one, worded};
use crate::app::App;
use crate::render::{self, Table};

/// docker's columns of this list are wider than those of others.
const MIN_COLUMN: usize = 20;

// What was typed after `rbuild top`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rbuild top CONTAINER [ps OPTIONS]")]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID, and options of this machine's ps, such as -o pid,cmd
    // One list: the options after the container are not ours.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "CONTAINER [ps OPTIONS]")]
    words: Vec<String>,
}

/// Lists them, numbered as on the host: as `ps -ef` does, or as the host's own ps is asked to.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let Some((name, options)) = args.words.split_first() else {
        bail!("top needs a container");
    };
    if name.starts_with('-') {
        bail!("unknown flag: {name} (see rbuild top --help)");
    }
    let store = app.store()?;
    let container = one(store, name)?;
    let processes = rbuild_container::processes(store, &container).map_err(worded)?;
    let table = if options.is_empty() {
        full(app, processes)
    } else {
        host::listed(options, &processes)?
    };
    render::out(&table.at_least(MIN_COLUMN).render())?;
    Ok(ExitCode::SUCCESS)
}

fn full(app: &App, processes: Vec<ProcessFacts>) -> Table {
    let names = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let boot = app.environment.booted();
    let mut table = Table::new(&["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    for one in processes {
        table.row([
            user(&names, one.uid),
            one.pid.to_string(),
            one.parent.to_string(),
            "0".to_owned(),
            started(boot, &one),
            terminal(one.terminal),
            clock(one.cpu),
            one.command,
        ]);
    }
    table
}

/// A user's name on the host, else its number.
fn user(passwd: &str, uid: u32) -> String {
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    named.map_or_else(|| uid.to_string(), str::to_owned)
}

/// `10:15`
fn started(boot: SystemTime, process: &ProcessFacts) -> String {
    let time = jiff::Timestamp::try_from(boot + process.started);
    time.map_or_else(
        |_| "?".to_owned(),
        |time| time.strftime("%H:%M").to_string(),
    )
}

/// `pts/0`; the number is major and minor as the kernel packs them.
fn terminal(device: u64) -> String {
    const PTS_MAJOR: u64 = 136;
    let (major, minor) = (
        (device >> 8) & 0xfff,
        (device & 0xff) | ((device >> 12) & 0xfff00),
    );
    if major == PTS_MAJOR {
        format!("pts/{minor}")
    } else {
        "?".to_owned()
    }
}

/// `00:01:02`
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_as_ps_tells_them() {
        let passwd = "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/bin/sh\n";
        assert_eq!(user(passwd, 33), "www");
        assert_eq!(user(passwd, 100_033), "100033");
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal((136 << 8) | 3), "pts/3");
        assert_eq!(clock(Duration::from_secs(3725)), "01:02:05");
    }
}

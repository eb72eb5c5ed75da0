//! CPU time instead of wall time: it is the same whatever else the machine does.

use std::time::Duration;

use anyhow::Context as _;
use nix::sys::resource::{Usage as Raw, UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// What processes have used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time together.
    pub cpu: Duration,
    /// The largest resident set of any of them, in KiB.
    pub peak_rss_kib: u64,
}

/// The CPU time that all threads of this process have used so far; zero where the system cannot tell.
pub fn cpu_time() -> Duration {
    getrusage(UsageWho::RUSAGE_SELF).map(|usage| cpu(&usage)).unwrap_or_default()
}

/// What the children that have ended used.
///
/// # Errors
/// The system cannot tell.
pub fn usage_of_children() -> anyhow::Result<Usage> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("failed to read the usage of the children")?;
    Ok(Usage { cpu: cpu(&usage), peak_rss_kib: u64::try_from(usage.max_rss()).unwrap_or_default() })
}

fn cpu(usage: &Raw) -> Duration {
    duration(usage.user_time()) + duration(usage.system_time())
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or_default())
}

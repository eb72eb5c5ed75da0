//! What a process has used, as the kernel tells it.

use std::fs::read_to_string;

use anyhow::Context as _;

/// Clock ticks of `/proc/PID/stat` in a second: 100 on every Linux that there is.
const TICKS: u64 = 100;

/// Processor time of a process until now, user and system, in milliseconds.
pub fn cpu_millis(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    // The name, in parentheses, may hold anything; the third field comes after it.
    let (_, rest) = stat.rsplit_once(')').with_context(|| format!("{path} has no name"))?;
    let field = |at: usize| rest.split_whitespace().nth(at - 3).and_then(|text| text.parse::<u64>().ok());
    let ticks = field(14).zip(field(15)).map(|(user, system)| user + system);
    Ok(ticks.with_context(|| format!("{path} has no times"))? * (1000 / TICKS))
}

/// Resident memory of a process in KiB: now, and at its highest.
pub fn memory_kib(pid: u32) -> anyhow::Result<(u64, u64)> {
    let path = format!("/proc/{pid}/status");
    let status = read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        number.with_context(|| format!("{path} has no {name}"))
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

//! Processor time of processes, and what the machine is, from `/proc`.

use integration::{Error, Result};
use std::process::Command;

/// Seconds of processor time that these processes have used, in user and system mode, all threads.
pub fn seconds(pids: &[Option<u32>]) -> Result<f64> {
    let mut ticks = 0;
    for pid in pids {
        let pid =
            pid.ok_or_else(|| Error::Unexpected("a process that is measured does not run".to_owned()))?;
        let path = format!("/proc/{pid}/stat");
        let text = std::fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
        ticks +=
            parse(&text).ok_or_else(|| Error::Unexpected(format!("{path} is not as expected: {text}")))?;
    }
    Ok(ticks as f64 / ticks_per_second() as f64)
}

/// `utime + stime` of a line of `/proc/PID/stat` (proc_pid_stat(5): fields 14 and 15), in ticks.
fn parse(stat: &str) -> Option<u64> {
    // The name of the program is in parentheses and may hold anything, so fields count from behind the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn ticks_per_second() -> u64 {
    let said = Command::new("getconf").arg("CLK_TCK").output().ok();
    let said = said.and_then(|output| String::from_utf8(output.stdout).ok());
    // 100 on every Linux there is; the kernel's own unit is not visible here.
    said.and_then(|text| text.trim().parse().ok()).unwrap_or(100)
}

/// Processor time of the whole machine since it started, in ticks: all of it, and of that what nobody used.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    all: u64,
    idle: u64,
}

impl Machine {
    /// As it is now.
    pub fn now() -> Result<Self> {
        let path = "/proc/stat";
        let text = std::fs::read_to_string(path).map_err(Error::io(format!("read {path}")))?;
        Self::parse(&text).ok_or_else(|| Error::Unexpected(format!("{path} is not as expected")))
    }

    /// From the first line: `cpu`, then user, nice, system, idle, iowait and others (proc_stat(5)). Waiting for a disk counts as idle.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        // Time of guests is in user time already.
        Some(Self { all: ticks.iter().take(8).sum(), idle })
    }

    /// The share of its processors that nobody used since then, from 0 to 1.
    pub fn idle_since(self, earlier: Self) -> f64 {
        (self.idle.saturating_sub(earlier.idle)) as f64 / (self.all.saturating_sub(earlier.all)).max(1) as f64
    }
}

/// How many processors this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The kernel's release.
pub fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The processor's name.
pub fn model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// Mean number of runnable processes over the last minute, others' work included.
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_parentheses_and_blanks_in_its_name_is_read() {
        let line = "17 (a) b (c) S 1 17 17 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(parse(line), Some(300));
        assert_eq!(parse("17 (mysqld) S 1"), None);
    }

    #[test]
    fn of_the_machine_what_is_idle_or_waits_for_a_disk_was_not_used() {
        let at = |text| Machine::parse(text).map(|machine| (machine.all, machine.idle));
        assert_eq!(at("cpu  10 0 20 50 5 1 2 0 7 0\ncpu0 1 2 3 4"), Some((88, 55)));
        assert_eq!(at("intr 1"), None);
        let (earlier, now) = (Machine { all: 100, idle: 40 }, Machine { all: 300, idle: 90 });
        assert!((now.idle_since(earlier) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_process_that_does_not_run_is_an_error() {
        assert!(seconds(&[Some(std::process::id())]).is_ok());
        assert!(seconds(&[None]).is_err());
    }
}

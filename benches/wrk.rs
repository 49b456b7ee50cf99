//! Load by wrk, or by h2load for HTTP/2, and what they and the system say of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pillion_test_support::process::Process;

use crate::tools::{Fallible, cpu_ticks, memory_kib, reset_peak_memory};

/// What is sent, again and again.
pub struct Load<'l> {
    pub url: &'l str,
    /// JSON.
    pub body: &'l str,
    /// Is every body another one, by a comment at the end of its document?
    pub is_new: bool,
    pub connections: usize,
    /// Streams of HTTP/2 on each connection at a time; none of them is HTTP/1.1.
    pub streams: usize,
    /// How long each connection waits before its next request, in milliseconds.
    pub pause_ms: usize,
    pub seconds: u64,
}

#[derive(Clone, Copy, Default)]
pub struct Measured {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    /// Processor time of the process that was measured.
    pub cpu_us: f64,
    pub peak_mib: f64,
}

impl Load<'_> {
    /// Puts it on `process`, from the processor `cpu`.
    pub fn measure(&self, folder: &Path, cpu: &str, process: &Process) -> Fallible<Measured> {
        reset_peak_memory(process)?;
        let before = cpu_ticks(process)?;
        let measured = if self.streams > 0 { self.h2load(folder, cpu)? } else { self.wrk(folder, cpu)? };
        let ticks = cpu_ticks(process)? - before;
        let requests = measured.per_second * self.seconds as f64;
        let peak_mib = memory_kib(process, "VmHWM")? as f64 / 1024.0;
        Ok(Measured { cpu_us: ticks * 10_000.0 / requests, peak_mib, ..measured })
    }

    fn wrk(&self, folder: &Path, cpu: &str) -> Fallible<Measured> {
        let script = self.write_script(folder)?;
        let output = Command::new("taskset")
            .args(["--cpu-list", cpu, "wrk", "--threads", "1", "--timeout", "10s"])
            .args(["--connections", &self.connections.to_string(), "--duration", &format!("{}s", self.seconds)])
            .arg("--script")
            .args([script.as_os_str(), self.url.as_ref()])
            .output()?;
        let said = String::from_utf8(output.stdout)?;
        let figures = said.lines().find_map(|line| line.strip_prefix("FIGURES "));
        let figures = figures.ok_or_else(|| format!("wrk said {said}{}", String::from_utf8_lossy(&output.stderr)))?;
        let figures: Vec<f64> = figures.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [requests, microseconds, p50, p99, p999, errors] = figures[..] else { return Err(said.into()) };
        if errors > 0.0 || requests == 0.0 {
            return Err(format!("{errors} of {requests} requests to {} went wrong", self.url).into());
        }
        let [p50_ms, p99_ms, p999_ms] = [p50, p99, p999].map(|microseconds| microseconds / 1e3);
        Ok(Measured { per_second: requests * 1e6 / microseconds, p50_ms, p99_ms, p999_ms, ..Measured::default() })
    }

    /// With a line for each request in a file: when it began, its status, and how long it took in microseconds.
    fn h2load(&self, folder: &Path, cpu: &str) -> Fallible<Measured> {
        let (body, log) = (folder.join("body.json"), folder.join("h2load.log"));
        fs::write(&body, self.body)?;
        // It appends.
        fs::write(&log, "")?;
        let output = Command::new("taskset")
            .args(["--cpu-list", cpu, "h2load", "--threads=1", "--header=content-type: application/json"])
            .args([format!("--clients={}", self.connections), format!("--max-concurrent-streams={}", self.streams)])
            .args([format!("--duration={}", self.seconds), format!("--data={}", body.display())])
            .args([format!("--log-file={}", log.display()), self.url.to_owned()])
            .output()?;
        let lines = fs::read_to_string(&log)?;
        let times = lines.lines().map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [_, "200", time] => Ok(time.parse::<f64>()?),
            _ => Err(format!("a request to {} went wrong: {line}", self.url).into()),
        });
        let mut times = times.collect::<Fallible<Vec<f64>>>()?;
        if times.is_empty() {
            return Err(format!("h2load said {}", String::from_utf8_lossy(&output.stdout)).into());
        }
        times.sort_by(f64::total_cmp);
        let at = |permille: usize| times.get((times.len() - 1) * permille / 1000).copied().unwrap_or_default() / 1e3;
        let per_second = times.len() as f64 / self.seconds as f64;
        Ok(Measured { per_second, p50_ms: at(500), p99_ms: at(990), p999_ms: at(999), ..Measured::default() })
    }

    fn write_script(&self, folder: &Path) -> Fallible<PathBuf> {
        let (body, script) = (folder.join("body.json"), folder.join("load.lua"));
        fs::write(&body, self.body)?;
        let request = if self.is_new {
            "local n = 0\nrequest = function()\n n = n + 1\n \
             return wrk.format(nil, nil, nil, wrk.body:sub(1, -3) .. ' #' .. n .. '\"}')\nend\n"
        } else {
            ""
        };
        let pause = match self.pause_ms {
            0 => String::new(),
            // Around it, so that they do not all come at one time.
            pause => format!("delay = function() return math.random({}, {}) end\n", pause / 2, pause + pause / 2),
        };
        let text = format!(
            "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n\
             wrk.body = io.open('{}'):read('*a')\n{request}{pause}\
             done = function(summary, latency)\n local e = summary.errors\n \
             io.write(string.format('FIGURES %d %d %f %f %f %d\\n', summary.requests, summary.duration, \
             latency:percentile(50), latency:percentile(99), latency:percentile(99.9), \
             e.connect + e.read + e.write + e.status + e.timeout))\nend\n",
            body.display()
        );
        fs::write(&script, text)?;
        Ok(script)
    }
}

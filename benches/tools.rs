//! What all measurements need: memory and processor time of a process, medians, lines, requests, and the file of results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pillion_test_support::client::Client;
use pillion_test_support::message::Message;
use pillion_test_support::process::Process;

pub type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// A folder of one's own, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Fallible<Self> {
        let folder = std::env::temp_dir().join(format!("pillion-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program that is measured: as `make bench` has built it, or as Cargo has.
pub fn program() -> PathBuf {
    std::env::var_os("BENCH_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_pillion").into(), PathBuf::from)
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn memory_kib(process: &Process, field: &str) -> Fallible<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time of a process with all its threads, in ticks of 10 ms.
pub fn cpu_ticks(process: &Process) -> Fallible<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.0.id()))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok(ticks(11) + ticks(12))
}

/// The greatest memory of a process is from now on that since now.
pub fn reset_peak_memory(process: &Process) -> Fallible<()> {
    Ok(fs::write(format!("/proc/{}/clear_refs", process.0.id()), "5")?)
}

/// In the order in which they stand in the results.
const SECTIONS: [&str; 6] = ["proxies", "extension_fields", "allocations", "stored", "scale", "endurance"];

/// Writes what one measurement found, and all that is known of this machine into `benches/RESULTS.md`.
pub fn publish(section: &str, text: &str) -> Fallible<()> {
    let folder = root().join("target/results");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(section), text)?;
    let known = SECTIONS.iter().filter_map(|section| fs::read_to_string(folder.join(section)).ok());
    let all: Vec<String> = std::iter::once(heading()?).chain(known).collect();
    let path = root().join("benches/RESULTS.md");
    fs::write(&path, all.join("\n"))?;
    println!("\n{text}\nwritten to {}", path.display());
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn heading() -> Fallible<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("an unknown processor");
    let system = fs::read_to_string("/etc/os-release")?;
    let system =
        system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or_default().trim_matches('"');
    let said = |program: &str, argument: &str| -> Fallible<String> {
        let output = Command::new(program).arg(argument).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let count = std::thread::available_parallelism()?;
    Ok(format!(
        "# What was measured\n\nWith `make bench` and `make endure` on {}: {count} processors of {model}, {system}, Node {}, {}. \
         Machines are noisy, and shared ones more so: only what was measured in one run can be compared, and yours will \
         differ.\n",
        said("date", "-I")?,
        said(&root().join("tests/engines/node.sh").display().to_string(), "--version")?,
        said("rustc", "--version")?
    ))
}

/// A line through points, by least squares.
pub struct Line {
    pub slope: f64,
    /// Where it begins, at 0.
    pub start: f64,
    /// R²: how much of what is seen it explains.
    pub fit: f64,
}

pub fn line(points: &[(f64, f64)]) -> Line {
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / points.len().max(1) as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |value: &dyn Fn(f64, f64) -> f64| points.iter().map(|point| value(point.0 - x, point.1 - y)).sum::<f64>();
    let below = sum(&|dx, _| dx * dx);
    let slope = if below == 0.0 { 0.0 } else { sum(&|dx, dy| dx * dy) / below };
    let unexplained = sum(&|dx, dy| (dy - slope * dx).powi(2));
    Line { slope, start: y - slope * x, fit: 1.0 - unexplained / sum(&|_, dy| dy * dy) }
}

/// Where GraphQL is spoken.
pub const GRAPHQL: &str = "/graphql";

/// Posts JSON on a connection that is kept.
pub fn post(client: &mut Client, path: &str, body: &str) -> Fallible<Message> {
    Ok(client.try_request("POST", path, &[("Content-Type", "application/json")], body.as_bytes())?)
}

/// Sends a document, and wants nothing but data.
pub fn post_well(client: &mut Client, path: &str, document: &str) -> Fallible<()> {
    let response = post(client, path, &serde_json::json!({ "query": document }).to_string())?;
    let text = response.text();
    if response.status() == 200 && !text.contains("\"errors\"") {
        Ok(())
    } else {
        Err(format!("{path} gave {text}").into())
    }
}

/// One request on a connection of its own.
pub fn send_alone(port: u16, method: &str, path: &str, body: &str) -> Fallible<Message> {
    let headers = [("Connection", "close"), ("Content-Type", "application/json")];
    Ok(Client::try_connect(port)?.with_host("localhost").try_request(method, path, &headers, body.as_bytes())?)
}

/// The sum of a metric over all its labels.
pub fn metric(admin: u16, name: &str) -> Fallible<f64> {
    let text = send_alone(admin, "GET", "/metrics", "")?.text();
    let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' '));
    Ok(values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum())
}

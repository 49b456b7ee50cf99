//! The load of PostgreSQL and Redis, by their own counters and by the system's.

use std::fs;
use std::process::Command;

use pillion_test_support::engines::OwnPostgres;
use pillion_test_support::redis::Redis;

use crate::tools::Fallible;

/// A PostgreSQL that writes to the disk.
pub struct Database(OwnPostgres);

/// Counters since it was started.
pub struct DatabaseFigures {
    pub transactions: f64,
    /// Processor time of all its processes, also of those that have ended.
    pub cpu_micros: f64,
}

const TICK_US: f64 = 10_000.0;

impl Database {
    pub fn start() -> Self {
        Self(OwnPostgres::start_durable("scale"))
    }

    pub fn url(&self) -> String {
        self.0.url()
    }

    fn ask(&self, sql: &str) -> Fallible<String> {
        let mut psql = Command::new("psql");
        let output =
            psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", sql, &self.url()]).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    pub fn figures(&self) -> Fallible<DatabaseFigures> {
        // What a connection has done is counted when it is idle, a second later at most.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        let transactions = self.ask("select xact_commit from pg_stat_database where datname = 'postgres'")?.parse()?;
        Ok(DatabaseFigures { transactions, cpu_micros: self.cpu_micros()? })
    }

    fn cpu_micros(&self) -> Fallible<f64> {
        let folder = self.ask("show data_directory")?;
        let file = fs::read_to_string(format!("{folder}/postmaster.pid"))?;
        let postmaster = file.lines().next().unwrap_or_default().to_owned();
        let mut ticks = 0.0;
        for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let number =
                |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
            let is_postmaster = entry.file_name().to_string_lossy() == postmaster.as_str();
            if is_postmaster {
                ticks += number(11) + number(12) + number(13) + number(14);
            } else if fields.get(1) == Some(&postmaster.as_str()) {
                ticks += number(11) + number(12);
            }
        }
        Ok(ticks * TICK_US)
    }

    pub fn connections(&self) -> Fallible<usize> {
        Ok(self.ask("select count(*) from pg_stat_activity where application_name = 'pillion'")?.parse()?)
    }

    pub fn pending(&self) -> Fallible<usize> {
        Ok(self.ask("select count(*) from pillion.action_log where status in ('created', 'processing')")?.parse()?)
    }

    /// How many of these jobs are completed.
    pub fn completed(&self, ids: &[String]) -> Fallible<usize> {
        let done = self.ask("select id from pillion.action_log where status = 'completed'")?;
        let done: std::collections::HashSet<&str> = done.lines().collect();
        Ok(ids.iter().filter(|id| done.contains(id.as_str())).count())
    }
}

/// Counters since it was started.
pub struct RedisFigures {
    pub commands: f64,
    pub cpu_micros: f64,
}

pub fn redis_figures(redis: &Redis) -> Fallible<RedisFigures> {
    let said = redis.ask(&["INFO"]);
    let number = |name: &str| -> Fallible<f64> {
        let value = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.ok_or_else(|| format!("INFO has no {name}"))?.trim().parse()?)
    };
    let cpu_micros = 1e6 * (number("used_cpu_sys")? + number("used_cpu_user")?);
    Ok(RedisFigures { commands: number("total_commands_processed")?, cpu_micros })
}

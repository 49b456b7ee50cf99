//! What `pillion doctor` knows beside the findings of `pillion check`: the configuration in numbers, the clock, file descriptors,
//! memory and the file of the job store.

use std::time::{Duration, SystemTime};

use crate::doctor::item::{Area, Item, Status};

/// The facts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The path of `pillion.yaml`, if there is one.
    pub config_file: Option<String>,
    /// The metadata folder, if there is one.
    pub metadata_folder: Option<String>,
    /// How many settings have another value than their default.
    pub changed_settings: usize,
    /// How many actions there are.
    pub actions: usize,
    /// The SQLite file of the job store, if asynchronous actions need it.
    pub job_file: Option<JobFile>,
    /// Our time and the upstream's, taken at the same moment; why not, if it cannot be compared.
    pub clock: Option<Result<(SystemTime, SystemTime), String>>,
    /// How many files may be open.
    pub descriptors: Option<u64>,
    /// `limits.max_connections`, and as many of them as the descriptors allow.
    pub connections: (usize, usize),
    /// `limits.max_memory_bytes`, which a container's limit is the default of.
    pub memory_limit: Option<u64>,
    /// What the machine has.
    pub memory: Option<u64>,
    /// `limits.max_buffered_bytes`.
    pub buffered: u64,
}

/// The file that stores jobs.
#[derive(Clone, Debug)]
pub(crate) struct JobFile {
    /// Its path.
    pub path: String,
    /// Does its folder exist, and may it be written to?
    pub is_writable: bool,
    /// The volume that is lost with the container, if it is on one.
    pub ephemeral: Option<&'static str>,
}

impl Facts {
    pub(crate) fn configuration(&self) -> String {
        let file = self.config_file.as_deref().unwrap_or("no pillion.yaml");
        let settings = match self.changed_settings {
            1 => "1 setting differs from its default".to_owned(),
            count => format!("{count} settings differ from their defaults"),
        };
        format!("{file}: {settings}")
    }

    pub(crate) fn files(&self) -> String {
        let folder = self.metadata_folder.as_deref().unwrap_or("no metadata folder");
        format!("{folder}: {} action{}", self.actions, if self.actions == 1 { "" } else { "s" })
    }
}

/// An item for each fact that is to be checked.
pub(crate) fn checked_facts(facts: &Facts) -> Vec<Item> {
    let mut items = Vec::new();
    items.extend(facts.job_file.as_ref().map(job_store));
    items.extend(facts.clock.as_ref().map(clock));
    items.push(descriptors(facts));
    items.push(memory(facts));
    items
}

fn job_store(file: &JobFile) -> Item {
    let JobFile { path, is_writable, ephemeral } = file;
    match (is_writable, ephemeral) {
        (false, _) => Item::new(
            Area::JobStore,
            Status::Failed,
            format!("{path}: its folder does not exist, or may not be written to"),
            "make the folder, or correct jobs.store",
        ),
        (true, Some(volume)) => Item::new(
            Area::JobStore,
            Status::Warned,
            format!("{path} is on {volume}: jobs are lost with the container"),
            "put it on a persistent volume, or set jobs.store to a PostgreSQL",
        ),
        (true, None) => Item::passed(Area::JobStore, format!("{path}, for one replica")),
    }
}

/// From this difference on tokens that have just been issued or are about to expire are rejected.
const SKEW_NOTED: Duration = Duration::from_secs(30);

/// From this one on most are.
const SKEW_MAX: Duration = Duration::from_secs(300);

fn clock(compared: &Result<(SystemTime, SystemTime), String>) -> Item {
    let (ours, theirs) = match compared {
        Ok(times) => *times,
        Err(reason) => {
            let help = "compare it with a clock that is right, such as that of the token's issuer";
            return Item::new(Area::Clock, Status::Warned, format!("not compared: {reason}"), help);
        }
    };
    let (word, skew) = match ours.duration_since(theirs) {
        Ok(skew) => ("ahead of", skew),
        Err(behind) => ("behind", behind.duration()),
    };
    let status = match skew {
        skew if skew >= SKEW_MAX => Status::Failed,
        skew if skew >= SKEW_NOTED => Status::Warned,
        _ => return Item::passed(Area::Clock, "as the upstream's"),
    };
    let found = format!("{} s {word} the upstream's", skew.as_secs());
    Item::new(Area::Clock, status, found, "set both clocks by NTP: tokens, signatures and jobs depend on them")
}

fn descriptors(facts: &Facts) -> Item {
    let (wanted, possible) = facts.connections;
    match facts.descriptors {
        None => Item::passed(Area::Descriptors, "this system has no limit that can be read"),
        Some(max) if possible < wanted => Item::new(
            Area::Descriptors,
            Status::Warned,
            format!("{max} are enough for {possible} connections, and limits.max_connections is {wanted}"),
            "raise the limit (ulimit -n, LimitNOFILE), or lower limits.max_connections",
        ),
        Some(max) => Item::passed(Area::Descriptors, format!("{max}, enough for {wanted} connections")),
    }
}

fn memory(facts: &Facts) -> Item {
    let mib = |bytes: u64| format!("{} MiB", bytes / (1024 * 1024));
    let warned = |found: String, help: &str| Item::new(Area::Memory, Status::Warned, found, help);
    match (facts.memory_limit, facts.memory) {
        (Some(limit), Some(memory)) if limit > memory => warned(
            format!("limits.max_memory_bytes is {}, and the machine has {}", mib(limit), mib(memory)),
            "lower it: requests are shed near the limit, and here memory ends before",
        ),
        (Some(limit), _) if facts.buffered > limit => warned(
            format!("limits.max_buffered_bytes is {}, and the whole limit {}", mib(facts.buffered), mib(limit)),
            "lower limits.max_buffered_bytes, or raise the limit",
        ),
        (Some(limit), _) => {
            Item::passed(Area::Memory, format!("{}, of which requests may use {}", mib(limit), mib(facts.buffered)))
        }
        (None, _) => warned(
            format!("no limit is known; requests may use {}", mib(facts.buffered)),
            "set limits.max_memory_bytes, or a memory limit for the container, so that load is shed in time",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(item: &Item) -> (Status, &str) {
        (item.status, item.found.as_str())
    }

    #[test]
    fn clocks_are_compared() {
        let ours = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds: u64| clock(&Ok((ours, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))));
        assert_eq!(status(&at(1_000_001)), (Status::Passed, "as the upstream's"));
        assert_eq!(status(&at(999_960)), (Status::Warned, "40 s ahead of the upstream's"));
        assert_eq!(status(&at(1_000_300)), (Status::Failed, "300 s behind the upstream's"));
        assert_eq!(status(&clock(&Err("it says no time".into()))), (Status::Warned, "not compared: it says no time"));
    }

    #[test]
    fn limits_are_compared_with_the_machine() {
        let few = Facts { descriptors: Some(1024), connections: (10_000, 512), ..Facts::default() };
        let found = "1024 are enough for 512 connections, and limits.max_connections is 10000";
        assert_eq!(status(&descriptors(&few)), (Status::Warned, found));
        let enough = Facts { descriptors: Some(65_536), connections: (10_000, 10_000), ..Facts::default() };
        assert_eq!(status(&descriptors(&enough)), (Status::Passed, "65536, enough for 10000 connections"));
        let mib = 1024 * 1024;
        let of = |limit: Option<u64>, memory, buffered| {
            memory_status(&Facts { memory_limit: limit, memory, buffered, ..Facts::default() })
        };
        assert_eq!(of(Some(256 * mib), Some(1024 * mib), 96 * mib), Status::Passed);
        assert_eq!(of(Some(2048 * mib), Some(1024 * mib), 96 * mib), Status::Warned);
        assert_eq!(of(Some(64 * mib), Some(1024 * mib), 96 * mib), Status::Warned);
        assert_eq!(of(None, Some(1024 * mib), 96 * mib), Status::Warned);
    }

    fn memory_status(facts: &Facts) -> Status {
        memory(facts).status
    }

    #[test]
    fn a_job_file_must_be_writable_and_stay() {
        let of = |is_writable, ephemeral| job_store(&JobFile { path: "jobs.db".into(), is_writable, ephemeral }).status;
        assert_eq!(of(true, None), Status::Passed);
        assert_eq!(of(true, Some("an emptyDir")), Status::Warned);
        assert_eq!(of(false, None), Status::Failed);
    }
}

//! The job store in one SQLite file, for a single replica.

use std::fs::{File, Permissions};
use std::iter;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, UNIX_EPOCH};

use async_trait::async_trait;
use humantime::format_rfc3339_micros;
use rusqlite::{Connection, OptionalExtension, Params, Row, TransactionBehavior, params, params_from_iter};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::jobs::clock::Clock;
use crate::jobs::group_commit::{CHANGES_MAX, Change, Changed, Work, commit_together};
use crate::jobs::job::{Claim, Count, Filter, Job, NewJob, Outcome, Requeued, Status, TokenDigest};
use crate::jobs::store::{JobStore, PURGE_MAX, StoreError};

/// The edition of the table that this program writes.
const EDITION: i64 = 2;

/// Times are microseconds since 1970.
const TABLE: &str = "
    create table if not exists action_log (
        id text primary key,
        action_name text not null,
        input_payload text not null,
        request_headers text not null,
        session_variables text not null,
        response_payload text,
        errors text,
        created_at integer not null,
        response_received_at integer,
        status text not null,
        attempts integer not null default 0,
        failures integer not null default 0,
        run_after integer not null,
        expires_at integer not null,
        lease_until integer,
        completion_digest blob,
        fencing_token integer not null default 0,
        lost_leases integer not null default 0
    ) strict;
    drop index if exists action_log_due;
    create index if not exists action_log_waiting on action_log (action_name, created_at)
        where status in ('created', 'processing');
    create index if not exists action_log_ended on action_log (response_received_at)
        where status in ('completed', 'error');
";

/// What edition 2 added. Until then the attempts were the fencing token.
const ADD_FENCING_TOKEN: &str = "
    alter table action_log add column fencing_token integer not null default 0;
    alter table action_log add column lost_leases integer not null default 0;
    update action_log set fencing_token = attempts where status in ('created', 'processing');
";

/// The latest time at which anything was stored; both halves use an index.
const LATEST: &str = "select max(coalesce((select max(response_received_at) from action_log \
                      where status in ('completed', 'error')), 0), coalesce((select max(created_at) from action_log \
                      where status in ('created', 'processing')), 0))";

const COLUMNS: &str = "id, action_name, input_payload, request_headers, session_variables, response_payload, errors, \
                       created_at, status, attempts, failures, fencing_token, lost_leases";

/// The log. All work is done by one thread, in the order in which it comes; changes that wait are committed together.
pub struct SqliteStore {
    work: mpsc::Sender<Work>,
    clock: Clock,
    /// Held as long as the file is in use.
    _lock: Option<File>,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

impl SqliteStore {
    /// Opens the file, or makes it. With `serves`, no other process may serve from it.
    ///
    /// # Errors
    /// Why it cannot be used: a missing folder, a damaged file, one of a newer program, one that is in use.
    pub fn open(path: &Path, serves: bool) -> Result<Self, StoreError> {
        let shown = path.display();
        let lock = if serves { Some(lock(path)?) } else { None };
        let failed = |error: rusqlite::Error| StoreError(format!("{shown}: {error}"));
        make_private(path).map_err(|error| StoreError(format!("{shown}: {error}")))?;
        let mut connection = Connection::open(path).map_err(failed)?;
        prepare(&mut connection).map_err(failed)?;
        let edition: i64 = connection.query_row("pragma user_version", [], |row| row.get(0)).map_err(failed)?;
        if edition > EDITION {
            return Err(StoreError(format!("{shown} was written by a newer program (edition {edition})")));
        }
        let health: String = connection.query_row("pragma quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if health != "ok" {
            return Err(StoreError(format!("{shown} is damaged: {health}")));
        }
        create_or_migrate(&mut connection).map_err(failed)?;
        let latest: i64 = connection.query_row(LATEST, [], |row| row.get(0)).map_err(failed)?;
        let clock = Clock::start(latest);
        let (work, queue) = mpsc::channel::<Work>();
        // What a process left behind that was killed.
        forget(&connection).map_err(failed)?;
        let run = move || do_all(&queue, &mut connection);
        let started = std::thread::Builder::new().name("jobs-sqlite".into()).spawn(run);
        started.map_err(|error| StoreError(error.to_string()))?;
        Ok(Self { work, clock, _lock: lock })
    }

    /// Reads, or does what cannot be done in a transaction.
    async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        // Sending fails only if the caller has stopped waiting.
        let work = Box::new(move |connection: &mut Connection| drop(sender.send(work(connection))));
        self.work.send(Work::Alone(work)).map_err(|_| not_done())?;
        Ok(receiver.await.map_err(|_| not_done())??)
    }

    /// Changes something, in one transaction with others that wait. It is on the disk once this returns.
    async fn apply<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let change: Change = Box::new(move |connection| {
            let done = connection.and_then(|connection| Ok(change(connection)?));
            // Sending fails only if the caller has stopped waiting.
            Changed { is_made: done.is_ok(), tell: Box::new(|committed| drop(sender.send(committed.and(done)))) }
        });
        self.work.send(Work::Change(change)).map_err(|_| not_done())?;
        receiver.await.map_err(|_| not_done())?
    }

    /// The conditions of a filter, as values for [`FITS`].
    fn bounds(&self, filter: &Filter) -> (Option<String>, Option<&'static str>, i64) {
        let before = filter.older_than.map_or(i64::MAX, |age| self.clock.before(age));
        (filter.action.clone(), filter.status.map(Status::name), before)
    }

    /// Changes one row; returns whether there was one.
    async fn change(&self, sql: &'static str, params: impl Params + Send + 'static) -> Result<bool, StoreError> {
        self.apply(move |connection| Ok(connection.prepare_cached(sql)?.execute(params)? > 0)).await
    }
}

fn not_done() -> StoreError {
    StoreError("its thread has ended".into())
}

/// Runs the work that arrives, and wipes deleted rows from the disk when nothing has arrived for a moment, or after a
/// while.
fn do_all(queue: &mpsc::Receiver<Work>, connection: &mut Connection) {
    let mut changed_since: Option<Instant> = None;
    loop {
        let next = match changed_since {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) if since.elapsed() > FORGET_AFTER => Err(RecvTimeoutError::Timeout),
            Some(_) => queue.recv_timeout(QUIET),
        };
        match next {
            Ok(work) => {
                let before = connection.total_changes();
                do_waiting(queue, connection, work);
                if connection.total_changes() != before {
                    changed_since.get_or_insert_with(Instant::now);
                }
            }
            Err(ended) => {
                // If a reader holds it at this moment, the next one does it.
                let _ = forget(connection);
                changed_since = None;
                if ended == RecvTimeoutError::Disconnected {
                    return;
                }
            }
        }
    }
}

/// Does `first`, and what waits behind it at this moment.
fn do_waiting(queue: &mpsc::Receiver<Work>, connection: &mut Connection, first: Work) {
    let mut changes: Vec<Change> = Vec::new();
    for work in iter::once(first).chain(queue.try_iter()).take(CHANGES_MAX) {
        match work {
            Work::Change(change) => changes.push(change),
            // It sees what was changed before it.
            Work::Alone(work) => {
                commit_waiting(connection, &mut changes);
                work(connection);
            }
        }
    }
    commit_waiting(connection, &mut changes);
}

fn commit_waiting(connection: &mut Connection, changes: &mut Vec<Change>) {
    if !changes.is_empty() {
        commit_together(connection, std::mem::take(changes));
    }
}

/// Nothing has come for so long.
const QUIET: Duration = Duration::from_millis(200);

/// The longest time for which deleted rows stay on the disk. Each wipe costs two synchronous writes.
const FORGET_AFTER: Duration = Duration::from_secs(5);

/// Checkpoints all pages, with deleted rows overwritten, and truncates the write-ahead log.
fn forget(connection: &Connection) -> rusqlite::Result<()> {
    // Work is waiting, so this does not wait for readers of the file.
    connection.busy_timeout(Duration::from_millis(50))?;
    let done = connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    done
}

/// Makes the file readable for its owner only. SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    for ending in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let file = match ending {
            "" => File::options().create(true).truncate(false).write(true).read(true).mode(PRIVATE).open(&name)?,
            _ => match File::open(&name) {
                Ok(file) => file,
                Err(_) => continue,
            },
        };
        let found = file.metadata()?;
        if found.is_file() && found.mode() & 0o077 != 0 {
            // It may be another user's who shares it with us.
            let _ = file.set_permissions(Permissions::from_mode(PRIVATE));
        }
    }
    Ok(())
}

/// The mode of all files: credentials of clients are in them.
const PRIVATE: u32 = 0o600;

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |error: std::io::Error| StoreError(format!("{}: {error}", name.display()));
    let file = File::options().create(true).truncate(false).write(true).mode(PRIVATE).open(&name).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(StoreError(format!(
            "{} is in use by another process; end that one, or give this one a file of its own \
             (PILLION_JOBS_STORE=sqlite:///path), or both the same PostgreSQL (postgres://…)",
            path.display()
        ))),
    }
}

/// Durable at every commit, readable while it is written.
fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Deleted rows are overwritten, and sorts do not spill to the disk.
    connection.query_row("pragma secure_delete = on", [], |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", "off")?;
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    Ok(())
}

/// Makes the table, or brings that of an older program up to date, in one transaction: `pillion jobs` may open the file at
/// the same time.
fn create_or_migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLE)?;
    let sql = "select count(*) from pragma_table_info('action_log') where name = 'fencing_token'";
    if transaction.query_row(sql, [], |row| row.get::<_, i64>(0))? == 0 {
        transaction.execute_batch(ADD_FENCING_TOKEN)?;
    }
    transaction.pragma_update(None, "user_version", EDITION)?;
    transaction.commit()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Job> {
    let id: String = row.get(0)?;
    let status: String = row.get(8)?;
    Ok(Job {
        id: Uuid::parse_str(&id).unwrap_or_default(),
        action: row.get(1)?,
        payload: row.get(2)?,
        headers: row.get(3)?,
        session: row.get(4)?,
        response: row.get(5)?,
        errors: row.get(6)?,
        created_at: timestamp(row.get(7)?),
        status: Status::of(&status).unwrap_or(Status::Error),
        attempts: row.get(9)?,
        failures: row.get(10)?,
        fencing_token: row.get(11)?,
        lost_leases: row.get(12)?,
    })
}

/// As PostgreSQL writes it in JSON.
fn timestamp(micros: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default());
    format_rfc3339_micros(time).to_string().replace('Z', "+00:00")
}

/// The parts of an outcome: status, value, errors.
fn parts(outcome: &Outcome) -> (&'static str, Option<String>, Option<String>) {
    match outcome {
        Outcome::Completed(value) => ("completed", Some(value.clone()), None),
        Outcome::Failed(errors) => ("error", None, Some(errors.clone())),
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn insert(&self, jobs: &[NewJob]) -> Result<(), StoreError> {
        let (jobs, clock) = (jobs.to_vec(), self.clock);
        self.apply(move |connection| {
            let mut insert = connection.prepare_cached(
                "insert into action_log (id, action_name, input_payload, request_headers, session_variables, \
                 created_at, status, run_after, expires_at) values (?1, ?2, ?3, ?4, ?5, ?6, 'created', ?6, ?7)",
            )?;
            for job in &jobs {
                let id = job.id.to_string();
                let (now, end) = (clock.now(), clock.after(job.lifetime));
                insert.execute(params![id, job.action, job.payload, job.headers, job.session, now, end])?;
            }
            Ok(())
        })
        .await
    }

    async fn forget(&self) -> Result<(), StoreError> {
        self.alone(|connection| forget(connection)).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        self.alone(move |connection| {
            let sql = format!("select {COLUMNS} from action_log where id = ?1");
            connection.prepare_cached(&sql)?.query_row(params![id.to_string()], read).optional()
        })
        .await
    }

    async fn ended_of(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        self.alone(move |connection| {
            let sql = format!(
                "select id from action_log where id in ({}) and status in ('completed', 'error')",
                vec!["?"; ids.len()].join(", ")
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found: Vec<String> =
                statement.query_map(params_from_iter(ids), |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(found.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect())
        })
        .await
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Job>, StoreError> {
        let (claim, clock) = (claim.clone(), self.clock);
        self.apply(move |connection| {
            let sql = format!(
                "update action_log set lost_leases = lost_leases + (status = 'processing'), status = 'processing', \
                 attempts = attempts + 1, fencing_token = fencing_token + 1, lease_until = ?2 \
                 where id in (select id from action_log where status in ('created', 'processing') \
                 and run_after <= ?1 and (status = 'created' or lease_until <= ?1) and completion_digest is null \
                 and expires_at > ?1 and action_name = ?4 order by created_at limit ?3) \
                 returning {COLUMNS}"
            );
            let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
            let values = (clock.now(), clock.after(claim.lease), limit, claim.action);
            let mut statement = connection.prepare_cached(&sql)?;
            let mut jobs = statement.query_map(values, read)?.collect::<rusqlite::Result<Vec<Job>>>()?;
            jobs.sort_by(|one, other| one.created_at.cmp(&other.created_at));
            Ok(jobs)
        })
        .await
    }

    async fn pending_actions(&self) -> Result<Vec<String>, StoreError> {
        // From name to name along the index, however many jobs each has.
        let sql = "with recursive pending (name) as (select min(action_name) from action_log \
                   where status in ('created', 'processing') union all \
                   select (select min(action_name) from action_log where status in ('created', 'processing') \
                   and action_name > pending.name) from pending where pending.name is not null) \
                   select name from pending where name is not null";
        self.alone(move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map((), |row| row.get(0))?.collect()
        })
        .await
    }

    async fn renew(&self, held: &[(Uuid, i32)], lease: Duration) -> Result<Vec<Uuid>, StoreError> {
        let (held, clock) = (held.to_vec(), self.clock);
        self.apply(move |connection| {
            let mut kept = Vec::with_capacity(held.len());
            let mut statement = connection.prepare_cached(
                "update action_log set lease_until = ?3 where id = ?1 and fencing_token = ?2 and status = 'processing' \
                 and completion_digest is null",
            )?;
            let until = clock.after(lease);
            for (id, fencing_token) in held {
                if statement.execute((id.to_string(), fencing_token, until))? > 0 {
                    kept.push(id);
                }
            }
            Ok(kept)
        })
        .await
    }

    async fn finish(&self, id: Uuid, fencing_token: i32, outcome: &Outcome) -> Result<bool, StoreError> {
        let (status, value, errors) = parts(outcome);
        let sql = "update action_log set status = ?3, response_payload = ?4, errors = ?5, response_received_at = ?6, \
                   lease_until = null, completion_digest = null, request_headers = '{}' \
                   where id = ?1 and fencing_token = ?2 and status = 'processing' and completion_digest is null";
        self.change(sql, (id.to_string(), fencing_token, status, value, errors, self.clock.now())).await
    }

    async fn retry(&self, id: Uuid, fencing_token: i32, pause: Duration, errors: &str) -> Result<bool, StoreError> {
        let sql = "update action_log set status = 'created', failures = failures + 1, run_after = ?3, lease_until = null, \
                   errors = ?4 where id = ?1 and fencing_token = ?2 and status = 'processing' and completion_digest is null";
        self.change(sql, (id.to_string(), fencing_token, self.clock.after(pause), errors.to_owned())).await
    }

    async fn release(&self, id: Uuid, fencing_token: i32) -> Result<bool, StoreError> {
        let sql = "update action_log set status = 'created', attempts = attempts - 1, run_after = ?3, \
                   lease_until = null where id = ?1 and fencing_token = ?2 and status = 'processing' \
                   and completion_digest is null";
        self.change(sql, (id.to_string(), fencing_token, self.clock.now())).await
    }

    async fn leave_to_handler(
        &self,
        id: Uuid,
        fencing_token: i32,
        digest: &TokenDigest,
        timeout: Duration,
    ) -> Result<bool, StoreError> {
        let sql = "update action_log set completion_digest = ?3, lease_until = ?4 \
                   where id = ?1 and fencing_token = ?2 and status = 'processing' and completion_digest is null";
        self.change(sql, (id.to_string(), fencing_token, digest.to_vec(), self.clock.after(timeout))).await
    }

    async fn awaiting(&self, id: Uuid, digest: &TokenDigest) -> Result<Option<Job>, StoreError> {
        let (digest, now) = (digest.to_vec(), self.clock.now());
        self.alone(move |connection| {
            let sql = format!(
                "select {COLUMNS} from action_log where id = ?1 and completion_digest = ?2 \
                 and status = 'processing' and lease_until > ?3"
            );
            connection.prepare_cached(&sql)?.query_row(params![id.to_string(), digest, now], read).optional()
        })
        .await
    }

    async fn complete(&self, id: Uuid, digest: &TokenDigest, outcome: &Outcome) -> Result<bool, StoreError> {
        let (status, value, errors) = parts(outcome);
        let sql = "update action_log set status = ?3, response_payload = ?4, errors = ?5, response_received_at = ?6, \
                   lease_until = null, completion_digest = null, request_headers = '{}' \
                   where id = ?1 and completion_digest = ?2 and status = 'processing' and lease_until > ?6";
        self.change(sql, (id.to_string(), digest.to_vec(), status, value, errors, self.clock.now())).await
    }

    async fn expire(&self, too_late: &str, never_reported: &str) -> Result<u64, StoreError> {
        let (too_late, never_reported, now) = (too_late.to_owned(), never_reported.to_owned(), self.clock.now());
        self.apply(move |connection| {
            let sql = "update action_log set status = 'error', response_received_at = ?1, lease_until = null, \
                       request_headers = '{}', errors = iif(completion_digest is null, ?2, ?3), \
                       completion_digest = null \
                       where status in ('created', 'processing') and (status = 'created' or lease_until <= ?1) \
                       and (expires_at <= ?1 or completion_digest is not null)";
            let count = connection.prepare_cached(sql)?.execute(params![now, too_late, never_reported])?;
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Job>, StoreError> {
        let (action, status, before) = self.bounds(filter);
        self.alone(move |connection| {
            let sql = format!("select {COLUMNS} from action_log where {FITS} order by created_at desc limit ?4");
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![action, status, before, limit], read)?.collect()
        })
        .await
    }

    async fn requeue(&self, id: Uuid, lifetime: Duration, force: bool) -> Result<Requeued, StoreError> {
        let expires_at = self.clock.after(lifetime);
        self.apply(move |connection| {
            let sql = "update action_log set status = 'created', failures = 0, lost_leases = 0, run_after = 0, \
                       expires_at = ?2, response_payload = null, errors = null, response_received_at = null \
                       where id = ?1 and (status = 'error' or status = 'completed' and ?3)";
            if connection.prepare_cached(sql)?.execute(params![id.to_string(), expires_at, force])? > 0 {
                return Ok(Requeued::Done);
            }
            let sql = "select count(*) from action_log where id = ?1 and status = 'completed'";
            let completed: i64 =
                connection.prepare_cached(sql)?.query_row(params![id.to_string()], |row| row.get(0))?;
            Ok(if completed > 0 { Requeued::IsCompleted } else { Requeued::NotEnded })
        })
        .await
    }

    async fn cancel(&self, id: Uuid, errors: &str) -> Result<bool, StoreError> {
        let sql = "update action_log set status = 'error', errors = ?2, response_received_at = ?3, lease_until = null, \
                   completion_digest = null, request_headers = '{}' \
                   where id = ?1 and status in ('created', 'processing')";
        self.change(sql, (id.to_string(), errors.to_owned(), self.clock.now())).await
    }

    async fn purge(&self, filter: &Filter, ended_only: bool, limit: usize) -> Result<u64, StoreError> {
        let (action, status, before) = self.bounds(filter);
        self.apply(move |connection| {
            let ended = if ended_only { "and status in ('completed', 'error')" } else { "" };
            let sql =
                format!("delete from action_log where id in (select id from action_log where {FITS} {ended} limit ?4)");
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let count = connection.prepare_cached(&sql)?.execute(params![action, status, before, limit])?;
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn drop_all_but(&self, newest: usize) -> Result<u64, StoreError> {
        let newest = i64::try_from(newest).unwrap_or(i64::MAX);
        self.apply(move |connection| {
            let sql = "delete from action_log where id in (select id from action_log \
                       where status in ('completed', 'error') order by response_received_at desc limit ?2 offset ?1)";
            let count = connection.prepare_cached(sql)?.execute(params![newest, PURGE_MAX])?;
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        let now = self.clock.now();
        self.alone(move |connection| {
            let sql = "select action_name, status, count(*), min(created_at), \
                       sum(octet_length(input_payload) + octet_length(request_headers) + octet_length(session_variables)) \
                       from action_log \
                       where status in ('created', 'processing') group by action_name, status";
            let mut statement = connection.prepare_cached(sql)?;
            let read = |row: &Row<'_>| {
                let (status, oldest): (String, i64) = (row.get(1)?, row.get(3)?);
                let age = Duration::from_micros(u64::try_from(now - oldest).unwrap_or_default());
                Ok(Count {
                    action: row.get(0)?,
                    status: Status::of(&status).unwrap_or(Status::Error),
                    count: row.get(2)?,
                    oldest_seconds: age.as_secs_f64(),
                    bytes: row.get(4)?,
                })
            };
            statement.query_map([], read)?.collect()
        })
        .await
    }
}

/// The conditions of a filter, by its bounds.
const FITS: &str = "(?1 is null or action_name = ?1) and (?2 is null or status = ?2) and created_at <= ?3";

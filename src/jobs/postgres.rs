//! The job store in PostgreSQL, for replicas that share it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_postgres::{AsyncMessage, Client, Row};
use uuid::Uuid;

use crate::jobs::finished_together::{Finished, FinishedTogether};
use crate::jobs::job::{Claim, Count, Filter, Job, NewJob, Outcome, Requeued, Status, TokenDigest};
use crate::jobs::store::{JobStore, PURGE_MAX, StoreError};
use crate::postgres::{Database, DatabaseError, Parameter, in_time, typed};

/// Two that make it at the same time would get in each other's way.
const LOCK: &str = "select pg_advisory_xact_lock(7455406124)";

const TABLE: &str = "
    create schema if not exists pillion;
    create table if not exists pillion.action_log_edition (edition integer not null);
    insert into pillion.action_log_edition select 1 where not exists (select 1 from pillion.action_log_edition);
    create table if not exists pillion.action_log (
        id uuid primary key,
        action_name text not null,
        input_payload text not null,
        request_headers text not null,
        session_variables text not null,
        response_payload text,
        errors text,
        created_at timestamptz not null default clock_timestamp(),
        response_received_at timestamptz,
        status text not null,
        attempts integer not null default 0,
        failures integer not null default 0,
        run_after timestamptz not null default clock_timestamp(),
        expires_at timestamptz not null,
        lease_until timestamptz,
        completion_digest bytea,
        fencing_token integer not null default 0,
        lost_leases integer not null default 0
    );
    drop index if exists pillion.action_log_due;
    create index if not exists action_log_waiting on pillion.action_log (action_name, created_at)
        where status in ('created', 'processing');
    create index if not exists action_log_ended on pillion.action_log (response_received_at)
        where status in ('completed', 'error');
";

/// The edition of the table that this program writes.
const EDITION: i32 = 2;

/// What edition 2 added. Until then the attempts were the fencing token. Nothing is locked if the columns are there.
const ADD_FENCING_TOKEN: &str = "
    do $$ begin
        if not exists (select from information_schema.columns where table_schema = 'pillion'
                       and table_name = 'action_log' and column_name = 'fencing_token') then
            alter table pillion.action_log add column fencing_token integer not null default 0;
            alter table pillion.action_log add column lost_leases integer not null default 0;
            update pillion.action_log set fencing_token = attempts where status in ('created', 'processing');
        end if;
    end $$;
    update pillion.action_log_edition set edition = 2 where edition < 2;
";

const COLUMNS: &str = "id, action_name, input_payload, request_headers, session_variables, response_payload, errors, \
                       to_json(created_at) #>> '{}', status, attempts, failures, fencing_token, lost_leases";

/// Notifies all replicas that there is something to do.
const CHANNEL: &str = "pillion_jobs";

/// Notifies all replicas of the end of a job.
pub(super) const ENDED_CHANNEL: &str = "pillion_jobs_ended";

/// Connections at one time, those for listening left out.
const CONNECTIONS: usize = 8;

/// How long to wait for one of them.
const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a notification may take to come.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(2);

/// Why nothing is listened to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenEnd {
    /// The connection has ended.
    Closed,
    /// Notifications do not come by such a connection.
    NotNotified,
}

/// The log.
pub struct PostgresStore {
    database: Database,
    slots: Semaphore,
    idle: Mutex<Vec<Client>>,
    finished: FinishedTogether,
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        Self(error.to_string())
    }
}

type Values<'v> = &'v [Parameter<'v>];

impl PostgresStore {
    /// Makes the table, if it is not there.
    ///
    /// # Errors
    /// [`StoreError`], also when a newer program has made it.
    pub async fn open(database: Database) -> Result<Self, StoreError> {
        let mut client = database.connect().await?;
        let transaction = in_time(client.transaction()).await?;
        in_time(transaction.batch_execute(LOCK)).await?;
        in_time(transaction.batch_execute(TABLE)).await?;
        in_time(transaction.batch_execute(ADD_FENCING_TOKEN)).await?;
        in_time(transaction.commit()).await?;
        let row = in_time(client.query_typed_one("select max(edition) from pillion.action_log_edition", &[])).await?;
        let edition: i32 = row.try_get(0).map_err(DatabaseError::from)?;
        if edition > EDITION {
            return Err(StoreError(format!("pillion.action_log was made by a newer program (edition {edition})")));
        }
        Ok(Self {
            database,
            slots: Semaphore::new(CONNECTIONS),
            idle: Mutex::new(vec![client]),
            finished: FinishedTogether::default(),
        })
    }

    /// Is there a table of jobs? Nothing is made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn exists(database: &Database) -> Result<bool, StoreError> {
        let client = database.connect().await?;
        let sql = "select to_regclass('pillion.action_log') is not null";
        let row = in_time(client.query_typed_one(sql, &[])).await?;
        Ok(row.try_get(0).map_err(DatabaseError::from)?)
    }

    /// Does something with a connection. One that failed is not used again.
    pub(super) async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, DatabaseError>,
    ) -> Result<T, StoreError> {
        let busy = || StoreError("all its connections are in use".into());
        let slot = tokio::time::timeout(ENQUEUE_TIMEOUT, self.slots.acquire()).await;
        let _slot = slot.map_err(|_| busy())?.map_err(|_| busy())?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop().filter(|client| !client.is_closed());
        let client = match known {
            Some(client) => client,
            None => self.database.connect().await?,
        };
        let done = work(&client).await?;
        idle().push(client);
        Ok(done)
    }

    async fn change(&self, sql: &str, values: Values<'_>) -> Result<bool, StoreError> {
        self.with(async |client| Ok(in_time(client.execute_typed(sql, values)).await? > 0)).await
    }

    async fn jobs(&self, sql: &str, values: Values<'_>) -> Result<Vec<Job>, StoreError> {
        let rows = self.with(async |client| in_time(client.query_typed(sql, values)).await).await?;
        read_all(&rows, read)
    }

    /// Runs a statement that reads what is due in the order of the index on it, and stops when it has enough. PostgreSQL plans by
    /// statistics, which are out of date whenever many jobs have come or gone, and then it may read and sort all that wait. The
    /// three parts are sent in this order, because each is sent when it is first polled, and take one round trip.
    async fn along_the_index(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, StoreError> {
        const BEGIN: &str =
            "begin; set local enable_sort = off; set local enable_bitmapscan = off; set local enable_seqscan = off";
        let in_order = async |client: &Client| {
            let all = async {
                tokio::try_join!(
                    biased;
                    client.batch_execute(BEGIN),
                    client.query_typed(sql, values),
                    client.batch_execute("commit"),
                )
            };
            in_time(all).await.map(|(_, rows, _)| rows)
        };
        self.with(in_order).await
    }

    /// Wakes `new` whenever any replica has something to do, and notifies `ended` of ended jobs. Ends with the
    /// connection, or when no notifications come by it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn listen(
        &self,
        listening: &(dyn Fn() + Sync),
        new: &Notify,
        ended: &(dyn Fn(Uuid) + Sync),
    ) -> Result<ListenEnd, StoreError> {
        let (client, mut messages) = self.database.listen().await?;
        if !self.is_notified(&client, &mut messages).await? {
            return Ok(ListenEnd::NotNotified);
        }
        in_time(client.batch_execute(&format!("unlisten *; listen {CHANNEL}; listen {ENDED_CHANNEL}"))).await?;
        listening();
        while let Some(message) = messages.recv().await {
            match message {
                AsyncMessage::Notification(notification) if notification.channel() == ENDED_CHANNEL => {
                    Uuid::parse_str(notification.payload()).into_iter().for_each(ended);
                }
                AsyncMessage::Notification(_) => new.notify_one(),
                _ => {}
            }
        }
        Ok(ListenEnd::Closed)
    }

    /// Does a notification that is sent on another connection come by this one? Behind PgBouncer in transaction pooling mode LISTEN
    /// succeeds, and nothing ever comes. The channel is one of its own: what listens there may stay at the server.
    async fn is_notified(
        &self,
        client: &Client,
        messages: &mut mpsc::Receiver<AsyncMessage>,
    ) -> Result<bool, StoreError> {
        let channel = format!("pillion_probe_{}", Uuid::new_v4().simple());
        in_time(client.batch_execute(&format!("listen {channel}"))).await?;
        let notify = "select pg_notify($1, '')";
        self.with(async |other| in_time(other.query_typed(notify, &[typed(&channel)])).await.map(drop)).await?;
        let come = async {
            while let Some(message) = messages.recv().await {
                if matches!(&message, AsyncMessage::Notification(found) if found.channel() == channel) {
                    return true;
                }
            }
            false
        };
        Ok(tokio::time::timeout(NOTIFICATION_TIMEOUT, come).await.unwrap_or(false))
    }
}

fn read(row: &Row) -> Result<Job, tokio_postgres::Error> {
    let status: String = row.try_get(8)?;
    Ok(Job {
        id: row.try_get(0)?,
        action: row.try_get(1)?,
        payload: row.try_get(2)?,
        headers: row.try_get(3)?,
        session: row.try_get(4)?,
        response: row.try_get(5)?,
        errors: row.try_get(6)?,
        created_at: row.try_get(7)?,
        status: Status::of(&status).unwrap_or(Status::Error),
        attempts: row.try_get(9)?,
        failures: row.try_get(10)?,
        fencing_token: row.try_get(11)?,
        lost_leases: row.try_get(12)?,
    })
}

fn read_all<T>(rows: &[Row], read: fn(&Row) -> Result<T, tokio_postgres::Error>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| read(row).map_err(|error| DatabaseError::from(error).into())).collect()
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The parts of an outcome: status, value, errors.
pub(super) fn parts(outcome: &Outcome) -> (&'static str, Option<&str>, Option<&str>) {
    match outcome {
        Outcome::Completed(value) => ("completed", Some(value), None),
        Outcome::Failed(errors) => ("error", None, Some(errors)),
    }
}

/// The conditions of a filter.
const FITS: &str = "($1::text is null or action_name = $1) and ($2::text is null or status = $2) \
                    and created_at <= clock_timestamp() - $3::float8 * interval '1 second'";

/// The end of a job: what is changed, but for the condition.
const END: &str = "update pillion.action_log set status = $3, response_payload = $4, errors = $5, \
                   response_received_at = clock_timestamp(), lease_until = null, completion_digest = null, \
                   request_headers = '{}'";

impl PostgresStore {
    /// Ends the job that `condition` describes.
    async fn end(
        &self,
        id: Uuid,
        condition: &str,
        second: Parameter<'_>,
        outcome: &Outcome,
    ) -> Result<bool, StoreError> {
        let (status, value, errors) = parts(outcome);
        let sql = format!(
            "with ended as ({END} where id = $1 and status = 'processing' and {condition} returning id) \
             select pg_notify('{ENDED_CHANNEL}', id::text) from ended"
        );
        let values: Values<'_> = &[typed(&id), second, typed(&status), typed(&value), typed(&errors)];
        self.with(async |client| Ok(!in_time(client.query_typed(&sql, values)).await?.is_empty())).await
    }
}

#[async_trait]
impl JobStore for PostgresStore {
    async fn insert(&self, jobs: &[NewJob]) -> Result<(), StoreError> {
        let column = |of: fn(&NewJob) -> &str| jobs.iter().map(of).collect::<Vec<&str>>();
        let ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
        let lifetimes: Vec<f64> = jobs.iter().map(|job| seconds(job.lifetime)).collect();
        let (actions, payloads) = (column(|job| &job.action), column(|job| &job.payload));
        let (headers, sessions) = (column(|job| &job.headers), column(|job| &job.session));
        let sql = format!(
            "with stored as (insert into pillion.action_log (id, action_name, input_payload, request_headers, \
             session_variables, status, expires_at) select id, action, payload, headers, session, 'created', \
             clock_timestamp() + lifetime * interval '1 second' from unnest($1::uuid[], $2::text[], $3::text[], \
             $4::text[], $5::text[], $6::float8[]) as job (id, action, payload, headers, session, lifetime) \
             returning 1) select pg_notify('{CHANNEL}', '') from (select count(*) from stored) as counted"
        );
        let values: Values<'_> =
            &[typed(&ids), typed(&actions), typed(&payloads), typed(&headers), typed(&sessions), typed(&lifetimes)];
        self.with(async |client| in_time(client.query_typed(&sql, values)).await.map(drop)).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        let sql = format!("select {COLUMNS} from pillion.action_log where id = $1");
        Ok(self.jobs(&sql, &[typed(&id)]).await?.into_iter().next())
    }

    async fn ended_of(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let sql = "select id from pillion.action_log where id = any ($1) and status in ('completed', 'error')";
        let rows = self.with(async |client| in_time(client.query_typed(sql, &[typed(&ids)])).await).await?;
        read_all(&rows, |row| row.try_get(0))
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Job>, StoreError> {
        let sql = format!(
            "with due as (select id from pillion.action_log where status in ('created', 'processing') \
             and run_after <= clock_timestamp() and (status = 'created' or lease_until <= clock_timestamp()) \
             and completion_digest is null and expires_at > clock_timestamp() \
             and action_name = $3 \
             order by created_at limit $1 for update skip locked) \
             update pillion.action_log as log set status = 'processing', attempts = attempts + 1, \
             fencing_token = fencing_token + 1, lost_leases = lost_leases + (status = 'processing')::int, \
             lease_until = clock_timestamp() + $2::float8 * interval '1 second' from due where log.id = due.id \
             returning log.{COLUMNS}"
        );
        let (limit, lease) = (rows(claim.limit), seconds(claim.lease));
        let rows = self.along_the_index(&sql, &[typed(&limit), typed(&lease), typed(&claim.action)]).await?;
        let mut jobs = read_all(&rows, read)?;
        jobs.sort_by(|one, other| one.created_at.cmp(&other.created_at));
        Ok(jobs)
    }

    async fn pending_actions(&self) -> Result<Vec<String>, StoreError> {
        // From name to name, however many jobs each has.
        let sql = "with recursive pending (name) as ((select action_name from pillion.action_log \
                   where status in ('created', 'processing') order by action_name limit 1) union all \
                   select (select action_name from pillion.action_log where status in ('created', 'processing') \
                   and action_name > pending.name order by action_name limit 1) from pending where pending.name is not null) \
                   select name from pending where name is not null";
        read_all(&self.along_the_index(sql, &[]).await?, |row| row.try_get(0))
    }

    async fn renew(&self, held: &[(Uuid, i32)], lease: Duration) -> Result<Vec<Uuid>, StoreError> {
        let (ids, fencing_tokens): (Vec<Uuid>, Vec<i32>) = held.iter().copied().unzip();
        // Locked in one order, so that replicas which renew and take over at one time do not wait for one another.
        let sql = "with kept as (select log.id from pillion.action_log as log \
                   join unnest($1::uuid[], $2::int[]) as held (id, fencing_token) \
                   on log.id = held.id and log.fencing_token = held.fencing_token \
                   where log.status = 'processing' and log.completion_digest is null order by log.id for update of log) \
                   update pillion.action_log as log set lease_until = clock_timestamp() + $3::float8 * interval '1 second' \
                   from kept where log.id = kept.id returning log.id";
        let rows = self
            .with(async |client| {
                in_time(client.query_typed(sql, &[typed(&ids), typed(&fencing_tokens), typed(&seconds(lease))])).await
            })
            .await?;
        read_all(&rows, |row| row.try_get(0))
    }

    async fn finish(&self, id: Uuid, fencing_token: i32, outcome: &Outcome) -> Result<bool, StoreError> {
        let mut stored = self.finished.add(Finished { id, fencing_token, outcome: outcome.clone() });
        let _turn = self.finished.turn.lock().await;
        // Others whose handlers have responded at the same moment come first, and are stored with it.
        tokio::task::yield_now().await;
        loop {
            // Who had the turn before may have stored it.
            match stored.try_recv() {
                Ok(stored) => return stored,
                Err(TryRecvError::Closed) => return Err(StoreError("who stored it was interrupted".into())),
                Err(TryRecvError::Empty) => {}
            }
            let batch = self.finished.take();
            let ended = self.end_all(&batch.finished).await;
            self.finished.tell(batch, &ended);
        }
    }

    async fn retry(&self, id: Uuid, fencing_token: i32, pause: Duration, errors: &str) -> Result<bool, StoreError> {
        let sql = "update pillion.action_log set status = 'created', failures = failures + 1, lease_until = null, \
                   run_after = clock_timestamp() + $3::float8 * interval '1 second', errors = $4 \
                   where id = $1 and fencing_token = $2 and status = 'processing' and completion_digest is null";
        self.change(sql, &[typed(&id), typed(&fencing_token), typed(&seconds(pause)), typed(&errors)]).await
    }

    async fn release(&self, id: Uuid, fencing_token: i32) -> Result<bool, StoreError> {
        let sql = format!(
            "with given as (update pillion.action_log set status = 'created', attempts = attempts - 1, \
             run_after = clock_timestamp(), lease_until = null where id = $1 and fencing_token = $2 \
             and status = 'processing' and completion_digest is null returning 1) \
             select pg_notify('{CHANNEL}', '') from given"
        );
        self.with(async |client| {
            Ok(!in_time(client.query_typed(&sql, &[typed(&id), typed(&fencing_token)])).await?.is_empty())
        })
        .await
    }

    async fn leave_to_handler(
        &self,
        id: Uuid,
        fencing_token: i32,
        digest: &TokenDigest,
        timeout: Duration,
    ) -> Result<bool, StoreError> {
        let sql = "update pillion.action_log set completion_digest = $3, \
                   lease_until = clock_timestamp() + $4::float8 * interval '1 second' \
                   where id = $1 and fencing_token = $2 and status = 'processing' and completion_digest is null";
        self.change(sql, &[typed(&id), typed(&fencing_token), typed(&digest.as_slice()), typed(&seconds(timeout))])
            .await
    }

    async fn awaiting(&self, id: Uuid, digest: &TokenDigest) -> Result<Option<Job>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from pillion.action_log where id = $1 and completion_digest = $2 \
             and status = 'processing' and lease_until > clock_timestamp()"
        );
        Ok(self.jobs(&sql, &[typed(&id), typed(&digest.as_slice())]).await?.into_iter().next())
    }

    async fn complete(&self, id: Uuid, digest: &TokenDigest, outcome: &Outcome) -> Result<bool, StoreError> {
        let condition = "completion_digest = $2 and lease_until > clock_timestamp()";
        self.end(id, condition, typed(&digest.as_slice()), outcome).await
    }

    async fn expire(&self, too_late: &str, never_reported: &str) -> Result<u64, StoreError> {
        let sql = "update pillion.action_log set status = 'error', response_received_at = clock_timestamp(), \
                   lease_until = null, request_headers = '{}', completion_digest = null, \
                   errors = case when completion_digest is null then $1 else $2 end \
                   where status in ('created', 'processing') and (status = 'created' or lease_until <= clock_timestamp()) \
                   and (expires_at <= clock_timestamp() or completion_digest is not null)";
        let values: Values<'_> = &[typed(&too_late), typed(&never_reported)];
        self.with(async |client| in_time(client.execute_typed(sql, values)).await).await
    }

    async fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Job>, StoreError> {
        let sql = format!("select {COLUMNS} from pillion.action_log where {FITS} order by created_at desc limit $4");
        let (status, age) = (filter.status.map(Status::name), filter.older_than.map_or(0.0, seconds));
        self.jobs(&sql, &[typed(&filter.action), typed(&status), typed(&age), typed(&rows(limit))]).await
    }

    async fn requeue(&self, id: Uuid, lifetime: Duration, force: bool) -> Result<Requeued, StoreError> {
        let sql = format!(
            "with again as (update pillion.action_log set status = 'created', failures = 0, lost_leases = 0, \
             run_after = clock_timestamp(), expires_at = clock_timestamp() + $2::float8 * interval '1 second', \
             response_payload = null, errors = null, response_received_at = null \
             where id = $1 and (status = 'error' or status = 'completed' and $3) returning 1) \
             select pg_notify('{CHANNEL}', '') from again"
        );
        let lifetime = seconds(lifetime);
        let values: Values<'_> = &[typed(&id), typed(&lifetime), typed(&force)];
        if self.with(async |client| Ok(!in_time(client.query_typed(&sql, values)).await?.is_empty())).await? {
            return Ok(Requeued::Done);
        }
        let is_completed = self.find(id).await?.is_some_and(|job| job.status == Status::Completed);
        Ok(if is_completed { Requeued::IsCompleted } else { Requeued::NotEnded })
    }

    async fn cancel(&self, id: Uuid, errors: &str) -> Result<bool, StoreError> {
        let sql = "update pillion.action_log set status = 'error', errors = $2, \
                   response_received_at = clock_timestamp(), lease_until = null, completion_digest = null, \
                   request_headers = '{}' where id = $1 and status in ('created', 'processing')";
        self.change(sql, &[typed(&id), typed(&errors)]).await
    }

    async fn purge(&self, filter: &Filter, ended_only: bool, limit: usize) -> Result<u64, StoreError> {
        let ended = if ended_only { "and status in ('completed', 'error')" } else { "" };
        let sql = format!(
            "delete from pillion.action_log where id in \
             (select id from pillion.action_log where {FITS} {ended} limit $4)"
        );
        let (status, age) = (filter.status.map(Status::name), filter.older_than.map_or(0.0, seconds));
        let limit = rows(limit);
        let values: Values<'_> = &[typed(&filter.action), typed(&status), typed(&age), typed(&limit)];
        self.with(async |client| in_time(client.execute_typed(&sql, values)).await).await
    }

    async fn drop_all_but(&self, newest: usize) -> Result<u64, StoreError> {
        let sql = "delete from pillion.action_log where id in (select id from pillion.action_log \
                   where status in ('completed', 'error') order by response_received_at desc limit $2 offset $1)";
        let (newest, limit) = (rows(newest), i64::from(PURGE_MAX));
        let values: Values<'_> = &[typed(&newest), typed(&limit)];
        self.with(async |client| in_time(client.execute_typed(sql, values)).await).await
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        // What is stored beside the row is not fetched to be measured.
        let sql = "select action_name, status, count(*), \
                   extract(epoch from clock_timestamp() - min(created_at))::float8, \
                   sum(pg_column_size(input_payload) + pg_column_size(request_headers) \
                   + pg_column_size(session_variables))::bigint from pillion.action_log \
                   where status in ('created', 'processing') group by action_name, status";
        let rows = self.with(async |client| in_time(client.query_typed(sql, &[])).await).await?;
        let read = |row: &Row| -> Result<Count, tokio_postgres::Error> {
            let status: String = row.try_get(1)?;
            let status = Status::of(&status).unwrap_or(Status::Error);
            Ok(Count {
                action: row.try_get(0)?,
                status,
                count: row.try_get(2)?,
                oldest_seconds: row.try_get(3)?,
                bytes: row.try_get(4)?,
            })
        };
        read_all(&rows, read)
    }
}

//! Stores the results of many jobs in one statement.

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::jobs::finished_together::Finished;
use crate::jobs::postgres::{ENDED_CHANNEL, PostgresStore, parts};
use crate::jobs::store::StoreError;
use crate::postgres::{DatabaseError, in_time};

/// The end of many jobs. They are locked in one order, so that this, and a renewal at the same time, do not wait for one
/// another.
const END_ALL: &str = "with result as (select * from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[]) \
                       as result (id, fencing_token, status, value, errors)), \
                       held as (select log.id, log.fencing_token, result.status, result.value, result.errors \
                       from pillion.action_log as log join result on log.id = result.id \
                       and log.fencing_token = result.fencing_token where log.status = 'processing' \
                       and log.completion_digest is null order by log.id for update of log), \
                       ended as (update pillion.action_log as log set status = held.status, \
                       response_payload = held.value, errors = held.errors, response_received_at = clock_timestamp(), \
                       lease_until = null, completion_digest = null, request_headers = '{}' from held \
                       where log.id = held.id returning log.id, log.fencing_token) \
                       select id, fencing_token, pg_notify($6, id::text) from ended";

impl PostgresStore {
    /// Ends all of these whose fencing token is the last one. Gives those.
    pub(super) async fn end_all(&self, finished: &[Finished]) -> Result<Vec<(Uuid, i32)>, StoreError> {
        let (ids, fencing_tokens): (Vec<Uuid>, Vec<i32>) =
            finished.iter().map(|finished| (finished.id, finished.fencing_token)).unzip();
        let parts: Vec<_> = finished.iter().map(|finished| parts(&finished.outcome)).collect();
        let statuses: Vec<&str> = parts.iter().map(|(status, ..)| *status).collect();
        let (values, errors): (Vec<Option<&str>>, Vec<Option<&str>>) =
            parts.iter().map(|(_, value, errors)| (*value, *errors)).unzip();
        // An unnamed statement: one journey, and nothing of it stays in the session.
        let values: [(&(dyn ToSql + Sync), Type); 6] = [
            (&ids, Type::UUID_ARRAY),
            (&fencing_tokens, Type::INT4_ARRAY),
            (&statuses, Type::TEXT_ARRAY),
            (&values, Type::TEXT_ARRAY),
            (&errors, Type::TEXT_ARRAY),
            (&ENDED_CHANNEL, Type::TEXT),
        ];
        let rows = self.with(async |client| in_time(client.query_typed(END_ALL, &values)).await).await?;
        let read = |row: &Row| -> Result<(Uuid, i32), tokio_postgres::Error> { Ok((row.try_get(0)?, row.try_get(1)?)) };
        rows.iter().map(|row| read(row).map_err(|error| DatabaseError::from(error).into())).collect()
    }
}

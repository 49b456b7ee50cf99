//! PostgreSQL as the store that metadata commands write to, for replicas that share their metadata.

use serde_json::Value;
use tokio_postgres::Client;

use crate::config::document::Document;
use crate::postgres::{Database, DatabaseError, in_time, typed};

/// The table. `metadata_api` has one row at most, and its version grows with each change.
const TABLE: &str = "
    create schema if not exists pillion;
    create table if not exists pillion.metadata (
        id integer primary key check (id = 1),
        version bigint not null,
        document text not null,
        changed_at timestamptz not null default now()
    );
";

/// Two that create it at the same time would get in each other's way.
const LOCK: &str = "select pg_advisory_xact_lock(7455406123)";

/// A document with its version.
#[derive(Debug)]
pub(crate) struct Versioned {
    /// It grows with each change.
    pub version: i64,
    /// The metadata.
    pub document: Document,
}

/// Creates the table, and puts `first` into it if it is empty. Returns its content.
///
/// # Errors
/// [`DatabaseError`].
pub(crate) async fn prepare(database: &Database, first: &Document) -> Result<Versioned, DatabaseError> {
    let mut client = database.connect().await?;
    let transaction = in_time(client.transaction()).await?;
    in_time(transaction.batch_execute(LOCK)).await?;
    in_time(transaction.batch_execute(TABLE)).await?;
    let text = first.to_json().to_string();
    let insert = "insert into pillion.metadata (id, version, document) values (1, 1, $1) on conflict do nothing";
    in_time(transaction.execute_typed(insert, &[typed(&text)])).await?;
    in_time(transaction.commit()).await?;
    load(&client).await
}

/// The stored document.
///
/// # Errors
/// [`DatabaseError`], also when nothing is there any more.
pub(crate) async fn load(client: &Client) -> Result<Versioned, DatabaseError> {
    let row =
        in_time(client.query_typed_one("select version, document from pillion.metadata where id = 1", &[])).await?;
    let (version, text): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    let json: Value = serde_json::from_str(&text)
        .map_err(|error| DatabaseError::Failed(format!("pillion.metadata holds no JSON: {error}")))?;
    let document = json.as_object().map(Document::of_export).unwrap_or_default();
    Ok(Versioned { version, document })
}

/// The version alone.
///
/// # Errors
/// [`DatabaseError`].
pub(crate) async fn version(client: &Client) -> Result<i64, DatabaseError> {
    let row = in_time(client.query_typed_one("select version from pillion.metadata where id = 1", &[])).await?;
    Ok(row.try_get(0)?)
}

/// Replaces the document of this version. `None` if another writer was faster.
///
/// # Errors
/// [`DatabaseError`].
pub(crate) async fn save(client: &Client, version: i64, document: &Document) -> Result<Option<i64>, DatabaseError> {
    let update = "update pillion.metadata set version = version + 1, document = $2, changed_at = now() \
                  where id = 1 and version = $1 returning version";
    let text = document.to_json().to_string();
    let row = in_time(client.query_typed_opt(update, &[typed(&version), typed(&text)])).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

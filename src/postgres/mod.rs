//! The PostgreSQL client, for what replicas share.

use std::time::Duration;

use futures_util::stream;
use futures_util::stream::StreamExt;
use tokio::sync::mpsc;
use tokio_postgres::config::Host;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use crate::config::settings::DatabaseSettings;
use crate::http_client::tls::client_config;

/// A parameter of a statement with its type.
pub(crate) type Parameter<'v> = (&'v (dyn ToSql + Sync), Type);

/// A value whose type in the database is known by its type here. Statements are sent with the types of their parameters, so that none
/// is prepared: what is prepared belongs to a connection of the server, and behind PgBouncer in transaction pooling mode the next
/// statement may be on another one.
pub(crate) trait SqlType: ToSql + Sync {
    /// The type in the database.
    const TYPE: Type;
}

macro_rules! sql_types {
    ($($rust:ty => $sql:ident),* $(,)?) => { $(impl SqlType for $rust { const TYPE: Type = Type::$sql; })* };
}

sql_types! {
    &str => TEXT,
    Option<&str> => TEXT,
    String => TEXT,
    Option<String> => TEXT,
    bool => BOOL,
    i32 => INT4,
    i64 => INT8,
    f64 => FLOAT8,
    Uuid => UUID,
    &[u8] => BYTEA,
    Vec<Uuid> => UUID_ARRAY,
    &[Uuid] => UUID_ARRAY,
    Vec<&str> => TEXT_ARRAY,
    Vec<String> => TEXT_ARRAY,
    Vec<i32> => INT4_ARRAY,
    Vec<f64> => FLOAT8_ARRAY,
}

/// A parameter.
#[must_use]
pub(crate) fn typed<T: SqlType>(value: &T) -> Parameter<'_> {
    (value, T::TYPE)
}

/// Where the database is and how it is reached.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
}

/// Why the database did not do something. It holds neither address nor password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection, or no response.
    #[error("the database cannot be used: {0}")]
    Failed(String),
    /// It took too long.
    #[error("the database did not respond in time")]
    TimedOut,
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        use std::error::Error;
        let reason = error.as_db_error().map(|told| told.message().to_owned());
        let source = || error.source().map(ToString::to_string);
        Self::Failed(reason.or_else(source).unwrap_or_else(|| error.to_string()))
    }
}

/// The port of PostgreSQL if the address has none.
const PORT: u16 = 5432;

/// Timeout of one query.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Database {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When the address is invalid, or TLS cannot be set up; the message leaves the address out, because it may hold a
    /// password.
    pub fn new(settings: &DatabaseSettings) -> Result<Self, String> {
        let config = settings.url.expose().parse::<Config>();
        let mut config = config.map_err(|_| "database.url: this is not an address of PostgreSQL".to_owned())?;
        config.connect_timeout(TIMEOUT).application_name("pillion");
        let tls = client_config(settings.tls_ca_file.as_deref(), "database.tls_ca_file")?;
        Ok(Self { config, tls: MakeRustlsConnect::new(tls) })
    }

    /// Its address as it may be shown: without user, password and options.
    #[must_use]
    pub fn shown(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        let port = self.config.get_ports().first().copied().unwrap_or(PORT);
        // Without a name it is that of the user.
        let name = self.config.get_dbname().unwrap_or_default();
        format!("postgres://{}:{port}/{name}", hosts.join(","))
    }

    /// A connection; it ends when it is dropped.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn connect(&self) -> Result<Client, DatabaseError> {
        let (client, connection) = in_time(self.config.connect(self.tls.clone())).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %DatabaseError::from(error), "a connection to the database has ended");
            }
        });
        Ok(client)
    }
}

impl Database {
    /// A connection with the database's notifications on it.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn listen(&self) -> Result<(Client, mpsc::Receiver<AsyncMessage>), DatabaseError> {
        let (client, mut connection) = in_time(self.config.connect(self.tls.clone())).await?;
        let (tell, told) = mpsc::channel(MESSAGES_MAX);
        tokio::spawn(async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if tell.send(message).await.is_err() {
                    return;
                }
            }
        });
        Ok((client, told))
    }
}

/// Messages that wait to be read; then the connection waits.
const MESSAGES_MAX: usize = 1_024;

/// Waits for the database within a timeout.
///
/// # Errors
/// [`DatabaseError`].
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DatabaseError> {
    tokio::time::timeout(TIMEOUT, work).await.map_err(|_| DatabaseError::TimedOut)?.map_err(DatabaseError::from)
}

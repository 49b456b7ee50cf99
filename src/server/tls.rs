//! TLS of downstream connections. The handshake is a part of the connection like any other: it is counted, and has its
//! deadline. pingora would do it before the connection is counted, and wait for a minute.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Plain;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::settings::TlsListener;

/// The listener for TLS.
pub(crate) struct Tls {
    listen: SocketAddr,
    acceptor: Acceptor,
}

impl Tls {
    /// Reads the certificates and the key.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub(crate) fn new(listener: &TlsListener) -> Result<Self, String> {
        check_pem(&listener.cert_file, "tls.cert_file")?;
        check_pem(&listener.key_file, "tls.key_file")?;
        let mut config = config(listener)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { listen: listener.listen, acceptor: Acceptor::from_server_config(Arc::new(config)) })
    }

    /// Does its client speak TLS? The plain listener hands over its connections likewise.
    #[must_use]
    pub(crate) fn is_spoken(&self, stream: &Stream) -> bool {
        let digest = stream.get_socket_digest();
        let local = digest.as_ref().and_then(|digest| digest.local_addr()?.as_inet());
        local.is_some_and(|local| {
            local.port() == self.listen.port()
                && (self.listen.ip().is_unspecified() || local.ip().to_canonical() == self.listen.ip().to_canonical())
        })
    }

    /// Performs the handshake. `None` if it failed; the client has been sent an alert.
    pub(crate) async fn accept(&self, stream: Stream) -> Option<Stream> {
        let plain = stream.into_any().downcast::<Plain>().ok()?;
        match self.acceptor.tls_handshake(*plain).await {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                tracing::debug!(error = %error.etype().as_str(), "TLS handshake failed");
                None
            }
        }
    }
}

fn check_pem(path: &str, setting: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{setting}: {path}: {error}"))?;
    if text.contains("-----BEGIN ") { Ok(()) } else { Err(format!("{setting}: {path}: this is not PEM")) }
}

fn config(tls: &TlsListener) -> Result<ServerConfig, String> {
    let wrong = |path: &str, what: &str| format!("{path}: there is no {what} in it that can be used");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&tls.cert_file).and_then(std::iter::Iterator::collect);
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| wrong(&tls.cert_file, "certificate"))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file).map_err(|_| wrong(&tls.key_file, "key"))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    config.map_err(|error| format!("{} does not go with {}: {error}", tls.key_file, tls.cert_file))
}

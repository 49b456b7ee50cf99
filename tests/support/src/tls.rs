//! Both ends of TLS: a certificate, the listener of a Pillion that has it, and a client that trusts it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::free_port;
use crate::temp::temp_folder;

/// A listener for TLS that a Pillion may have.
pub struct Listener {
    /// For `pillion.yaml`.
    pub config: String,
    /// Where it listens.
    pub port: u16,
    /// The file of its certificate.
    pub certificate: PathBuf,
}

impl Listener {
    /// With a certificate of its own.
    pub fn on_free_port() -> Self {
        let ((certificate, key), port) = (certificate(), free_port());
        let (cert_file, key_file) = (certificate.display(), key.display());
        let config =
            format!("tls: {{ listen: '127.0.0.1:{port}', cert_file: '{cert_file}', key_file: '{key_file}' }}\n");
        Self { config, port, certificate }
    }
}

/// A certificate for `localhost` that signs itself.
pub fn certificate() -> (PathBuf, PathBuf) {
    let folder = temp_folder().join(format!("tls-{}", free_port()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output();
    assert!(status.is_ok_and(|output| output.status.success()), "openssl failed");
    (cert, key)
}

/// What a client needs to speak `protocol` with whoever has this certificate.
pub fn client_config(certificate: &Path, protocol: &str) -> Arc<ClientConfig> {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(trusted).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}

//! TLS of our outbound connections: trusts the system's certificate authorities, or those of one file.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt;

/// `setting` is the name of the setting that names the file.
///
/// # Errors
/// When the file of authorities is no good, or TLS cannot be set up.
pub(crate) fn client_config(ca_file: Option<&str>, setting: &str) -> Result<ClientConfig, String> {
    let Some(path) = ca_file else {
        return ClientConfig::with_platform_verifier().map_err(|error| format!("TLS cannot be set up: {error}"));
    };
    Ok(ClientConfig::builder().with_root_certificates(Arc::new(roots(path, setting)?)).with_no_client_auth())
}

/// The same certificates as they stand in the file, for a client that reads them itself.
///
/// # Errors
/// When the file of authorities is no good.
pub(crate) fn ca_certificates(path: &str, setting: &str) -> Result<Vec<u8>, String> {
    roots(path, setting)?;
    std::fs::read(path).map_err(|error| format!("{setting}: {path}: {error}"))
}

fn roots(path: &str, setting: &str) -> Result<RootCertStore, String> {
    let wrong = || format!("{setting}: {path}: there is no certificate in it that can be used");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|_| wrong())? {
        roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
    }
    if roots.is_empty() {
        return Err(wrong());
    }
    Ok(roots)
}

//! Reads the document of an import: a file, or what a URL leads to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::load::{FILE_BYTES_MAX, read_file};
use crate::http_client::outbound::{EnvironmentProxy, builder};
use crate::model::source::{Diagnostic, Source};

/// How long a server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads `file`.
///
/// # Errors
/// Why it cannot be read.
pub(crate) async fn read(file: &str) -> Result<Arc<Source>, Vec<Diagnostic>> {
    let scheme = file.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    match (scheme.as_str(), Url::parse(file)) {
        ("file", Ok(url)) => match url.to_file_path() {
            Ok(path) => read_file(&path),
            Err(()) => Err(vec![Diagnostic::error(None, "this file URL names no file", "write file:///path/to/file")]),
        },
        ("http" | "https", Ok(url)) => fetch(url).await.map_err(|diagnostic| vec![diagnostic]),
        _ => read_file(Path::new(file)),
    }
}

/// Downloads a document.
///
/// # Errors
/// Why it cannot be had, without the secrets that its address may hold.
pub(crate) async fn fetch(url: Url) -> Result<Arc<Source>, Diagnostic> {
    let mut shown = url.clone();
    // Neither may be shown: they may be secrets.
    let _ = (shown.set_username(""), shown.set_password(None));
    shown.set_query(None);
    let failed = |reason: String| {
        let help = "correct the address, or give the document as a file";
        Diagnostic::error(None, format!("{shown}: {reason}"), help)
    };
    let text = download(url).await.map_err(failed)?;
    Ok(Arc::new(Source::new(shown.to_string(), text)))
}

async fn download(url: Url) -> Result<String, String> {
    let client = builder(TIMEOUT, EnvironmentProxy::Used).timeout(TIMEOUT).build();
    // The address is left out: it may hold a password.
    let reason = |error: reqwest::Error| {
        let error = error.without_url();
        std::error::Error::source(&error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
    };
    let mut response = client.map_err(reason)?.get(url).send().await.map_err(reason)?;
    let status = response.status();
    if !status.is_success() {
        let hint = if status.is_redirection() { "; redirects are not followed" } else { "" };
        return Err(format!("the server responded with status {}{hint}", status.as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reason)? {
        bytes.extend_from_slice(&chunk);
        if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
            return Err("the document is larger than 16 MiB".to_owned());
        }
    }
    String::from_utf8(bytes).map_err(|_| "the document is not UTF-8 text".to_owned())
}

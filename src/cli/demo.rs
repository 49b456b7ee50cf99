//! `pillion demo`: runs a sample upstream, a sample handler and Pillion between them, all in this process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use crate::cli;
use crate::cli::serve::{Serving, serve};
use crate::config::configuration_source::ConfigurationSource;
use crate::config::load::Assumed;
use crate::http_client::outbound;
use crate::http_client::outbound::EnvironmentProxy;
use crate::reload::Load;
use crate::reload::files::Files;
use crate::server::listener::small_service;

mod handler;
mod http;
mod upstream;

/// `demo` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    Command::new("demo").about("Shows the main job with a sample upstream and handler inside. Ctrl-C ends it.")
}

const ACTIONS_YAML: &str = include_str!("../../demo/metadata/actions.yaml");
const ACTIONS_GRAPHQL: &str = include_str!("../../demo/metadata/actions.graphql");
const PILLION_YAML: &str = include_str!("../../demo/pillion.yaml");
const QUERY: &str = include_str!("../../demo/query.graphql");
const MUTATION: &str = include_str!("../../demo/mutation.graphql");

/// How long the demonstration waits for its own listeners.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

struct Ports {
    upstream: SocketAddr,
    handler: SocketAddr,
    clients: SocketAddr,
    admin: SocketAddr,
}

/// Runs until Ctrl-C.
///
/// # Errors
/// When there are no free ports or no place for the metadata.
pub(crate) fn run(_: &ArgMatches) -> Result<(), String> {
    // Before the thread that shows the requests needs it.
    crate::install_tls_provider();
    let ports = free_ports().map_err(|error| format!("error: no free port on loopback: {error}"))?;
    let metadata = Metadata::write(ports.handler)?;
    let flags = [
        ("upstream.url", format!("http://{}", ports.upstream)),
        ("listen", ports.clients.to_string()),
        ("admin_listen", ports.admin.to_string()),
        ("metadata.folder", metadata.0.display().to_string()),
        ("log.format", "text".to_owned()),
    ];
    let flags = flags.into_iter().map(|(key, value)| (key, vec![value])).collect();
    let source = ConfigurationSource { file: Some(metadata.0.join("pillion.yaml")), flags };
    let load = |source: &ConfigurationSource| source.load(&Assumed::default());
    let loaded = load(&source).map_err(|diagnostics| cli::report(&diagnostics))?;
    let files = Files::new(source.file.as_deref(), &loaded.settings);
    let again = source.clone();
    let again: Load = Box::new(move || load(&again));
    println!("A sample upstream on http://{}, a sample handler on http://{},", ports.upstream, ports.handler);
    println!("and actions from {}.", metadata.0.display());
    let beside = vec![
        small_service("upstream", ports.upstream, upstream::DemoUpstream::new()).into(),
        small_service("handler", ports.handler, handler::Handler).into(),
    ];
    show_in_background(ports.clients, metadata.0.clone());
    let at_exit = Box::new(move || drop(metadata));
    serve(loaded, Serving { again: Some((again, files)), beside, at_exit, source, ..Serving::default() })
}

fn free_ports() -> std::io::Result<Ports> {
    // All are held until all are known, so that they differ.
    let sockets: Vec<TcpListener> =
        (0..4).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let mut addresses = sockets.iter().map(TcpListener::local_addr);
    let mut next = || addresses.next().unwrap_or_else(|| Err(std::io::ErrorKind::AddrNotAvailable.into()));
    Ok(Ports { upstream: next()?, handler: next()?, clients: next()?, admin: next()? })
}

/// The demo's metadata folder; removed when the demo ends.
struct Metadata(PathBuf);

impl Metadata {
    fn write(handler: SocketAddr) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("pillion-demo-{}", std::process::id()));
        let write = |folder: &Path| {
            std::fs::create_dir_all(folder)?;
            let yaml = ACTIONS_YAML.replace("{{HANDLER_URL}}", &format!("http://{handler}"));
            std::fs::write(folder.join("actions.yaml"), yaml)?;
            std::fs::write(folder.join("actions.graphql"), ACTIONS_GRAPHQL)?;
            // Ctrl-C ends it at once: there is no balancer that has to learn of it first.
            std::fs::write(folder.join("pillion.yaml"), format!("{PILLION_YAML}drain_delay: 0s\n"))
        };
        write(&folder).map_err(|error| format!("error: {}: {error}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        // Leftovers in a temporary folder do no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends the sample requests once Pillion is ready, while it serves on this thread's parent.
fn show_in_background(clients: SocketAddr, metadata: PathBuf) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime
            && let Err(error) = runtime.block_on(show(clients, &metadata))
        {
            eprintln!("the demo failed: {error}");
        }
    });
}

async fn show(clients: SocketAddr, metadata: &Path) -> Result<(), reqwest::Error> {
    let url = format!("http://{clients}/graphql");
    let client = outbound::builder(CONNECT_TIMEOUT, EnvironmentProxy::Ignored).build()?;
    wait_for(clients).await;
    let order = json!({ "order": { "productId": 2, "amount": 2, "note": "as a present" } });
    let samples = [
        (
            "One query: the upstream's field, an action, and a relationship to the upstream",
            "customer",
            QUERY,
            json!({}),
        ),
        ("One mutation: an action, then the upstream's field", "customer", MUTATION, order),
        ("The query as a role without permission: the action does not exist for it", "guest", QUERY, json!({})),
    ];
    for (title, role, document, variables) in samples {
        println!("\n== {title}\n\n{document}");
        if variables.as_object().is_some_and(|variables| !variables.is_empty()) {
            println!("variables: {variables}\n");
        }
        let body = json!({ "query": document, "variables": variables }).to_string();
        let request = client.post(&url).header("content-type", "application/json").header("x-hasura-role", role);
        let response = request.body(body).send().await?.text().await?;
        println!("→ {}", pretty(&response));
    }
    println!("\nTry more:\n  curl {url} -H 'content-type: application/json' \\");
    println!("    -d '{{\"query\":\"{{ products {{ id name price }} quote(productId: 2) {{ total }} }}\"}}'");
    println!("The actions are in {}. Ctrl-C ends all of it.", metadata.display());
    Ok(())
}

fn pretty(json: &str) -> String {
    let value: Option<Value> = serde_json::from_str(json).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| json.to_owned())
}

/// Until a connection can be made and the watch on the upstream has had its first look.
async fn wait_for(address: SocketAddr) {
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

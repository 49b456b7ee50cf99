//! `pillion init`: makes a project with a working action: settings, metadata, a handler, a test.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use url::Url;

use crate::cli::{block_on, probe_upstream, report};
use crate::config::load::load;
use crate::config::settings_table::Setting;
use crate::graphql::client_schema::UpstreamSchema;
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check::upstream_schema;
use crate::scaffold::files::{Language, Project, files, paths, sample_request};
use crate::scaffold::upstream_kind::UpstreamKind;
use crate::scaffold::write::{existing, write_new};

/// `init` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    let languages = Language::ALL.map(|(name, _)| name);
    Command::new("init")
        .about("Makes a project with a working action: settings, metadata, a handler, a test.")
        .long_about(
            "Makes a project in a folder: pillion.yaml, metadata with a working action, a handler, a test for `pillion test`, \
             compose.yaml. The upstream is asked what it is; one that does not respond is no obstacle. No file that is there \
             is replaced: if one would be, nothing is written.",
        )
        .arg(Arg::new("folder").value_name("DIR").default_value(".").help("The folder; made if it is not there"))
        .arg(
            Arg::new("upstream")
                .long("upstream")
                .value_name("URL")
                .help("The GraphQL server, such as http://127.0.0.1:8080 or http://127.0.0.1:5000/api/graphql"),
        )
        .arg(
            Arg::new("language")
                .long("language")
                .value_parser(languages)
                .default_value("node")
                .help("The language of the handler"),
        )
}

/// Writes the project, and says what comes next.
///
/// # Errors
/// Why nothing was written.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let folder = Path::new(arguments.get_one::<String>("folder").map_or(".", String::as_str));
    let chosen = arguments.get_one::<String>("language").map_or("node", String::as_str);
    let language =
        Language::ALL.iter().find(|(name, _)| *name == chosen).map_or(Language::Node, |(_, language)| *language);
    let there = existing(folder, &paths(language));
    if !there.is_empty() {
        let help = "choose another folder, or move them away; nothing is written";
        return Err(format!("error: {}: there is already {}\n  help: {help}", folder.display(), there.join(", ")));
    }
    let found = match arguments.get_one::<String>("upstream") {
        Some(text) => ask(text)?,
        None => Found::unknown(DEFAULT_UPSTREAM.parse().map_err(|error| format!("error: {error}"))?),
    };
    let project = Project {
        language,
        upstream_url: &found.url,
        upstream_note: &found.note,
        schema: found.schema.as_deref(),
        is_hasura: found.kind == Some(UpstreamKind::Hasura),
    };
    let files = files(&project);
    write_new(folder, &files).map_err(|error| format!("error: {error}\n  help: nothing is written"))?;
    print!("{}", summary(folder, &found, &project, files.len()));
    Ok(())
}

/// Where Hasura listens, and what the documentation is about.
const DEFAULT_UPSTREAM: &str = "http://127.0.0.1:8080";

/// What is known of the upstream.
struct Found {
    url: Url,
    /// One line, for pillion.yaml and for the reader.
    note: String,
    kind: Option<UpstreamKind>,
    schema: Option<Arc<UpstreamSchema>>,
}

impl Found {
    fn unknown(url: Url) -> Self {
        let note = "No upstream was given: write the address of your GraphQL server here.".to_owned();
        Self { url, note, kind: None, schema: None }
    }
}

/// How long the upstream is waited for.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks an upstream what it is.
fn ask(text: &str) -> Result<Found, String> {
    let url: Url =
        text.parse().map_err(|error| format!("error: --upstream: {error}\n  help: write http://host:port"))?;
    let flag = |setting: &Setting| match setting.key {
        "upstream.url" => Some(vec![text.to_owned()]),
        // Of the environment no metadata counts.
        "metadata.folder" => Some(Vec::new()),
        _ => None,
    };
    let loaded = load(None, &flag, &[]).map_err(|diagnostics| report(&diagnostics))?;
    let asked = block_on(async {
        let services = Services::new(loaded)?;
        let probe = async {
            probe_upstream(&services).await?;
            let dialect = services.snapshot.load().catalog.dialect;
            Ok((dialect, upstream_schema(&services).await))
        };
        let timeout = || format!("it did not respond within {} s", PROBE_TIMEOUT.as_secs());
        tokio::time::timeout(PROBE_TIMEOUT, probe).await.unwrap_or_else(|_| Err(timeout()))
    })?;
    Ok(match asked {
        Ok((dialect, schema)) => {
            let kind = UpstreamKind::of(dialect, schema.as_deref());
            Found { note: note_of(kind, schema.as_deref()), url, kind: Some(kind), schema }
        }
        Err(reason) => {
            let note = format!("It did not say what it is when this was written: {reason}");
            Found { note: note.replace('\n', " "), url, kind: None, schema: None }
        }
    })
}

fn note_of(kind: UpstreamKind, schema: Option<&UpstreamSchema>) -> String {
    let name = kind.name();
    let Some(schema) = schema else {
        return format!("{name}; it does not show its schema without a credential (HASURA_GRAPHQL_ADMIN_SECRET).");
    };
    let definition = &schema.schema.schema_definition;
    let root = |kind: &str, name: Option<String>| name.map(|name| format!("{kind} {name}"));
    let roots = [
        root("query", definition.query.as_ref().map(ToString::to_string)),
        root("mutation", definition.mutation.as_ref().map(ToString::to_string)),
        root("subscription", definition.subscription.as_ref().map(ToString::to_string)),
    ];
    let roots: Vec<String> = roots.into_iter().flatten().collect();
    format!("{name}, with the root types {}.", roots.join(", "))
}

fn summary(folder: &Path, found: &Found, project: &Project<'_>, files: usize) -> String {
    let is_here = folder == Path::new(".");
    let place = if is_here { "the current folder".to_owned() } else { folder.display().to_string() };
    let mut text = format!("{files} files are in {place}.\n");
    text.push_str(&format!("Upstream {}: {}\n", shown(&found.url), found.note));
    text.push_str("A schema does not show roles: metadata/actions.yaml lets the role user call the action; change it as you need.\n\n");
    text.push_str("Next, each in its own terminal:\n\n");
    if !is_here {
        text.push_str(&format!("    cd {}\n", folder.display()));
    }
    text.push_str(&format!("    {}\n    pillion dev\n\n", project.language.start()));
    text.push_str(&format!("Then:\n\n    {}\n\n", sample_request(project)));
    text.push_str("    pillion test\n\nThe files are explained in README.md.\n");
    text
}

/// Without what may be a password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails for addresses without a host only.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.to_string().trim_end_matches('/').to_owned()
}

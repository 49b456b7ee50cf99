//! The files of a new project, from templates.

use crate::config::settings_doc;
use crate::graphql::client_schema::UpstreamSchema;
use crate::scaffold::sample_query::sample_selection;

/// The languages of handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// JavaScript, with nothing but Node.
    Node,
    /// Python, with nothing but its standard library.
    Python,
}

impl Language {
    /// As they are chosen.
    pub(crate) const ALL: [(&'static str, Self); 2] = [("node", Self::Node), ("python", Self::Python)];

    fn facts(self) -> LanguageFacts {
        match self {
            Self::Node => LanguageFacts {
                handler: "handler/server.mjs",
                template: include_str!("../../templates/init/node/server.mjs"),
                start: "node handler/server.mjs",
                image: "node:24-slim",
                command: "[node, /handler/server.mjs]",
            },
            Self::Python => LanguageFacts {
                handler: "handler/server.py",
                template: include_str!("../../templates/init/python/server.py"),
                start: "python3 handler/server.py",
                image: "python:3.13-slim",
                command: "[python3, /handler/server.py]",
            },
        }
    }

    /// The command that starts the handler.
    #[must_use]
    pub(crate) fn start(self) -> &'static str {
        self.facts().start
    }
}

struct LanguageFacts {
    handler: &'static str,
    template: &'static str,
    start: &'static str,
    image: &'static str,
    command: &'static str,
}

/// What a project is made for.
pub(crate) struct Project<'p> {
    /// The language of its handler.
    pub language: Language,
    /// The upstream's address.
    pub upstream_url: &'p url::Url,
    /// A line about the upstream.
    pub upstream_note: &'p str,
    /// Its schema, if it is known.
    pub schema: Option<&'p UpstreamSchema>,
    /// Is it Hasura, whose clients use another path?
    pub is_hasura: bool,
}

/// A file that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewFile {
    /// Its path in the project.
    pub path: &'static str,
    /// Its text.
    pub text: String,
}

/// The paths of all files, whatever is in them.
#[must_use]
pub(crate) fn paths(language: Language) -> Vec<&'static str> {
    let templates = TEMPLATES.iter().map(|(path, _)| *path);
    templates.chain([language.facts().handler, SCHEMA]).collect()
}

const SCHEMA: &str = "pillion.schema.json";

const TEMPLATES: [(&str, &str); 9] = [
    ("pillion.yaml", include_str!("../../templates/init/pillion.yaml")),
    ("metadata/version.yaml", include_str!("../../templates/init/metadata/version.yaml")),
    ("metadata/actions.yaml", include_str!("../../templates/init/metadata/actions.yaml")),
    ("metadata/actions.graphql", include_str!("../../templates/init/metadata/actions.graphql")),
    ("tests/actions.test.yaml", include_str!("../../templates/init/tests/actions.test.yaml")),
    ("README.md", include_str!("../../templates/init/README.md")),
    ("compose.yaml", include_str!("../../templates/init/compose.yaml")),
    (".env.example", include_str!("../../templates/init/env.example")),
    (".gitignore", include_str!("../../templates/init/gitignore")),
];

/// The files of a project.
#[must_use]
pub(crate) fn files(project: &Project<'_>) -> Vec<NewFile> {
    let facts = project.language.facts();
    let values = Values::of(project);
    let file = |path: &'static str, template: &str| NewFile { path, text: values.fill(template, &facts) };
    let mut files: Vec<NewFile> = TEMPLATES.iter().map(|(path, template)| file(path, template)).collect();
    files.push(file(facts.handler, facts.template));
    files.push(NewFile { path: SCHEMA, text: settings_doc::json_schema() });
    files
}

/// A request that tries the project: the upstream's fields and the action.
#[must_use]
pub(crate) fn sample_request(project: &Project<'_>) -> String {
    let values = Values::of(project);
    let url = format!("http://127.0.0.1:{}{}", values.port, values.path);
    format!(
        "curl {url} -H 'content-type: application/json' -H 'x-hasura-role: user' \\\n    -d '{{\"query\": \"{}\"}}'",
        values.sample.replace('"', "\\\"")
    )
}

/// What stands in the place of placeholders.
struct Values {
    action: &'static str,
    type_name: &'static str,
    function: &'static str,
    upstream_url: String,
    upstream_note: String,
    upstream_in_container: String,
    port: u16,
    handler_port: u16,
    path: &'static str,
    sample: String,
}

impl Values {
    fn of(project: &Project<'_>) -> Self {
        let taken = project.schema.is_some_and(has_our_names);
        let (action, type_name, function) = if taken {
            ("pillionGreeting", "PillionGreeting", "pillion_greeting")
        } else {
            ("greeting", "Greeting", "greeting")
        };
        let url = project.upstream_url;
        let upstream_port = url.port_or_known_default();
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let mut in_container = url.clone();
        if is_local {
            // Fails for addresses without a host only.
            let _ = in_container.set_host(Some("host.docker.internal"));
        }
        let upstream_fields = project.schema.and_then(sample_selection);
        let own = format!("{action}(name: \"Ada\") {{ text role }}");
        let other_than_upstream = |port: u16| if is_local && upstream_port == Some(port) { port + 10 } else { port };
        Self {
            action,
            type_name,
            function,
            upstream_url: without_slash(url),
            upstream_note: project.upstream_note.to_owned(),
            upstream_in_container: without_slash(&in_container),
            port: other_than_upstream(8000),
            handler_port: other_than_upstream(3000),
            path: if project.is_hasura { "/v1/graphql" } else { "/graphql" },
            sample: upstream_fields.map_or_else(|| format!("{{ {own} }}"), |fields| format!("{{ {fields} {own} }}")),
        }
    }

    fn fill(&self, template: &str, facts: &LanguageFacts) -> String {
        let (port, handler_port) = (self.port.to_string(), self.handler_port.to_string());
        let sample = self.sample.replace('"', "\\\"");
        let pairs = [
            ("@ACTION@", self.action),
            ("@TYPE@", self.type_name),
            ("@FUNCTION@", self.function),
            ("@UPSTREAM_URL@", &self.upstream_url),
            ("@UPSTREAM_KIND@", &self.upstream_note),
            ("@UPSTREAM_IN_CONTAINER@", &self.upstream_in_container),
            ("@PORT@", &port),
            ("@HANDLER_PORT@", &handler_port),
            ("@PATH@", self.path),
            ("@SAMPLE_JSON@", &sample),
            ("@HANDLER@", facts.handler),
            ("@START@", facts.start),
            ("@IMAGE@", facts.image),
            ("@COMMAND@", facts.command),
        ];
        pairs.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// A path of nothing but a slash is not what anybody writes.
fn without_slash(url: &url::Url) -> String {
    let text = url.as_str();
    if url.path() == "/" && url.query().is_none() { text.trim_end_matches('/').to_owned() } else { text.to_owned() }
}

fn has_our_names(upstream: &UpstreamSchema) -> bool {
    let schema = &upstream.schema;
    let root = schema.schema_definition.query.as_ref().and_then(|root| schema.get_object(root.name.as_str()));
    schema.types.contains_key("Greeting") || root.is_some_and(|root| root.fields.contains_key("greeting"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::actions::read_actions;

    fn made(language: Language, url: &str, sdl: Option<&str>) -> Vec<NewFile> {
        let schema = sdl.map(|sdl| UpstreamSchema {
            schema: apollo_compiler::Schema::parse(sdl, "upstream.graphql").expect("a schema"),
            directives: Vec::new(),
        });
        let url = url.parse().expect("an address");
        let (upstream_url, schema) = (&url, schema.as_ref());
        files(&Project { language, upstream_url, upstream_note: "Hasura", schema, is_hasura: false })
    }

    fn text<'f>(files: &'f [NewFile], path: &str) -> &'f str {
        files.iter().find(|file| file.path == path).map(|file| file.text.as_str()).expect(path)
    }

    #[test]
    fn no_placeholder_is_left_and_the_action_is_one() {
        for (_, language) in Language::ALL {
            for sdl in [None, Some("type Query { greeting: Int }")] {
                let files = made(language, "http://localhost:8000/", sdl);
                assert_eq!(files.iter().map(|file| file.path).collect::<Vec<_>>(), paths(language));
                for file in &files {
                    assert!(!file.text.contains("@PORT") && !file.text.contains("ACTION@"), "{}", file.text);
                }
                let schema = read_actions(
                    text(&files, "metadata/actions.graphql"),
                    text(&files, "metadata/actions.yaml"),
                    &|_| None,
                );
                assert_eq!(schema.expect("actions").actions.len(), 1);
            }
        }
    }

    #[test]
    fn names_and_ports_of_the_upstream_are_avoided() {
        let files =
            made(Language::Node, "http://localhost:8000/", Some("type Query { rows: Int } type Greeting { a: Int }"));
        assert!(text(&files, "metadata/actions.graphql").contains("pillionGreeting(name: String!): PillionGreeting"));
        let config = text(&files, "pillion.yaml");
        assert!(config.contains("url: \"http://localhost:8000\"") && config.contains("127.0.0.1:8010"), "{config}");
        let compose = text(&files, "compose.yaml");
        assert!(compose.contains("http://host.docker.internal:8000}"), "{compose}");
        assert!(text(&files, "README.md").contains("{ rows pillionGreeting(name: \\\"Ada\\\") { text role } }"));
        let files = made(Language::Python, "https://api.example/v1/graphql", None);
        assert!(text(&files, "pillion.yaml").contains("url: \"https://api.example/v1/graphql\""));
        assert!(text(&files, "handler/server.py").contains("def greeting(arguments, session):"));
    }
}

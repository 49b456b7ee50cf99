//! The endpoints of the console's API: one table of methods and paths, which the reference documents, and what each calls.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply};
use crate::console::{
    Console, actions, changes, code, exchange, import, operators, overview, playground, schema, session, stream,
    transform,
};

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Session,
    Login,
    Logout,
    Overview,
    Activity,
    Check,
    Doctor,
    Reload,
    Explain,
    Run,
    Stream,
    Actions,
    Action,
    Failures,
    Headers,
    Transform,
    PreviewChange,
    SaveChange,
    Openapi,
    Frameworks,
    Code,
    DownloadCode,
    UpstreamFields,
    Schema,
    SchemaDifference,
    Roles,
    Jobs,
    PurgeJobs,
    Job,
    RetryJob,
    CancelJob,
    Settings,
    Metrics,
}

/// Method and path, `{name}` for a segment, of each endpoint. docs/reference/console.openapi.yaml has the same.
const TABLE: &[(&str, &str, Endpoint)] = &[
    ("GET", "/session", Endpoint::Session),
    ("POST", "/login", Endpoint::Login),
    ("POST", "/logout", Endpoint::Logout),
    ("GET", "/overview", Endpoint::Overview),
    ("GET", "/activity", Endpoint::Activity),
    ("POST", "/check", Endpoint::Check),
    ("POST", "/doctor", Endpoint::Doctor),
    ("POST", "/reload", Endpoint::Reload),
    ("POST", "/explain", Endpoint::Explain),
    ("POST", "/run", Endpoint::Run),
    ("POST", "/stream", Endpoint::Stream),
    ("GET", "/actions", Endpoint::Actions),
    ("GET", "/actions/{name}", Endpoint::Action),
    ("GET", "/actions/{name}/failures", Endpoint::Failures),
    ("POST", "/headers", Endpoint::Headers),
    ("POST", "/transform", Endpoint::Transform),
    ("POST", "/changes/preview", Endpoint::PreviewChange),
    ("POST", "/changes/save", Endpoint::SaveChange),
    ("POST", "/openapi", Endpoint::Openapi),
    ("GET", "/code/frameworks", Endpoint::Frameworks),
    ("GET", "/code", Endpoint::Code),
    ("GET", "/code/download", Endpoint::DownloadCode),
    ("GET", "/upstream/fields", Endpoint::UpstreamFields),
    ("GET", "/schema", Endpoint::Schema),
    ("GET", "/schema/diff", Endpoint::SchemaDifference),
    ("GET", "/roles", Endpoint::Roles),
    ("GET", "/jobs", Endpoint::Jobs),
    ("POST", "/jobs/purge", Endpoint::PurgeJobs),
    ("GET", "/jobs/{id}", Endpoint::Job),
    ("POST", "/jobs/{id}/retry", Endpoint::RetryJob),
    ("POST", "/jobs/{id}/cancel", Endpoint::CancelJob),
    ("GET", "/settings", Endpoint::Settings),
    ("GET", "/metrics", Endpoint::Metrics),
];

/// Method and whole path of each endpoint, for the test of their documentation.
#[must_use]
pub fn documented() -> Vec<(&'static str, String)> {
    TABLE.iter().map(|(method, path, _)| (*method, format!("/console/api{path}"))).collect()
}

impl Endpoint {
    /// Is it for callers without a session as well?
    pub(super) fn is_public(self) -> bool {
        matches!(self, Self::Session | Self::Login)
    }
}

/// The endpoint at `path`, which is one below the API's, and what stands in the path for a name.
///
/// # Errors
/// There is none, or not for this method.
pub(super) fn find(method: &Method, path: &str) -> Result<(Endpoint, String), ApiError> {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let mut is_other_method = false;
    for (known, pattern, endpoint) in TABLE {
        let Some(name) = matched(pattern, path) else { continue };
        if *known == method {
            return Ok((*endpoint, name));
        }
        is_other_method = true;
    }
    if is_other_method {
        Err(ApiError::method_not_allowed())
    } else {
        Err(ApiError::not_found("there is nothing at this path"))
    }
}

/// The name in `path`, empty if `pattern` has none; nothing if they do not match.
fn matched(pattern: &str, path: &str) -> Option<String> {
    let mut name = String::new();
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(name),
            (Some(one), Some(segment)) if one.starts_with('{') && !segment.is_empty() => {
                name = percent_decode_str(segment).decode_utf8().ok()?.into_owned();
            }
            (Some(one), Some(segment)) if one == segment => {}
            _ => return None,
        }
    }
}

/// Calls an endpoint.
///
/// # Errors
/// Why it gives nothing.
pub(super) async fn call(console: &Console, endpoint: Endpoint, request: &ApiRequest<'_>) -> ApiResult {
    match endpoint {
        Endpoint::Session => console.session_state(request),
        Endpoint::Login => console.log_in(request),
        Endpoint::Logout => Ok(Reply::no_content(Some(session::log_out(request.is_secure())?))),
        Endpoint::Overview => overview::overview(console).await,
        Endpoint::Activity => Ok(overview::curves(console)),
        Endpoint::Check => overview::run_check(console, request).await,
        Endpoint::Doctor => overview::run_doctor(console).await,
        Endpoint::Reload => overview::reload(console).await,
        Endpoint::Explain => playground::explain_operation(console, request).await,
        Endpoint::Run => exchange::run(console, request).await,
        Endpoint::Stream => stream::stream(console, request).await,
        Endpoint::Actions => actions::list_actions(console),
        Endpoint::Action => actions::show_action(console, &request.name),
        Endpoint::Failures => Ok(actions::failures(console, &request.name)),
        Endpoint::Headers => actions::headers(console, request).await,
        Endpoint::Transform => transform::preview_transforms(console, request),
        Endpoint::PreviewChange => changes::preview(console, request).await,
        Endpoint::SaveChange => changes::save(console, request).await,
        Endpoint::Openapi => import::list(request).await,
        Endpoint::Frameworks => Ok(code::frameworks()),
        Endpoint::Code => code::show(console, request),
        Endpoint::DownloadCode => code::download(console, request),
        Endpoint::UpstreamFields => schema::upstream_fields(console).await,
        Endpoint::Schema => schema::show(console, request).await,
        Endpoint::SchemaDifference => schema::difference(console, request).await,
        Endpoint::Roles => Ok(actions::all_roles(console)),
        Endpoint::Jobs => operators::jobs(console, request).await,
        Endpoint::Job => operators::job(console, &request.name).await,
        Endpoint::RetryJob => operators::retry(console, request).await,
        Endpoint::CancelJob => operators::cancel(console, request).await,
        Endpoint::PurgeJobs => operators::purge(console, request).await,
        Endpoint::Settings => operators::settings(console),
        Endpoint::Metrics => Ok(operators::metrics(console)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_by_segment() {
        let found = |path: &str| matched("/jobs/{id}/retry", path);
        assert_eq!(found("/jobs/a%2Fb/retry"), Some("a/b".to_owned()));
        for other in ["/jobs//retry", "/jobs/a", "/jobs/a/retry/", "/jobs/a/b/retry", "", "/jobs/%ff/retry"] {
            assert_eq!(found(other), None, "{other}");
        }
        assert_eq!(matched("/session", "/session"), Some(String::new()));
    }
}

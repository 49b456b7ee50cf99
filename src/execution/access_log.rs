//! The access log: writes the line about a request that has been served.

use std::time::Instant;

use crate::execution::spans;
use crate::execution::spans::RequestSpan;
use crate::model::request::Caller;
use crate::protocol::trace::TraceContext;
use crate::request::response::Response;
use crate::runtime::services::Services;
use crate::telemetry::logs;

/// Records `response` and writes the log line. `path` is where the request came in.
pub(crate) fn record(
    services: &Services,
    response: &Response,
    caller: &Caller,
    trace: &TraceContext,
    path: &str,
    began: Instant,
) {
    let (role, actions) = (response.role.as_deref(), response.actions.as_slice());
    let (status, outcome) = (response.status, response.outcome);
    spans::record_request(services, trace, began, &RequestSpan { way: path, caller, role, actions, status, outcome });
    if outcome == crate::request::response::SUCCESS
        && !logs::REQUESTS.next(services.configured().settings.success_sample_every)
    {
        return;
    }
    let line = logs::RequestLine {
        request_id: &caller.request_id,
        trace_id: &trace.trace_id,
        path,
        client: caller.address,
        role,
        actions: actions.join(","),
        status,
        outcome,
        duration: began.elapsed(),
    };
    line.write();
}

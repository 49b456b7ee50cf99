//! The access log: writes the line about a request that has been served.

use crate::execution::spans;
use crate::execution::spans::RequestSpan;
use crate::request::context::RequestContext;
use crate::request::response::Response;
use crate::runtime::services::Services;
use crate::telemetry::logs;

/// Records the response to a request and writes the log line.
pub(crate) fn record(services: &Services, response: &Response, context: &RequestContext) {
    let RequestContext { caller, trace, way, started, .. } = context;
    let (role, actions) = (response.role.as_deref(), response.actions.as_slice());
    let (status, outcome) = (response.status, response.outcome);
    spans::record_request(services, context, &RequestSpan { role, actions, status, outcome });
    if outcome == crate::request::response::SUCCESS
        && !logs::REQUESTS.next(services.configured().settings.success_sample_every)
    {
        return;
    }
    let line = logs::RequestLine {
        request_id: &caller.request_id,
        trace_id: &trace.trace_id,
        path: way,
        client: caller.address,
        role,
        actions: actions.join(","),
        denied: (!response.denied.is_empty()).then(|| response.denied.join(",")),
        status,
        outcome,
        duration: started.elapsed(),
        times: [
            response.times.authenticate,
            response.times.introspect,
            response.times.plan,
            response.times.validate,
            response.times.upstream,
            response.times.handlers,
            response.times.respond,
        ],
    };
    line.write();
}

//! The execution context of work that outlives its request, such as the refresh of a cached response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::execution::context::ExecutionContext;
use crate::graphql::plan::Plan;
use crate::memory::MemoryOwner;
use crate::model::action::OperationKind;
use crate::model::request::GraphqlRequest;
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::step_times::RunningTime;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;

/// What the work needs of its request, with a share of the memory budget and a trace of its own.
pub(crate) struct DetachedExecution {
    services: Arc<Services>,
    snapshot: Arc<Snapshot>,
    session: Session,
    context: RequestContext,
    request: GraphqlRequest<'static>,
    plan: Plan,
}

impl DetachedExecution {
    /// Of the caller of `execution`. It may take as long as `timeout`.
    #[must_use]
    pub(crate) fn of(execution: &ExecutionContext<'_>, timeout: Duration) -> Self {
        let caller = Arc::clone(&execution.context.caller);
        let trace = TraceContext::read(&caller.headers, Uuid::new_v4().as_u128());
        let detached = RequestContext::detached(caller, trace, Instant::now() + timeout);
        let share = Some(Arc::new(execution.services.memory.empty(MemoryOwner::default())));
        let query = execution.context.query.clone();
        Self {
            services: Arc::clone(execution.services),
            snapshot: Arc::clone(execution.snapshot),
            session: execution.session.clone(),
            context: RequestContext { share, query, ..detached },
            request: GraphqlRequest::of_document(execution.request.query.clone().into_owned()),
            plan: Plan::empty(OperationKind::Query),
        }
    }

    /// The context for its calls.
    #[must_use]
    pub(crate) fn context(&self) -> ExecutionContext<'_> {
        ExecutionContext {
            services: &self.services,
            snapshot: &self.snapshot,
            context: &self.context,
            session: &self.session,
            request: &self.request,
            plan: &self.plan,
            merged: None,
            extensions: None,
            operation_name: None,
            upstream_time: RunningTime::default(),
            handler_time: RunningTime::default(),
        }
    }
}

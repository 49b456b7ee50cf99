//! The request context, responses and rejections: types without behaviour that the whole pipeline shares.

pub(crate) mod context;
pub(crate) mod encoded_body;
pub(crate) mod freshness;
pub(crate) mod live_dependencies;
pub(crate) mod rejection;
pub(crate) mod response;
pub(crate) mod step_times;

//! What the program tells about itself.

mod declare;
pub mod logs;
pub mod metrics;
pub mod traces;

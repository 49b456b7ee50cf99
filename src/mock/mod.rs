//! `pillion dev --mock`: values for actions without their handlers, made from the output types or taken from a file of
//! examples. The mock stands where a handler exchange is made, so that everything around it is as it is in production.

pub(crate) mod examples;
pub(crate) mod made_value;
pub(crate) mod stand_in;

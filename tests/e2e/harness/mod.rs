//! What only the end-to-end tests need beside `tests/support`: cases of fixtures, the shop, and who may do what.

pub mod fixture;
pub mod privileges;
pub mod shop;

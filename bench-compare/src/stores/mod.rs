//! The stores, each used as its documentation says a careful engineer would: every append on stable storage.

pub mod annals;
pub mod bare;

//! The stores, each used as its documentation says a careful engineer would: every append on stable storage.

mod annals;
pub mod bare;
#[cfg(feature = "peers")]
mod peers;
#[cfg(test)]
mod tests;

use crate::store::Contender;

/// What the others are measured by.
pub const LIMIT: Contender = bare::CONTENDER;

/// All that take part, the limit first.
pub const CONTENDERS: [&[Contender]; 2] = [&[LIMIT, annals::CONTENDER], PEERS];

#[cfg(feature = "peers")]
const PEERS: &[Contender] = peers::ALL;
#[cfg(not(feature = "peers"))]
const PEERS: &[Contender] = &[];

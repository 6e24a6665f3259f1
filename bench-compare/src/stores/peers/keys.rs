//! How events lie in stores of keys and values: each event below its position, and each position below its stream and version.
//!
//! Replay is then one walk in order, and a stream one walk and a look-up for each event. Keys sort as the numbers in them do.

use super::grouped::Put;
use crate::event::TYPE;
use crate::store::Result;

pub fn position_key(position: u64) -> [u8; 8] {
    position.to_be_bytes()
}

pub fn position_of(key: &[u8]) -> Result<u64> {
    Ok(u64::from_be_bytes(key.try_into()?))
}

/// No stream's keys lie between those of another: a name has no zero byte.
pub fn stream_key(stream: &str, version: u64) -> Vec<u8> {
    [stream.as_bytes(), &[0], &version.to_be_bytes()].concat()
}

/// The first key that a stream can have, and the last.
pub fn stream_keys(stream: &str) -> (Vec<u8>, Vec<u8>) {
    (stream_key(stream, 0), stream_key(stream, u64::MAX))
}

pub fn version_of(stream_key: &[u8]) -> Result<u64> {
    let version = stream_key.last_chunk().ok_or("a key is too short")?;
    Ok(u64::from_be_bytes(*version))
}

/// An event as one value.
pub fn value_of(put: &Put) -> Vec<u8> {
    let parts = [put.stream.as_bytes(), TYPE.as_bytes(), &put.event.metadata, &put.event.data];
    let mut value = Vec::with_capacity(8 + parts.iter().map(|part| part.len() + 2).sum::<usize>());
    value.extend(put.version.to_le_bytes());
    for part in parts {
        value.extend((part.len() as u16).to_le_bytes());
        value.extend(part);
    }
    value
}

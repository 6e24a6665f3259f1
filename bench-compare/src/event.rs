//! The event that every workload writes: a type of 16 bytes, 256 bytes of data and 64 of metadata, both JSON.

use std::sync::OnceLock;

/// As every store gets it.
#[derive(Debug, Clone)]
pub struct Event {
    pub data: Vec<u8>,
    pub metadata: Vec<u8>,
}

pub const TYPE: &str = "order.created.v1";
const DATA_BYTES: usize = 256;
const METADATA_BYTES: usize = 64;

impl Event {
    /// The event of this number. Its bytes differ from those of its neighbours and hold nothing to compress by repetition.
    pub fn new(number: u64) -> Event {
        Event {
            data: object("order", number, DATA_BYTES),
            metadata: object("trace", !number, METADATA_BYTES),
        }
    }
}

/// The name of a stream.
pub fn stream(number: u64) -> String {
    format!("order-{number:08}")
}

/// A JSON object of so many bytes, with a part of the noise that depends on the number. Cheap: it is made while the clock runs.
fn object(name: &str, number: u64, bytes: usize) -> Vec<u8> {
    let noise = NOISE.get_or_init(noise);
    let mut out = Vec::with_capacity(bytes);
    for part in [b"{\"", name.as_bytes(), b"\":\""] {
        out.extend_from_slice(part);
    }
    let at = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as usize;
    out.extend_from_slice(&noise[at..at + bytes - 2 - out.len()]);
    out.extend_from_slice(b"\"}");
    out
}

const NOISE_BYTES: usize = 1 << 20;

static NOISE: OnceLock<Vec<u8>> = OnceLock::new();

/// Letters and digits from a generator (xorshift), and so many more that a part fits behind each place.
fn noise() -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        LETTERS[(state >> 32) as usize & 63]
    };
    (0..NOISE_BYTES + DATA_BYTES).map(|_| letter()).collect()
}

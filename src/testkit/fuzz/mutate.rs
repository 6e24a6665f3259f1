//! Mutations of an input, as a fuzzer without coverage makes them.

use crate::testkit::Rng;

/// The longest input that is made.
const INPUT_BYTES_MAX: usize = 1 << 16;

/// Mutations that are made to one input. Half of the inputs get a single one: of a text, more leave little.
const MUTATIONS_MAX: u64 = 6;

/// The longest range that one mutation inserts, removes or copies.
const RANGE_BYTES_MAX: u64 = 64;

/// Numbers at which arithmetic and bounds go wrong.
const INTERESTING: [u64; 14] = [
    0,
    1,
    7,
    8,
    64,
    127,
    255,
    256,
    u16::MAX as u64,
    i32::MAX as u64,
    u32::MAX as u64,
    i64::MAX as u64,
    u64::MAX - 7,
    u64::MAX,
];

/// One of `seeds`, mutated.
pub(super) fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = any_of(seeds, rng).to_vec();
    let mutations = if rng.chance(1, 2) { 1 } else { 1 + rng.below(MUTATIONS_MAX) };
    for _ in 0..mutations {
        mutate(&mut input, seeds, rng);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn any_of<'a>(seeds: &'a [Vec<u8>], rng: &mut Rng) -> &'a [u8] {
    seeds.get(rng.below(seeds.len() as u64) as usize).map_or(&[], Vec::as_slice)
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.below(input.len() as u64) as usize;
    let len = (1 + rng.below(RANGE_BYTES_MAX) as usize).min(input.len() - at);
    match rng.below(12) {
        // There is nothing to change in an empty input.
        _ if input.is_empty() => input.push(rng.next_u64() as u8),
        0 | 1 => input[at] ^= 1 << rng.below(8),
        2 => input[at] = rng.next_u64() as u8,
        10 | 11 => input[at] = byte_like(input[at], seeds, rng),
        3 | 4 => write_number(&mut input[at..], rng),
        5 => input.truncate(at),
        6 => drop(input.drain(at..at + len)),
        7 => {
            let copied = input[at..at + len].to_vec();
            let to = rng.below(input.len() as u64) as usize;
            input.splice(to..to, copied);
        }
        8 => {
            let inserted: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
            input.splice(at..at, inserted);
        }
        _ => {
            let other = any_of(seeds, rng);
            let from = rng.below(other.len() as u64) as usize;
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}

/// A byte of the seeds of the same kind, so that of many mutated texts some are still what they were: a digit for a
/// digit, a letter for a letter.
fn byte_like(byte: u8, seeds: &[Vec<u8>], rng: &mut Rng) -> u8 {
    let kind = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_alphabetic(), byte.is_ascii_punctuation());
    let alike: Vec<u8> =
        any_of(seeds, rng).iter().copied().filter(|other| kind(*other) == kind(byte)).collect();
    alike.get(rng.below(alike.len() as u64) as usize).copied().unwrap_or(byte)
}

/// Writes a number at which things go wrong over the first bytes, in one, two, four or eight of them.
fn write_number(into: &mut [u8], rng: &mut Rng) {
    let number = INTERESTING[rng.below(INTERESTING.len() as u64) as usize];
    let width = (1 << rng.below(4)).min(into.len());
    into[..width].copy_from_slice(&number.to_le_bytes()[..width]);
}

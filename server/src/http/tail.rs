//! The newest events as they were written for one who follows all of them: every other one who asked for the same gets that text,
//! and does not read and write them again.
//!
//! Nobody waits for anybody. Whoever comes first reads from the log and leaves its text here; who finds nothing behind its place, or
//! is further back than what is kept, reads for itself.
//!
//! Invariant: the texts follow each other without a gap, from the place at which the first begins, and take no more than a bound.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use annals::Position;
use bytes::Bytes;

/// The most bytes that are kept of one form: some chunks, so that those who are a little later than the others find theirs.
const BYTES_MAX: usize = 512 << 10;

/// The most texts that are kept of one form. Those of lone events are short.
const TEXTS_MAX: usize = 256;

/// The tails of all forms that somebody asks for. `F` is what makes the texts of two differ.
#[derive(Debug)]
pub(crate) struct Tails<F>(Mutex<HashMap<F, Weak<Tail>>>);

/// The tail of one form, as long as somebody follows in it.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    texts: VecDeque<Text>,
    bytes: usize,
}

/// What was written of the events behind a place.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// Everything up to here lies before it.
    pub(super) after: Position,
    /// Of each event its position, and where what was written of it ends. It has one at least.
    pub(super) ends: Vec<(Position, usize)>,
    pub(super) bytes: Bytes,
    /// The memory that it holds.
    pub(super) capacity: usize,
}

impl Text {
    /// The place of its last event: everything up to here is in it.
    fn to(&self) -> Position {
        self.ends.last().map_or(self.after, |(position, _)| *position)
    }
}

impl<F: Hash + Eq> Tails<F> {
    pub(crate) fn new() -> Tails<F> {
        Tails(Mutex::default())
    }

    /// That of one form.
    pub(super) fn of(&self, form: F) -> Arc<Tail> {
        let mut tails = lock(&self.0);
        tails.retain(|_, tail| tail.strong_count() > 0);
        let known = tails.entry(form).or_default();
        known.upgrade().unwrap_or_else(|| {
            let tail = Arc::default();
            *known = Arc::downgrade(&tail);
            tail
        })
    }
}

impl Tail {
    /// What was written of the events behind a place, and the place of the last of them; none when it was not, or is no longer kept.
    pub(super) fn behind(&self, after: Position) -> Option<(Bytes, Position)> {
        let kept = lock(&self.0);
        let at = kept.texts.partition_point(|text| text.to() <= after);
        let text = kept.texts.get(at).filter(|text| text.after <= after)?;
        let passed = text.ends.partition_point(|(position, _)| *position <= after);
        let begin = passed.checked_sub(1).map_or(0, |last| text.ends[last].1);
        Some((text.bytes.slice(begin..), text.to()))
    }

    /// Keeps a text, unless a part of it is kept already.
    pub(super) fn keep(&self, text: Text) {
        let mut kept = lock(&self.0);
        match kept.texts.back().map(Text::to) {
            Some(end) if text.after < end => return,
            // What lies between is known to nobody here.
            Some(end) if text.after > end => *kept = Kept::default(),
            _ => {}
        }
        kept.bytes += text.capacity;
        kept.texts.push_back(text);
        while kept.bytes > BYTES_MAX || kept.texts.len() > TEXTS_MAX {
            kept.bytes -= kept.texts.pop_front().map_or(kept.bytes, |first| first.capacity);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of lone letters, one an event.
    fn text(after: u64, letters: &str) -> Text {
        let ends = (1..).zip(letters.bytes()).map(|(n, _)| (Position::new(after + n), n as usize)).collect();
        let bytes = Bytes::copy_from_slice(letters.as_bytes());
        Text { after: Position::new(after), ends, capacity: bytes.len(), bytes }
    }

    fn behind(tail: &Tail, after: u64) -> Option<(String, u64)> {
        let (bytes, to) = tail.behind(Position::new(after))?;
        Some((String::from_utf8(bytes.to_vec()).expect("letters"), to.get()))
    }

    fn found(text: &str, to: u64) -> Option<(String, u64)> {
        Some((text.to_owned(), to))
    }

    #[test]
    fn whoever_is_anywhere_within_what_is_kept_gets_what_lies_behind_its_place() {
        let tail = Tail::default();
        tail.keep(text(10, "abc"));
        tail.keep(text(13, "de"));
        assert_eq!(behind(&tail, 9), None, "what lies before it was not kept");
        assert_eq!(behind(&tail, 10), found("abc", 13));
        assert_eq!(behind(&tail, 12), found("c", 13));
        assert_eq!(behind(&tail, 13), found("de", 15));
        assert_eq!(behind(&tail, 15), None, "there is nothing yet");
    }

    #[test]
    fn what_two_have_written_at_once_is_kept_once() {
        let tail = Tail::default();
        tail.keep(text(10, "ab"));
        tail.keep(text(10, "ab"));
        tail.keep(text(11, "bc"));
        assert_eq!(behind(&tail, 10), found("ab", 12));
        assert_eq!(behind(&tail, 12), None);
    }

    #[test]
    fn behind_a_gap_the_tail_begins_anew() {
        let tail = Tail::default();
        tail.keep(text(10, "ab"));
        tail.keep(text(13, "d"));
        assert_eq!((behind(&tail, 10), behind(&tail, 12)), (None, None));
        assert_eq!(behind(&tail, 13), found("d", 14));
    }

    #[test]
    fn what_is_kept_stays_within_its_bounds_and_the_oldest_goes_first() {
        let tail = Tail::default();
        for after in 0..2 * TEXTS_MAX as u64 {
            tail.keep(text(after, "a"));
        }
        let first = TEXTS_MAX as u64;
        assert_eq!((behind(&tail, first - 1), behind(&tail, first)), (None, found("a", first + 1)));
        tail.keep(Text { capacity: BYTES_MAX, ..text(2 * first, "b") });
        assert_eq!(
            (behind(&tail, 2 * first - 1), behind(&tail, 2 * first)),
            (None, found("b", 2 * first + 1))
        );
        tail.keep(Text { capacity: BYTES_MAX + 1, ..text(2 * first + 1, "c") });
        assert_eq!(behind(&tail, 2 * first + 1), None);
        let kept = lock(&tail.0);
        assert_eq!((kept.bytes, kept.texts.len()), (0, 0));
    }

    #[test]
    fn a_form_has_one_tail_and_it_goes_with_the_last_who_follows_in_it() {
        let tails = Tails::new();
        let (one, same, other) = (tails.of(1), tails.of(1), tails.of(2));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        one.keep(text(0, "a"));
        drop((one, same));
        assert_eq!(behind(&tails.of(1), 0), None);
        assert_eq!(lock(&tails.0).len(), 2);
    }
}

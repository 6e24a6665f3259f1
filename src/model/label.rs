//! Labels: the short texts of an event that later find it, taken out of its metadata once, by the writer.

use bytes::Bytes;

/// The longest correlation id, causation id, tenant id or routing key, in bytes.
pub const LABEL_BYTES_MAX: usize = 255;

/// What a label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Label {
    /// A tag, `key:value`.
    Tag = 1,
    /// The id of the conversation that an event belongs to.
    CorrelationId = 2,
    /// The id of the event or command that caused this one.
    CausationId = 3,
    /// Whose event it is, where several tenants share a store.
    TenantId = 4,
    /// The dotted key that topic patterns match.
    RoutingKey = 5,
    /// The key under which the append of an event and those behind it can be repeated. Not of the metadata.
    IdempotencyKey = 6,
    /// Of which trace the append was part. Not of the metadata, and of no account for what the event says.
    Traceparent = 7,
}

impl Label {
    fn from_byte(byte: u8) -> Option<Label> {
        Some(match byte {
            1 => Label::Tag,
            2 => Label::CorrelationId,
            3 => Label::CausationId,
            4 => Label::TenantId,
            5 => Label::RoutingKey,
            6 => Label::IdempotencyKey,
            7 => Label::Traceparent,
            _ => return None,
        })
    }
}

/// The labels of one event, packed as they are stored: kind, length, text; one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Labels(Bytes);

impl Labels {
    /// Packs `labels`. Each text is at most 255 bytes long: `Metadata` has checked that.
    pub(crate) fn pack<'a>(labels: impl IntoIterator<Item = (Label, &'a str)>) -> Labels {
        let mut packed = Vec::new();
        for (label, text) in labels {
            let len = u8::try_from(text.len()).expect("a label has at most LABEL_BYTES_MAX bytes");
            packed.extend_from_slice(&[label as u8, len]);
            packed.extend_from_slice(text.as_bytes());
        }
        Labels(packed.into())
    }

    /// The labels, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Label, &str)> {
        unpack(&self.0)
    }

    /// The packed form.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Walks over packed labels. A kind of a later version is passed over; a cut-off label ends the walk.
pub(crate) fn unpack(mut packed: &[u8]) -> impl Iterator<Item = (Label, &str)> {
    std::iter::from_fn(move || {
        loop {
            let [kind, len, rest @ ..] = packed else { return None };
            let (text, rest) = rest.split_at_checked(usize::from(*len))?;
            packed = rest;
            if let (Some(label), Ok(text)) = (Label::from_byte(*kind), std::str::from_utf8(text)) {
                return Some((label, text));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_labels_come_back_in_order() {
        let labels = [(Label::Tag, "customer:1"), (Label::CorrelationId, "c"), (Label::Tag, "")];
        assert!(unpack(Labels::pack(labels).as_bytes()).eq(labels));
    }

    #[test]
    fn an_unknown_kind_is_passed_over_and_a_cut_label_ends_the_walk() {
        let packed = [&[99, 1, b'x'][..], &[1, 3, b'a', b':', b'b'], &[1, 9, b'c']].concat();
        assert!(unpack(&packed).eq([(Label::Tag, "a:b")]));
    }
}

//! The plan of a query: which terms select its events, so that nothing else has to be looked at.
//!
//! What no term says, such as a prefix within a category, is left to whoever looks at the events: a plan selects every
//! event that matches, and may select others.

use super::term::{RecordTerms, Term, TermHasher};
use crate::model::{Query, QueryItem, StreamName};

/// Terms, any of which will do.
pub(super) type AnyOf = Vec<u128>;

/// Alternatives, each of which is satisfied by an event that has a term of each of its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(super) items: Vec<Vec<AnyOf>>,
}

impl Plan {
    /// The plan for the events that match `query` and, if one is given, lie in `stream`. None when some of them cannot be
    /// found by terms: then every event has to be looked at.
    pub(crate) fn of(query: &Query, stream: Option<&StreamName>, hasher: &TermHasher) -> Option<Plan> {
        let stream = stream.map(|name| vec![hasher.stream(name.as_str().as_bytes())]);
        let plain = [QueryItem::default()];
        let items = if query.items.is_empty() { &plain[..] } else { &query.items[..] };
        let items = items.iter().map(|item| {
            let groups: Vec<AnyOf> = stream.iter().cloned().chain(groups_of(item, hasher)).collect();
            (!groups.is_empty()).then_some(groups)
        });
        items.collect::<Option<_>>().map(|items| Plan { items })
    }
}

impl Plan {
    /// Terms, at least one of which every event has that it selects: of each alternative the group with the fewest.
    pub(crate) fn cover(&self) -> Vec<u128> {
        let smallest = |groups: &'_ Vec<AnyOf>| groups.iter().min_by_key(|group| group.len()).cloned();
        let mut cover: Vec<u128> = self.items.iter().filter_map(smallest).flatten().collect();
        cover.sort_unstable();
        cover.dedup();
        cover
    }

    /// Whether it selects an event with these terms.
    pub(crate) fn selects(&self, terms: &RecordTerms) -> bool {
        let has = |hash: &u128| terms.stream == *hash || terms.others().any(|other| other == *hash);
        self.items.iter().any(|groups| groups.iter().all(|group| group.iter().any(has)))
    }
}

/// The groups of terms that an item wants.
fn groups_of(item: &QueryItem, hasher: &TermHasher) -> Vec<AnyOf> {
    let any_of = |term: Term, texts: &[String]| -> Option<AnyOf> {
        (!texts.is_empty()).then(|| texts.iter().map(|text| hasher.hash(term, text.as_bytes())).collect())
    };
    let one = |term: Term, text: &str| vec![hasher.hash(term, text.as_bytes())];
    // Those first that few events tend to have.
    let mut groups: Vec<AnyOf> = any_of(Term::Stream, &item.streams).into_iter().collect();
    groups.extend(item.correlation_id.as_deref().map(|id| one(Term::CorrelationId, id)));
    groups.extend(item.tags.iter().map(|tag| one(Term::Tag, tag)));
    groups.extend(any_of(Term::Type, &item.types));
    groups.extend(any_of(Term::Category, &item.categories));
    groups.extend(item.tenant_id.as_deref().map(|id| one(Term::TenantId, id)));
    // A prefix that reaches beyond the first dash holds the whole category.
    let category = item.prefix.as_deref().and_then(|prefix| prefix.split_once('-'));
    groups.extend(category.map(|(category, _)| one(Term::Category, category)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(item: QueryItem) -> Option<Plan> {
        Plan::of(&Query::from(item), None, &TermHasher::new(&[7; 16]))
    }

    #[test]
    fn what_has_no_term_leaves_every_event_to_be_looked_at() {
        assert_eq!(plan(QueryItem::default()), None);
        assert_eq!(plan(QueryItem { prefix: Some("ord".to_owned()), ..QueryItem::default() }), None);
        let items =
            vec![QueryItem { types: vec!["t".to_owned()], ..QueryItem::default() }, QueryItem::default()];
        assert_eq!(Plan::of(&Query { items }, None, &TermHasher::new(&[7; 16])), None);
        assert_eq!(Plan::of(&Query::all(), None, &TermHasher::new(&[7; 16])), None);
    }

    #[test]
    fn each_part_of_an_item_is_a_group() {
        let item = QueryItem {
            types: vec!["a".to_owned(), "b".to_owned()],
            tags: vec!["k:v".to_owned(), "l:w".to_owned()],
            prefix: Some("order-1".to_owned()),
            ..QueryItem::default()
        };
        let groups: Vec<usize> =
            plan(item).expect("has terms").items[0].iter().map(|group| group.len()).collect();
        assert_eq!(groups, [1, 1, 2, 1], "two tags, any of two types, and the category");
    }

    #[test]
    fn the_cover_takes_the_smallest_group_of_each_item() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let hasher = TermHasher::new(&[7; 16]);
        let items = vec![
            QueryItem { types: texts(&["a", "b"]), tags: texts(&["k:v"]), ..QueryItem::default() },
            QueryItem { types: texts(&["c"]), categories: texts(&["d"]), ..QueryItem::default() },
            QueryItem { tags: texts(&["k:v", "l:w"]), ..QueryItem::default() },
        ];
        let cover = Plan::of(&Query { items }, None, &hasher).expect("each has terms").cover();
        let mut wanted = vec![hasher.hash(Term::Tag, b"k:v"), hasher.hash(Term::Type, b"c")];
        wanted.sort_unstable();
        assert_eq!(cover, wanted);
    }

    #[test]
    fn a_stream_is_wanted_by_every_alternative() {
        let stream = StreamName::parse("order-1").expect("legal");
        let hasher = TermHasher::new(&[7; 16]);
        let query = Query { items: vec![QueryItem::default(); 2] };
        let plan = Plan::of(&query, Some(&stream), &hasher).expect("the stream is a term");
        assert_eq!(plan.items, vec![vec![vec![hasher.stream(b"order-1")]]; 2]);
    }
}

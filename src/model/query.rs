//! The query: the one filter of reads and subscriptions.

use super::RecordedEvent;
use super::criterion::Criterion;
use super::label::Label;
use super::name::category_of;

/// Which events are wanted: those that match any of its items. A query without items matches every event.
///
/// ```
/// use annals::{Query, QueryItem};
///
/// let query = Query::from(QueryItem { types: vec!["order.created".into()], ..QueryItem::default() });
/// assert!(!query.matches_all());
/// assert!(Query::all().matches_all());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The items, OR-ed.
    pub items: Vec<QueryItem>,
}

/// One alternative of a query: an event must satisfy each part that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryItem {
    /// Its type is one of these.
    pub types: Vec<String>,
    /// It carries all of these tags.
    pub tags: Vec<String>,
    /// Its stream is one of these.
    pub streams: Vec<String>,
    /// Its stream's name begins with this.
    pub prefix: Option<String>,
    /// Its stream's category is one of these.
    pub categories: Vec<String>,
    /// It belongs to this conversation.
    pub correlation_id: Option<String>,
    /// It belongs to this tenant.
    pub tenant_id: Option<String>,
    /// It satisfies all of these. A condition of an append cannot have them.
    pub criteria: Vec<Criterion>,
}

impl Query {
    /// The query that matches every event.
    pub fn all() -> Query {
        Query::default()
    }

    /// Whether it matches every event.
    pub fn matches_all(&self) -> bool {
        self.items.is_empty() || self.items.iter().any(|item| *item == QueryItem::default())
    }

    /// Whether it matches `event`.
    pub fn matches(&self, event: &RecordedEvent) -> bool {
        self.items.is_empty() || self.items.iter().any(|item| item.matches(event))
    }
}

impl From<QueryItem> for Query {
    fn from(item: QueryItem) -> Query {
        Query { items: vec![item] }
    }
}

impl QueryItem {
    /// What it asks for that no event can have: the name of its field, and what is wrong. A condition of such an item would
    /// never hold anybody back.
    pub fn impossible(&self) -> Option<(&'static str, String)> {
        // A category can be empty: that of streams whose names begin with a hyphen.
        let lists = [("types", &self.types), ("tags", &self.tags), ("streams", &self.streams)];
        if let Some((name, _)) = lists.iter().find(|(_, names)| names.iter().any(String::is_empty)) {
            return Some((name, "has an empty name; leave it out".to_owned()));
        }
        let is_tag = |tag: &str| {
            let pair = tag.split_once(':').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty());
            pair && !tag.chars().any(char::is_control)
        };
        let tag = self.tags.iter().find(|tag| !is_tag(tag))?;
        Some(("tags", format!("{tag:?} is no tag; one is written key:value")))
    }

    fn matches(&self, event: &RecordedEvent) -> bool {
        let stream = event.stream();
        is_one_of(&self.types, event.event_type())
            && is_one_of(&self.streams, stream)
            && is_one_of(&self.categories, category_of(stream))
            && self.prefix.as_deref().is_none_or(|prefix| stream.starts_with(prefix))
            && is_given(&self.correlation_id, event, Label::CorrelationId)
            && is_given(&self.tenant_id, event, Label::TenantId)
            && self.tags.iter().all(|tag| event.tags().any(|carried| carried == tag))
            && self.criteria.iter().all(|criterion| criterion.matches(event))
    }
}

fn is_one_of(wanted: &[String], found: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| one == found)
}

fn is_given(wanted: &Option<String>, event: &RecordedEvent, label: Label) -> bool {
    wanted.as_deref().is_none_or(|wanted| event.label(label) == Some(wanted))
}

//! Parameters as a query and as a read: the same names wherever events are asked for.

use annals::{Criterion, Direction, Position, Query, QueryItem, Read, StreamName, StreamVersion};

use super::{Params, WireError};

/// The parameters that say which events are wanted.
pub(crate) const QUERY_PARAMS: &[&str] =
    &["types", "tags", "streams", "prefix", "categories", "correlationId", "tenantId"];

/// The parameters that bound a read of all events.
pub(crate) const EVENT_PARAMS: &[&str] =
    &["after", "before", "since", "until", "direction", "limit", "system", "history", "cloudEvents"];

/// The parameters of those who follow events.
pub(crate) const LIVE_PARAMS: &[&str] = &["after", "live", "envelope", "named", "system", "history"];

/// The parameters that only a read of one stream has.
pub(crate) const STREAM_PARAMS: &[&str] = &["from", "to"];

/// The parameters as a query of one item; without any, the query that matches all.
pub(crate) fn parse_query(params: &Params) -> Result<Query, WireError> {
    let text = |name| params.one(name).map(|value| value.map(str::to_owned));
    let item = QueryItem {
        types: params.list("types")?,
        tags: params.list("tags")?,
        streams: params.list("streams")?,
        prefix: text("prefix")?,
        categories: params.list("categories")?,
        correlation_id: text("correlationId")?,
        tenant_id: text("tenantId")?,
        criteria: params.criteria().map(|(key, value)| Criterion { key, value }).collect(),
    };
    check_item(&item)?;
    Ok(if item == QueryItem::default() { Query::all() } else { item.into() })
}

/// Refuses what no event can match: a condition with it would never hold anybody back.
pub(super) fn check_item(item: &QueryItem) -> Result<(), WireError> {
    item.impossible().map_or(Ok(()), |(field, what)| Err(WireError::field(field, what)))
}

/// The parameters as a read of `stream`, or of all events. `head` tells what `after=head` means.
pub(crate) fn parse_read(
    params: &Params,
    stream: Option<StreamName>,
    head: impl Fn() -> Position,
) -> Result<Read, WireError> {
    let mut read = match stream {
        Some(stream) => {
            // It changes nothing here, and is refused like everywhere when it is neither true nor false.
            params.flag("system")?;
            Read::stream(stream)
        }
        None => Read::all().system(params.flag("system")?),
    };
    if let Some(version) = params.number("from")? {
        read = read.from(StreamVersion::new(version));
    }
    if let Some(version) = params.number("to")? {
        read = read.to(StreamVersion::new(version));
    }
    if let Some(position) = parse_after(params, head)? {
        read = read.after(position);
    }
    if let Some(position) = params.number("before")? {
        read = read.before(Position::new(position));
    }
    if let Some(time) = params.time("since")? {
        read = read.since(time);
    }
    if let Some(time) = params.time("until")? {
        read = read.until(time);
    }
    if let Some(count) = params.number("limit")? {
        read = read.limit(count);
    }
    Ok(read.direction(parse_direction(params)?).query(parse_query(params)?))
}

/// `after`: a position, or `head` for what only comes. A cursor that ran ahead of the store is another store's, and would
/// pass over what comes next.
pub(crate) fn parse_after(
    params: &Params,
    head: impl Fn() -> Position,
) -> Result<Option<Position>, WireError> {
    if params.one("after")? == Some("head") {
        return Ok(Some(head()));
    }
    let Ok(position) = params.number("after") else {
        return Err(WireError::field("after", "is neither a position nor `head`"));
    };
    let position = position.map(Position::new);
    let head = head();
    if position.is_some_and(|position| position > head) {
        let what = format!(
            "lies beyond the last position, {head}: it is of another store or another history; begin again from 0"
        );
        return Err(WireError::field("after", what));
    }
    Ok(position)
}

/// `direction`: forward when it is not given.
pub(crate) fn parse_direction(params: &Params) -> Result<Direction, WireError> {
    match params.one("direction")? {
        None | Some("forward") => Ok(Direction::Forward),
        Some("backward") => Ok(Direction::Backward),
        Some(_) => Err(WireError::field("direction", "is neither forward nor backward")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query, &[QUERY_PARAMS, EVENT_PARAMS, STREAM_PARAMS]).expect("known parameters")
    }

    #[test]
    fn every_parameter_of_the_query_reaches_its_part_of_the_item() {
        let given = params("types=a,b&tags=k:v&streams=s&prefix=p&categories=c&correlationId=x&tenantId=t");
        let item = QueryItem {
            types: vec!["a".into(), "b".into()],
            tags: vec!["k:v".into()],
            streams: vec!["s".into()],
            prefix: Some("p".into()),
            categories: vec!["c".into()],
            correlation_id: Some("x".into()),
            tenant_id: Some("t".into()),
            criteria: Vec::new(),
        };
        assert_eq!(parse_query(&given), Ok(item.into()));
    }

    #[test]
    fn every_other_parameter_is_a_criterion() {
        let given = Params::parse_with_criteria("customer=c%201&match.type=a", &[QUERY_PARAMS], &[])
            .expect("criteria");
        let criterion = |key: &str, value: &str| Criterion { key: key.into(), value: value.into() };
        let criteria = vec![criterion("customer", "c 1"), criterion("type", "a")];
        assert_eq!(parse_query(&given), Ok(QueryItem { criteria, ..QueryItem::default() }.into()));
    }

    #[test]
    fn without_parameters_everything_is_wanted() {
        assert_eq!(parse_query(&params("limit=5")), Ok(Query::all()));
    }

    #[test]
    fn after_head_is_the_position_of_the_head() {
        let head = || Position::new(7);
        assert_eq!(parse_after(&params("after=head"), head), Ok(Some(Position::new(7))));
        assert_eq!(parse_after(&params("after=3"), head), Ok(Some(Position::new(3))));
        assert_eq!(parse_after(&params(""), head), Ok(None));
        assert!(parse_after(&params("after=tail"), head).is_err());
    }

    #[test]
    fn a_cursor_that_ran_ahead_is_refused_instead_of_waiting_for_the_store_to_come_there() {
        let head = || Position::new(7);
        assert_eq!(parse_after(&params("after=7"), head), Ok(Some(Position::new(7))));
        let refused = parse_after(&params("after=8"), head).expect_err("lies beyond");
        assert_eq!(refused.field.as_deref(), Some("after"));
    }

    #[test]
    fn a_tag_that_no_event_can_have_is_refused() {
        for tags in ["plain", ":x", "x:", "a:b,plain"] {
            let refused = parse_query(&params(&format!("tags={tags}"))).expect_err(tags);
            assert_eq!(refused.field.as_deref(), Some("tags"), "{tags}");
        }
        assert!(parse_query(&params("tags=a:b:c")).is_ok());
    }

    #[test]
    fn a_direction_is_forward_or_backward() {
        assert_eq!(parse_direction(&params("")), Ok(Direction::Forward));
        assert_eq!(parse_direction(&params("direction=backward")), Ok(Direction::Backward));
        assert!(parse_direction(&params("direction=up")).is_err());
    }

    #[test]
    fn every_bound_is_read_or_refused_by_name() {
        for name in ["from", "to", "before", "since", "until", "limit", "direction", "system"] {
            let error = parse_read(&params(&format!("{name}=x")), None, Position::default).expect_err(name);
            assert_eq!(error.field.as_deref(), Some(name));
        }
    }
}

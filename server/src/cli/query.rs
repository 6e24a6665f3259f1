//! The flags that say which events are wanted: the query of the library and of HTTP, on the command line.

use annals::Position;

use crate::wire::Params;

/// Which events: all that satisfy each flag given. Commas separate the values of a flag;
/// a flag that is repeated takes each value as it is, commas included.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct QueryArgs {
    /// Only events of one of these types
    #[arg(long, value_name = "TYPE")]
    types: Vec<String>,
    /// Only events that carry all of these tags, each KEY:VALUE
    #[arg(long, value_name = "TAG")]
    tags: Vec<String>,
    /// Only events of these streams
    #[arg(long, value_name = "STREAM")]
    streams: Vec<String>,
    /// Only events of streams whose name begins with this
    #[arg(long)]
    prefix: Option<String>,
    /// Only events of streams of these categories: the part of a name before its first `-`
    #[arg(long, value_name = "CATEGORY")]
    categories: Vec<String>,
    /// Only events of this conversation
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Only events of this tenant
    #[arg(long, value_name = "ID")]
    tenant_id: Option<String>,
    /// Only events with the tag KEY:VALUE, or with this field in their metadata; may be repeated
    #[arg(long = "match", value_name = "KEY=VALUE", value_parser = criterion)]
    criteria: Vec<(String, String)>,
}

fn criterion(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a criterion is written KEY=VALUE"),
    }
}

impl QueryArgs {
    /// The flags as parameters, which a directory and a server read alike.
    pub(crate) fn params(&self) -> Params {
        let lists = [
            ("types", &self.types),
            ("tags", &self.tags),
            ("streams", &self.streams),
            ("categories", &self.categories),
        ];
        let texts = [
            ("prefix", &self.prefix),
            ("correlationId", &self.correlation_id),
            ("tenantId", &self.tenant_id),
        ];
        let lists =
            lists.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        let params =
            lists.chain(texts).fold(Params::default(), |params, (name, value)| params.with(name, value));
        self.criteria.iter().fold(params, |params, (key, value)| params.with_criterion(key, value))
    }
}

/// Where to start: after a position, or with what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// With the event after this position.
    Position(Position),
    /// With the first event that is appended from now on.
    Head,
}

impl After {
    /// The value of the parameter `after` of a URL.
    pub(crate) fn param(self) -> String {
        match self {
            After::Position(position) => position.to_string(),
            After::Head => "head".to_owned(),
        }
    }
}

impl std::str::FromStr for After {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<After, &'static str> {
        match text {
            "head" => Ok(After::Head),
            number => match number.parse() {
                Ok(position) => Ok(After::Position(Position::new(position))),
                Err(_) => Err("a place to start after is a position, a number from 0, or `head`"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use annals::{Query, QueryItem};

    use super::*;
    use crate::wire::parse_query;

    #[test]
    fn a_single_flag_is_split_at_commas_and_a_repeated_one_is_not() {
        let types = |values: &[&str]| {
            let types = values.iter().map(|value| (*value).to_owned()).collect();
            parse_query(&QueryArgs { types, ..QueryArgs::default() }.params())
        };
        let wanted = |types: &[&str]| {
            let types = types.iter().map(|one| (*one).to_owned()).collect();
            Ok(Query::from(QueryItem { types, ..QueryItem::default() }))
        };
        assert_eq!(types(&["a,b"]), wanted(&["a", "b"]));
        assert_eq!(types(&["a,b", "c"]), wanted(&["a,b", "c"]));
        assert_eq!(types(&[]), Ok(Query::all()));
    }

    #[test]
    fn a_place_to_start_is_a_number_or_the_head() {
        assert_eq!("7".parse(), Ok(After::Position(Position::new(7))));
        assert_eq!("head".parse(), Ok(After::Head));
        assert!("-1".parse::<After>().is_err());
    }
}

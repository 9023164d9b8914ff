//! Parameters and responses that several operations share.

use causeway_domain::names::MessageId;
use causeway_store::timelines::{Anchor, AnchorPoint};
use poem_openapi::ApiResponse;
use poem_openapi::param::Query;
use poem_openapi::types::Type;
use serde::Serialize;

use crate::bodies::Reply;
use crate::context::unknown_message;
use crate::problem::Problem;

/// `at_least`: a cursor or mark that the answering replica must hold first.
pub type AtLeast = Query<Option<String>>;

/// Returns the text of an optional cursor or mark. An empty one is none: clients that have none
/// yet send it so.
pub fn text(parameter: &Query<Option<String>>) -> Option<&str> {
    // Not `text.is_empty()`, which is that of `Type` here, and never true.
    parameter.0.as_deref().filter(|text| !str::is_empty(text))
}

/// Returns a number within bounds, or its default.
pub fn bounded(
    name: &str,
    value: Option<i64>,
    default: i64,
    bounds: std::ops::RangeInclusive<i64>,
) -> Result<i64, Problem> {
    let number = value.unwrap_or(default);
    if bounds.contains(&number) {
        return Ok(number);
    }
    let (first, last) = (bounds.start(), bounds.end());
    Err(Problem::invalid(name, format!("must be {first} to {last}")))
}

/// Returns the size of a page.
pub fn page_size(value: Option<i64>) -> Result<i64, Problem> {
    bounded("limit", value, 50, 1..=500)
}

/// Returns where a page of the history starts or ends: at most one of the three is given.
pub fn anchor(
    before: Option<String>,
    after: Option<String>,
    around: Option<String>,
) -> Result<Anchor, Problem> {
    let places = [("before", &before), ("after", &after), ("around", &around)];
    for (name, place) in places {
        if place.as_deref() == Some("") {
            return Err(Problem::invalid(name, EMPTY_PLACE));
        }
    }
    match (before, after, around) {
        (None, None, None) => Ok(Anchor::Newest),
        (Some(place), None, None) => Ok(Anchor::Before(AnchorPoint::read(&place))),
        (None, Some(place), None) => Ok(Anchor::After(AnchorPoint::read(&place))),
        (None, None, Some(place)) => Ok(Anchor::Around(AnchorPoint::read(&place))),
        (_, Some(_), _) => Err(Problem::invalid("after", ONE_PLACE)),
        (_, _, _) => Err(Problem::invalid("around", ONE_PLACE)),
    }
}

const EMPTY_PLACE: &str = "must be the id or the `position` of a message, not empty";
const ONE_PLACE: &str = "give one of `before`, `after` and `around`, not several";

/// Parses the id of a message; a text that cannot be one is an unknown message.
pub fn message_id(text: &str) -> Result<MessageId, Problem> {
    if text.is_empty() || text.len() > 128 || text.contains('\0') {
        return Err(unknown_message());
    }
    Ok(MessageId(text.to_owned()))
}

/// The response to a write.
#[derive(ApiResponse)]
pub enum Written<T: Type + Serialize + Send> {
    /// Done, durably, on this replica.
    #[oai(status = 200)]
    Done(
        Reply<T>,
        /// The mark of this write: send it as `at_least` or `seen` of later calls, to any replica.
        #[oai(header = "Causeway-Mark")]
        String,
    ),
}

/// The response without a body to a write.
#[derive(ApiResponse)]
pub enum Gone {
    /// Done, durably, on this replica.
    #[oai(status = 204)]
    Done(
        /// The mark of this write: send it as `at_least` or `seen` of later calls, to any replica.
        #[oai(header = "Causeway-Mark")]
        String,
    ),
}

//! The body of a request, as handlers receive it.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::de::DeserializeOwned;

use super::json;
use crate::problem::Problem;

/// A JSON object, parsed by serde alone, because poem-openapi's own parser accepts a number as text
/// and ignores unknown fields. `T` derives `Deserialize` with `deny_unknown_fields`, and `Object`
/// for the document.
///
/// The edge has received the bytes, within bounds, before a handler is called.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<'a, T: DeserializeOwned + Type> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: "application/json",
                schema: T::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        if !request.content_type().is_some_and(is_json) {
            return Err(Problem::UnsupportedMediaType.into());
        }
        let bytes = body.take()?.into_bytes().await?;
        Ok(Self(json::parse(&bytes)?))
    }
}

/// Whether a `Content-Type` is JSON, with or without parameters such as a character set.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_with_and_without_parameters() {
        assert!(is_json("application/json"));
        assert!(is_json("Application/JSON ; charset=utf-8"));
        assert!(!is_json("application/jsonp"));
        assert!(!is_json("text/plain"));
        assert!(!is_json(""));
    }
}

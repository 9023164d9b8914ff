//! Requests that poem rejects by itself, as a [`Problem`].

use poem::http::StatusCode;
use poem_openapi::error::{ParseParamError, ParsePathError};

use super::Problem;

impl Problem {
    /// Returns the problem inside an error of the framework, or the equivalent one.
    pub fn from_framework(error: poem::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        if let Some(refused) = error.downcast_ref::<ParseParamError>() {
            return Self::invalid(refused.name, reason(&refused.reason));
        }
        if let Some(refused) = error.downcast_ref::<ParsePathError>() {
            return Self::invalid("path", reason(&refused.reason));
        }
        Self::from_status(error.status(), &error.to_string())
    }

    /// Returns the problem for a bare status, such as the framework returns without a reason; `cause`
    /// goes to the log where the failure is ours.
    pub fn from_status(status: StatusCode, cause: &str) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthenticated {
                why: "Log in, and send the token as `Authorization: Bearer <token>`.",
            },
            StatusCode::NOT_FOUND => Self::not_found("such address"),
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed {
                allow: String::new(),
            },
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { retry_after_s: 1 },
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(cause),
            StatusCode::UNPROCESSABLE_ENTITY => Self::invalid("request", "cannot be taken"),
            status if status.is_client_error() => Self::Malformed {
                why: "The request cannot be understood.".into(),
            },
            status => Self::internal(format!("{status}: {cause}")),
        }
    }
}

/// Returns poem-openapi's reason in plain words, without the names of its types.
fn reason(text: &str) -> String {
    let text = text
        .split(" (occurred while parsing")
        .next()
        .unwrap_or(text)
        .trim_end_matches('.');
    if let Some(check) = text.strip_prefix("verification failed. ") {
        return validator(check);
    }
    if text.ends_with("expects an input value") {
        return "is missing".into();
    }
    let parsed = text.strip_prefix("failed to parse \"");
    match parsed.and_then(|rest| rest.split_once("\": ")) {
        Some((kind, why)) if kind.starts_with("integer") => not_a_number(kind, why),
        Some(("boolean", _)) => "must be `true` or `false`".into(),
        Some((_, why)) => why.into(),
        None => text.into(),
    }
}

fn not_a_number(kind: &str, why: &str) -> String {
    let is_unsigned = kind.contains("uint");
    match why {
        "number too large to fit in target type" => "is too large",
        "number too small to fit in target type" => "is too small",
        _ if is_unsigned => "must be a whole number, 0 or more",
        _ => "must be a whole number",
    }
    .into()
}

/// `maximum(500, exclusive: false)` → `must be at most 500`.
fn validator(check: &str) -> String {
    let (name, arguments) = check.split_once('(').unwrap_or((check, ""));
    let number = arguments.split([',', ')']).next().unwrap_or_default();
    match name {
        "maximum" => format!("must be at most {number}"),
        "minimum" => format!("must be at least {number}"),
        "maxLength" => format!("may have at most {number} characters"),
        "minLength" => format!("must have at least {number} characters"),
        "pattern" => format!(
            "must match {}",
            arguments.strip_suffix(')').unwrap_or(arguments)
        ),
        _ => format!("must keep {check}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_given_in_plain_words() {
        assert_eq!(
            reason("verification failed. maximum(500, exclusive: false)"),
            "must be at most 500"
        );
        assert_eq!(
            reason(
                "failed to parse \"integer(uint32)\": invalid digit found in string \
                 (occurred while parsing \"optional_integer(uint32)\")"
            ),
            "must be a whole number, 0 or more"
        );
        assert_eq!(
            reason(
                "failed to parse \"boolean\": provided string was not `true` or `false` \
                 (occurred while parsing \"optional_boolean\")"
            ),
            "must be `true` or `false`"
        );
        assert_eq!(
            reason("Type \"string\" expects an input value."),
            "is missing"
        );
    }
}

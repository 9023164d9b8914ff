//! Operations: parameters with bounds and examples, answers with their headers, and refusals
//! described once for all.

use serde_yaml::Value;

use super::{entries, entries_mut, lay_over, mapping, reference};
use crate::problem::{ProblemBody, examples};

const REQUEST_ID: &str = "X-Request-Id";
/// What every answer to a limited call has.
const RATE_LIMIT: [&str; 2] = ["RateLimit-Policy", "RateLimit"];
const UNBUFFERED: &str = "X-Accel-Buffering";

/// The name of the answer for each status of a refusal.
const REFUSALS: [(&str, &str); 15] = [
    ("400", "Malformed"),
    ("401", "Unauthenticated"),
    ("403", "Forbidden"),
    ("404", "NotFound"),
    ("405", "MethodNotAllowed"),
    ("409", "Conflict"),
    ("413", "TooLarge"),
    ("414", "UriTooLong"),
    ("415", "UnsupportedMediaType"),
    ("422", "Invalid"),
    ("429", "RateLimited"),
    ("431", "HeadTooLarge"),
    ("500", "Internal"),
    ("503", "Unavailable"),
    ("507", "DiskFull"),
];

/// Finishes every operation, and adds the components that they share.
pub(super) fn finish(document: &mut Value, overlay: &Value) {
    let mut responses = Value::Null;
    for (_, path) in entries_mut(&mut document["paths"]) {
        for (_, operation) in entries_mut(path) {
            finish_one(operation, overlay, &mut responses);
        }
    }
    document["components"]["responses"] = responses;
    document["components"]["headers"] = headers(overlay);
}

fn finish_one(operation: &mut Value, overlay: &Value, shared: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default();
    let own = overlay["operations"][id].clone();
    let parameters = operation["parameters"].as_sequence_mut();
    for parameter in parameters.into_iter().flatten() {
        finish_parameter(parameter, &overlay["parameters"], &own["parameters"]);
    }
    if let Some(parameters) = operation["parameters"].as_sequence_mut() {
        parameters.push(overlay["request_id"].clone());
    }
    for key in ["description", "security"] {
        if let Some(value) = own.get(key) {
            operation[key] = value.clone();
        }
    }
    if let Some(body) = own.get("body") {
        operation["requestBody"]["content"]["application/json"]["example"] = body.clone();
    }
    let may_be_refused = |status: &str| may_refuse(status, operation, &own);
    let refused: Vec<&str> = REFUSALS
        .iter()
        .map(|(status, _)| *status)
        .filter(|status| !may_be_refused(status))
        .collect();
    let responses = operation["responses"].as_mapping_mut();
    if let Some(responses) = responses {
        for status in refused {
            responses.shift_remove(status);
        }
    }
    for (status, response) in entries_mut(&mut operation["responses"]) {
        let named = REFUSALS.iter().find(|(of, _)| *of == status);
        finish_response(response);
        let content = response.get_mut("content");
        if let Some(stream) = content.and_then(|of| of.get_mut("text/event-stream")) {
            stream["schema"] = reference("schemas", "Frame");
            response["headers"][UNBUFFERED] = reference("headers", UNBUFFERED);
        }
        if let Some((status, name)) = named {
            let mut whole = std::mem::replace(response, reference("responses", name));
            whole["content"][ProblemBody::CONTENT_TYPE]["examples"] = examples_of(status);
            shared[*name] = whole;
        }
    }
}

/// Whether an operation may be refused so: what every one is refused with, what its kind is, and
/// what the overlay says of it.
fn may_refuse(status: &str, operation: &Value, own: &Value) -> bool {
    match status {
        "401" => operation["security"]
            .as_sequence()
            .is_some_and(|of| !of.is_empty()),
        "400" | "413" | "415" => operation.get("requestBody").is_some(),
        "403" | "404" | "409" | "507" => {
            let named = own["refusals"].as_sequence().into_iter().flatten();
            named
                .filter_map(Value::as_u64)
                .any(|of| of.to_string() == status)
        }
        _ => true,
    }
}

fn finish_parameter(parameter: &mut Value, common: &Value, own: &Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    for overlay in [common, own] {
        if let Some(overlay) = overlay.get(&name) {
            lay_over(parameter, overlay);
        }
    }
    if let Some(parameter) = parameter.as_mapping_mut() {
        // As they are where nothing is said.
        parameter.shift_remove("deprecated");
        parameter.shift_remove("explode");
    }
}

fn finish_response(response: &mut Value) {
    let mut headers = vec![REQUEST_ID];
    headers.extend(RATE_LIMIT);
    for (given, _) in entries(&response["headers"]) {
        headers.extend(
            SHARED
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(given))
                .map(|it| it.0),
        );
    }
    let headers = headers
        .into_iter()
        .map(|name| (name, reference("headers", name)));
    response["headers"] = mapping(headers);
}

/// Every header of an answer.
const SHARED: [(&str, &str); 8] = [
    ("Allow", "The methods of this address, with commas."),
    (
        "Causeway-Mark",
        "What was written, as `at_least` or `seen` of later calls, here or elsewhere.",
    ),
    (
        "Retry-After",
        "Seconds to wait before the same request is sent again.",
    ),
    ("WWW-Authenticate", "Always `Bearer`."),
    (
        RATE_LIMIT[0],
        "Where the server limits such calls: the limits, as structured fields. `q` calls in `w` \
         seconds.",
    ),
    (
        RATE_LIMIT[1],
        "Where the server limits such calls: how the caller stands. `r` calls are left, and in `t` \
         seconds the whole quota is there again.",
    ),
    (
        UNBUFFERED,
        "Always `no`: a proxy such as nginx passes on each frame as it comes.",
    ),
    (
        REQUEST_ID,
        "The id of this request, by which the server's log has it: the caller's own, where the \
         request carried one, else one that was drawn.",
    ),
];

fn headers(overlay: &Value) -> Value {
    let header = |(name, description): (&'static str, &str)| {
        let schema = match name {
            "Retry-After" => mapping([
                ("type", "integer".into()),
                ("format", "int32".into()),
                ("minimum", 0.into()),
            ]),
            _ => mapping([("type", "string".into())]),
        };
        let header = mapping([
            ("description", description.into()),
            ("required", (!RATE_LIMIT.contains(&name)).into()),
            ("schema", schema),
            ("example", overlay["headers"][name].clone()),
        ]);
        (name, header)
    };
    mapping(SHARED.map(header))
}

fn examples_of(status: &str) -> Value {
    let of_status = examples().filter(|(of, _, _)| of.to_string() == status);
    let example = |(_, code, body): (u16, &'static str, ProblemBody)| {
        let value = serde_yaml::to_value(body).expect("six plain fields are always YAML");
        (code, mapping([("value", value)]))
    };
    mapping(of_status.map(example))
}

//! The addresses of the application, taken from the generated API document: for 404, 405 with `Allow`,
//! which operations need a token, and which parameters they know.

use std::collections::BTreeMap;

use poem::http::Method;
use serde_json::Value;

use crate::problem::Problem;

/// Every address of the application with its operations.
#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<Route>);

#[derive(Debug)]
struct Route {
    segments: Vec<Segment>,
    operations: BTreeMap<String, Operation>,
}

// In this order, so that a fixed segment wins over a parameter.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Fixed(String),
    Parameter,
}

/// What the edge needs to know of one method at one address.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    /// Whether it requires a token.
    pub(crate) needs_token: bool,
    /// Whether it has a body.
    pub(crate) takes_body: bool,
    /// The query parameters it knows; `None` where any are accepted.
    pub(crate) query: Option<Vec<String>>,
    /// The headers it reads.
    pub(crate) headers: Vec<String>,
}

impl Routes {
    /// Returns the operations of an API document.
    pub(crate) fn of_document(document: &str) -> Self {
        let document: Value =
            serde_json::from_str(document).expect("the framework writes its document as JSON");
        let mut routes = Self::default();
        for (template, methods) in members(&document["paths"]) {
            for (method, operation) in members(methods) {
                routes.add(template, method, Operation::of_document(operation));
            }
        }
        routes
    }

    /// Adds an operation outside the document.
    pub(crate) fn add(&mut self, template: &str, method: &str, operation: Operation) {
        let segments: Vec<Segment> = split(template).map(Segment::of_template).collect();
        let method = method.to_ascii_uppercase();
        let index = match self
            .0
            .binary_search_by(|route| route.segments.cmp(&segments))
        {
            Ok(index) => index,
            Err(index) => {
                let operations = BTreeMap::new();
                self.0.insert(
                    index,
                    Route {
                        segments,
                        operations,
                    },
                );
                index
            }
        };
        self.0[index].operations.insert(method, operation);
    }

    /// Returns the operation for a method and path.
    ///
    /// # Errors
    ///
    /// No such address, or no such method there.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<&Operation, Problem> {
        let route = self
            .0
            .iter()
            .find(|route| route.matches(path))
            .ok_or_else(|| Problem::not_found("such address"))?;
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        route
            .operations
            .get(method.as_str())
            .ok_or_else(|| Problem::MethodNotAllowed {
                allow: route.allow(),
            })
    }
}

impl Route {
    fn matches(&self, path: &str) -> bool {
        let mut segments = split(path);
        self.segments
            .iter()
            .all(|segment| segments.next().is_some_and(|text| segment.matches(text)))
            && segments.next().is_none()
    }

    fn allow(&self) -> String {
        let mut methods: Vec<&str> = self.operations.keys().map(String::as_str).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.join(", ")
    }
}

impl Segment {
    fn of_template(text: &str) -> Self {
        if text.starts_with('{') {
            Self::Parameter
        } else {
            Self::Fixed(text.into())
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Fixed(fixed) => fixed == text,
            Self::Parameter => !text.is_empty(),
        }
    }
}

impl Operation {
    fn of_document(operation: &Value) -> Self {
        let named = |location: &str| {
            let parameters = operation["parameters"].as_array();
            parameters
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == location)
                .filter_map(|parameter| parameter["name"].as_str().map(String::from))
                .collect()
        };
        Self {
            needs_token: operation["security"]
                .as_array()
                .is_some_and(|schemes| !schemes.is_empty()),
            takes_body: operation["requestBody"].is_object(),
            query: Some(named("query")),
            headers: named("header"),
        }
    }
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_segment_wins_over_a_parameter() {
        let routes = routes();

        let current = routes.find(&Method::GET, "/v1/groups/current").unwrap();
        let named = routes.find(&Method::GET, "/v1/groups/lobby").unwrap();

        assert!(current.needs_token && !named.needs_token);
    }

    #[test]
    fn a_wrong_method_is_answered_with_the_right_ones() {
        let routes = routes();

        let refused = routes.find(&Method::PATCH, "/v1/groups/lobby").unwrap_err();

        let Problem::MethodNotAllowed { allow } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(allow, "DELETE, GET, HEAD");
        assert!(routes.find(&Method::HEAD, "/v1/groups/lobby").is_ok());
        assert!(routes.find(&Method::HEAD, "/v1/sessions").is_err());
    }

    #[test]
    fn an_unknown_address_is_not_found() {
        let routes = routes();

        for path in [
            "",
            "/",
            "*",
            "/v1",
            "/v1/groups",
            "/v1/groups/",
            "/v1/groups/a/b",
        ] {
            let refused = routes.find(&Method::GET, path).unwrap_err();
            assert_eq!(refused.code(), "not_found", "{path}");
        }
    }

    #[test]
    fn an_operation_knows_its_parameters() {
        let routes = routes();

        let posting = routes.find(&Method::POST, "/v1/sessions").unwrap();

        assert!(posting.takes_body);
        assert_eq!(posting.query.as_deref(), Some(&["limit".to_owned()][..]));
        assert_eq!(posting.headers, ["Last-Event-ID"]);
    }

    fn routes() -> Routes {
        Routes::of_document(
            r#"{"paths": {
                "/v1/groups/{group}": {"get": {}, "delete": {}},
                "/v1/groups/current": {"get": {"security": [{"bearer": []}]}},
                "/v1/sessions": {"post": {
                    "requestBody": {"required": true},
                    "parameters": [
                        {"name": "limit", "in": "query"},
                        {"name": "group", "in": "path"},
                        {"name": "Last-Event-ID", "in": "header"}
                    ]
                }}
            }}"#,
        )
    }
}

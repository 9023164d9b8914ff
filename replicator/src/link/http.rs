//! The link over HTTP.

//! The edge around a small application, over real HTTP.

mod connections;
mod demo;
mod refusals;
mod secure;

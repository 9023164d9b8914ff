#![no_main]

include!("../drive.rs");

drive!("texts");

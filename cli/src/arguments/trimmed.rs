//! Values without the carriage return that scripts and files of Windows leave at their end.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};

/// A parser of values that takes what another one takes, with such an end.
#[derive(Clone)]
pub(super) struct Trimmed<P>(pub(super) P);

impl<P: TypedValueParser> TypedValueParser for Trimmed<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<P::Value, Error> {
        self.0.parse_ref(command, argument, trimmed(value))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// A value without it.
pub fn trimmed(value: &OsStr) -> &OsStr {
    let bytes = value.as_bytes();
    OsStr::from_bytes(bytes.strip_suffix(b"\r").unwrap_or(bytes))
}

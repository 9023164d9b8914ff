//! Pure: when two spellings are one name.
//!
//! Servers compare the names of users and groups after NFKC and case folding (`openapi.yaml`: "case
//! does not matter"); typed names are compared with theirs in the same way.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

/// Whether a server takes both for the same name.
pub fn are_same(one: &str, other: &str) -> bool {
    folded(one) == folded(other)
}

/// The form in which a server stores a name.
pub fn folded(name: &str) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let folded = CaseMapper::new()
        .fold_string(&nfkc.normalize(name))
        .into_owned();
    nfkc.normalize(&folded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_a_server_folds_to_one_are_one() {
        for (one, other) in [
            ("général", "GÉNÉRAL"),
            ("general", "General"),
            ("ge\u{301}ne\u{301}ral", "Général"),
            ("straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("ｌｏｂｂｙ", "lobby"),
            ("привет", "ПРИВЕТ"),
        ] {
            assert!(are_same(one, other), "{one} {other}");
        }
        assert!(!are_same("general", "général"));
    }
}

//! Pure: when two spellings are one name.
//!
//! Servers compare the names of users and groups after `NFKC_Casefold` (`openapi.yaml`); typed names
//! are compared with theirs in the same way.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;

/// Whether a server takes both for the same name.
pub fn are_same(one: &str, other: &str) -> bool {
    folded(one) == folded(other)
}

/// The form in which a server stores a name: `NFKC_Casefold`.
pub fn folded(name: &str) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let mut folded = name.to_owned();
    // The second round: folding can yield a text that is not normalised.
    for _ in 0..2 {
        let kept: String = CaseMapper::new()
            .fold_string(&nfkc.normalize(&folded))
            .chars()
            .filter(|&c| !ignorable.contains(c))
            .collect();
        folded = nfkc.normalize(&kept).into_owned();
    }
    folded
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
            ("a\u{200d}b", "ab"),
        ] {
            assert!(are_same(one, other), "{one} {other}");
        }
        assert!(!are_same("general", "général"));
    }
}

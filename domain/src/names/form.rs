//! The form of a name: `NFKC_Casefold`, then identifiers by UAX #31 in one script by UTS #39.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, XidContinue, XidStart,
};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_security::{MixedScript as _, RestrictionLevel, RestrictionLevelDetection as _};

/// Maximum length of a user's or group's name, in characters.
pub const MAX_NAME_CHARS: usize = 32;

/// Most combining marks in a row: what languages need (UTS #39 5.4 advises against four), and too
/// few to cover the lines around a name.
const MAX_MARKS: usize = 2;

/// Why a text is not a valid name, as a sentence that says what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// Too long, empty, or with a character that no identifier has.
    #[error(
        "a name has 1 to 32 letters, digits, `-`, `_` or `.`, of any language, and starts with a letter or digit"
    )]
    Characters,
    /// A letter is covered with marks.
    #[error("a name has at most two combining marks in a row")]
    Marks,
    /// Letters of scripts that are not written together, such as Cyrillic and Latin.
    #[error(
        "a name is written in one script: letters of different scripts look alike and would deceive readers"
    )]
    Scripts,
    /// The form of an id.
    #[error("32 hexadecimal digits are an id, not a name: choose another name")]
    Id,
}

/// `NFKC_Casefold` (Unicode 3.13, R5) of a text. A second round after folding makes it idempotent:
/// folding and removing can yield a text that is not normalised.
pub(super) fn fold(text: &str) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let mut folded = text.to_owned();
    for _ in 0..2 {
        let normal = nfkc.normalize(&folded);
        let kept: String = CaseMapper::new()
            .fold_string(&normal)
            .chars()
            .filter(|&c| !ignorable.contains(c))
            .collect();
        folded = nfkc.normalize(&kept).into_owned();
    }
    folded
}

/// Checks a folded text.
pub(super) fn check(name: &str) -> Result<(), NotAName> {
    check_characters(name)?;
    check_marks(name)?;
    if name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NotAName::Id);
    }
    let is_one_script = name.is_single_script()
        || name.check_restriction_level(RestrictionLevel::HighlyRestrictive);
    if is_one_script {
        Ok(())
    } else {
        Err(NotAName::Scripts)
    }
}

fn check_characters(name: &str) -> Result<(), NotAName> {
    let starts = CodePointSetData::new::<XidStart>();
    let continues = CodePointSetData::new::<XidContinue>();
    let first = name.chars().next().ok_or(NotAName::Characters)?;
    let is_valid = (starts.contains(first) || is_digit(first))
        && name.chars().count() <= MAX_NAME_CHARS
        && name
            .chars()
            .all(|c| continues.contains(c) || c == '-' || c == '.');
    if is_valid {
        Ok(())
    } else {
        Err(NotAName::Characters)
    }
}

fn check_marks(name: &str) -> Result<(), NotAName> {
    let mut marks = 0;
    for c in name.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MAX_MARKS {
            return Err(NotAName::Marks);
        }
    }
    Ok(())
}

fn is_digit(c: char) -> bool {
    category(c) == GeneralCategory::DecimalNumber
}

fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(category(c))
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;

    #[test]
    fn names_of_all_languages_are_taken() {
        for name in [
            "น้ำฝน",
            "น้ำ",
            "कृष्ण",
            "தமிழ்",
            "İstanbul",
            "محمد",
            "日本",
            "ひらカタ漢字",
            "김철수",
            "7-of_9.x",
            "josé",
            "Ελένη",
            "анна",
            "日本語abc",
            "٣ليلى",
        ] {
            assert!(Name::parse(name).is_ok(), "{name}: {:?}", Name::parse(name));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_no_part_of_a_name() {
        let a = Name::parse("a").unwrap();

        for hidden in [
            '\u{3164}', '\u{200b}', '\u{200d}', '\u{ad}', '\u{fe0f}', '\u{2060}',
        ] {
            assert_eq!(
                Name::parse(&format!("a{hidden}")),
                Ok(a.clone()),
                "{hidden:?}"
            );
            assert_eq!(Name::parse(&hidden.to_string()), Err(NotAName::Characters));
        }
    }

    #[test]
    fn a_mark_stands_on_a_letter_and_not_in_a_heap() {
        let heap = format!("a{}", "\u{327}".repeat(31));

        assert_eq!(Name::parse("\u{301}a"), Err(NotAName::Characters));
        assert_eq!(Name::parse(&heap), Err(NotAName::Marks));
        assert!(Name::parse("a\u{327}\u{328}").is_ok());
    }

    #[test]
    fn scripts_that_look_alike_are_not_mixed() {
        for name in ["\u{430}dmin", "p\u{430}ypal", "αdmin", "адmin"] {
            assert_eq!(Name::parse(name), Err(NotAName::Scripts), "{name}");
        }
    }

    #[test]
    fn names_and_ids_never_meet() {
        let id = "18cc8e26454ffec8f239f72493b17ddf";

        assert_eq!(Name::parse(id), Err(NotAName::Id));
        assert_eq!(Name::parse(&id.to_uppercase()), Err(NotAName::Id));
        assert!(Name::parse(&id[1..]).is_ok());
    }
}

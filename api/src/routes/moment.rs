//! Time stamps sent by clients.

use jiff::Timestamp;

use crate::problem::Problem;

/// Parses a time stamp of RFC 3339, and none of the other forms that a calendar library accepts.
pub fn moment(text: &str) -> Result<i64, Problem> {
    let refused = || {
        Problem::invalid(
            "sent_at",
            "must be a moment as in RFC 3339, such as `2026-01-31T12:00:00Z`",
        )
    };
    if !looks_like_rfc3339(text.as_bytes()) {
        return Err(refused());
    }
    let moment: Timestamp = text.parse().map_err(|_| refused())?;
    Ok(moment.as_millisecond())
}

/// `2026-01-31T12:00:00`, an optional fraction, and `Z` or `+01:00`.
fn looks_like_rfc3339(text: &[u8]) -> bool {
    const PATTERN: &[u8] = b"0000-00-00T00:00:00";
    let Some((moment, rest)) = text.split_at_checked(PATTERN.len()) else {
        return false;
    };
    let matches = |text: &[u8], pattern: &[u8]| {
        text.len() == pattern.len()
            && text
                .iter()
                .zip(pattern)
                .all(|(byte, pattern)| match pattern {
                    b'0' => byte.is_ascii_digit(),
                    b'T' => b"Tt ".contains(byte),
                    b'+' => b"+-".contains(byte),
                    _ => byte == pattern,
                })
    };
    let zone = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    matches(moment, PATTERN) && (zone.eq_ignore_ascii_case(b"Z") || matches(zone, b"+00:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_rfc_3339_says() {
        for valid in [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:00.123456z",
            "2026-01-31 12:00:00+02:00",
        ] {
            assert!(moment(valid).is_ok(), "{valid}");
        }
        for refused in [
            "",
            "20260131T120000Z",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00+02",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+02:00[Europe/Berlin]",
            "2026-13-31T12:00:00Z",
            "yesterday",
        ] {
            assert!(moment(refused).is_err(), "{refused}");
        }
    }
}

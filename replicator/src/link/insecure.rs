//! Why a call had no secure connection, in words for an operator.

use std::error::Error;
use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as TlsError};

/// Returns why TLS failed, if that is what ended a call.
pub(super) fn why(error: &(dyn Error + 'static)) -> Option<String> {
    find(error).map(sentence)
}

/// An [`io::Error`] names as its source the source of what it carries.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let carried =
        |error: &'a io::Error| error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<TlsError>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>() {
            Some(error) => carried(error),
            None => error.source(),
        };
    }
    None
}

fn sentence(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(reason) => of_certificate(reason),
        TlsError::AlertReceived(alert) => {
            let why = match alert {
                AlertDescription::CertificateExpired => "it is out of date by the peer's clock",
                AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                    "it is not of the peer's authority"
                }
                AlertDescription::CertificateRequired => "none was shown",
                other => return format!("the peer does not accept this replica: {other:?}"),
            };
            format!("the peer does not accept this replica's certificate: {why}")
        }
        TlsError::InvalidMessage(_) => "it does not speak TLS".into(),
        other => format!("TLS failed: {other}"),
    }
}

fn of_certificate(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired by this replica's clock".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet by this replica's clock".into()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not of the authority in `peer_tls.ca`".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is another replica's".into()
        }
        other => format!("its certificate is not accepted: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_cause_is_found_inside_what_carries_it() {
        let cause = TlsError::InvalidCertificate(CertificateError::Expired);
        let outer = Outer(io::Error::other(io::Error::other(cause)));

        let why = why(&outer).unwrap();

        assert!(why.contains("expired"), "{why}");
        let other = Outer(io::Error::other("something else"));
        assert_eq!(super::why(&other), None);
    }
}

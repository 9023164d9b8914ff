//! The page on which the API can be tried.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::document::Document;
use crate::page::Content;
use crate::routes;

/// Returns the page. It calls the replica it came from, by whatever address and under whatever path
/// a proxy has put it there.
pub(crate) fn page() -> Content {
    const SERVERS: &str =
        "[{url: location.pathname.replace(/\\/docs\\/?$/, ''), description: 'This replica'}]";
    let service = routes::service(&Context::default());
    let document = Document::of_generated(&service.spec_yaml()).to_page_json();
    let here = format!("Object.assign({document}, {{servers: {SERVERS}}})");
    let text = service
        .swagger_ui_html()
        .replace(&service.spec(), &here)
        .replace("<title>Swagger UI</title>", "<title>Causeway API</title>")
        // As a browser reads it, which matters for the digests below.
        .replace("\r\n", "\n");
    Content {
        policy: Some(policy(&text)),
        text,
    }
}

/// Runs the page's own scripts alone, and lets it call the replica it came from alone. Its styles are
/// partly attributes, for which no digest helps.
fn policy(html: &str) -> String {
    let mut digests = String::new();
    for script in scripts(html) {
        let digest = BASE64_STANDARD.encode(Sha256::digest(script));
        digests.extend([" 'sha256-", &digest, "'"]);
    }
    format!(
        "default-src 'none'; script-src{digests}; style-src 'unsafe-inline'; img-src 'self' data:; \
         font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// The texts of the scripts in a page.
fn scripts(mut html: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (_, from_tag) = html.split_once("<script")?;
        let (_, from_text) = from_tag.split_once('>')?;
        let (script, rest) = from_text.split_once("</script>")?;
        html = rest;
        Some(script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_named_by_its_digest() {
        let html = "<p><script charset=\"UTF-8\">alert(1)</script><script>let a;\n</script>";

        let found: Vec<&str> = scripts(html).collect();
        let policy = policy(html);

        assert_eq!(found, ["alert(1)", "let a;\n"]);
        assert_eq!(policy.matches("'sha256-").count(), 2);
        assert!(policy.contains("'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"));
    }
}

use super::{GOOD, parse, refused};

#[test]
fn plain_text_beyond_this_machine_is_refused_with_the_remedies() {
    let public = GOOD.replace("127.0.0.1:12002\"\ni", "0.0.0.0:12002\"\ni");
    let internal = GOOD.replace("[::1]:11002", "[fd00::1]:11002");
    let tls = "[tls]\ncertificate = 'c'\nkey = 'k'";
    let peer_tls = "[peer_tls]\nca = 'a'\ncertificate = 'c'\nkey = 'k'";

    let said = refused(&public, "public_listen");
    for remedy in ["[tls]", "loopback", "behind_proxy = true"] {
        assert!(said.contains(remedy), "{said}");
    }
    parse(&format!("{public}\n{tls}")).unwrap();
    parse(&format!("behind_proxy = true\n{public}")).unwrap();

    let said = refused(
        &format!("behind_proxy = true\n{internal}\n{tls}"),
        "internal_listen",
    );
    assert!(said.contains("[peer_tls]"), "{said}");
    parse(&format!("{internal}\n{peer_tls}")).unwrap();

    let secure = GOOD.replace("http://one:11001", "https://one:11001");
    refused(&secure, "replicas[0].internal_url");
    parse(&format!("{secure}\n{peer_tls}")).unwrap();
    parse(&GOOD.replace("[::1]:11002", "[::ffff:127.0.0.1]:11002")).unwrap();
}

#[test]
fn a_table_of_certificates_is_whole_or_absent() {
    for (table, key) in [
        ("[tls]\nkey = 'k'", "tls.certificate"),
        ("[tls]\ncertificate = 'c'", "tls.key"),
        ("[tls]\ncertificate = ''\nkey = 'k'", "tls.certificate"),
        ("[peer_tls]\ncertificate = 'c'\nkey = 'k'", "peer_tls.ca"),
        ("[peer_tls]\nca = 'a'\nkey = 'k'", "peer_tls.certificate"),
        ("[peer_tls]\nca = 'a'\ncertificate = 'c'", "peer_tls.key"),
        ("[tls]\nca = 'a'", "tls.ca"),
    ] {
        refused(&format!("{GOOD}\n{table}"), key);
    }
}
